//! What a group does while the runtimes that its peers were started on do not run: it is none of
//! its concern (`driver/tasks.rs`).

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use quorate::{DecideError, Decision, Peer, PeerBuilder};
use support::{Counter, LONG, add, free_addresses};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

const TIMEOUT: Duration = Duration::from_secs(2);

type Addresses = [(&'static str, String); 3];

/// One of them. `a` alone may be primary: under load another would be at times.
fn builder(members: &Addresses, name: &str) -> PeerBuilder {
    Peer::builder(name, Counter)
        .members(members.clone())
        .failure_timeout(TIMEOUT)
        .heartbeat(TIMEOUT / 10)
        .priority(u8::from(name == "a"))
}

fn builders() -> Vec<PeerBuilder> {
    let members = free_addresses();
    ["a", "b", "c"].map(|name| builder(&members, name)).into()
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A peer on a runtime with one thread, which is blocked from the moment that the group is there
/// until the test ends.
struct Blocked {
    peer: Peer,
    _end: mpsc::Sender<()>,
}

fn blocked(builder: PeerBuilder) -> (thread::JoinHandle<()>, oneshot::Receiver<Blocked>) {
    let (tell, told) = oneshot::channel();
    let thread = thread::spawn(move || {
        let (end, ended) = mpsc::channel::<()>();
        let runtime = one_thread();
        runtime.block_on(async {
            let peer = builder.start().await.expect("the settings are valid");
            peer.wait_ready(LONG).await.expect("the others come");
            // By then calls have a lane of their own, which is read on this runtime.
            decide_for(&peer, TIMEOUT / 2).await;
            let _ = tell.send(Blocked { peer, _end: end });
            // As a caller that never yields.
            let _ = ended.recv();
        });
    });
    (thread, told)
}

/// Decides at a peer until group time has gone on by this much.
async fn decide_for(peer: &Peer, length: Duration) -> (Decision, Decision) {
    let first = add(peer, "k", 1).await.expect("the primary answers");
    loop {
        let last = add(peer, "k", 1).await.expect("the primary answers");
        if last.group_time >= first.group_time.after(length) {
            return (first, last);
        }
        tokio::task::yield_now().await;
    }
}

/// The story: the primary's embedder had one thread, and a handler on it that never yielded. Its
/// heartbeats starved, its lease was lost, and others were elected.
#[test]
fn a_primary_whose_runtime_is_blocked_stays_primary_and_answers_the_others() {
    let mut builders = builders().into_iter();
    let (thread, a) = blocked(builders.next().expect("a"));
    one_thread().block_on(async {
        let (b, c) = (builders.next().expect("b"), builders.next().expect("c"));
        let b = b.start().await.expect("the settings are valid");
        let _c = c.start().await.expect("the settings are valid");
        let blocked = a.await.expect("the group is there");
        assert_eq!(blocked.peer.status().primary, Some("a".into()));
        let (first, last) = decide_for(&b, TIMEOUT * 2).await;
        assert_eq!(first.position.ballot, last.position.ballot, "in one reign");
    });
    thread.join().expect("it ends with the test");
}

/// The primary's connection for calls to another member is read on the blocked runtime, where
/// nobody notices that it has ended. It kept the name of that member for the process that was no
/// more.
#[test]
fn a_member_restarts_while_the_runtime_of_the_primary_is_blocked() {
    let members = free_addresses();
    let start = |name| builder(&members, name).start();
    let (thread, a) = blocked(builder(&members, "a"));
    one_thread().block_on(async {
        let _c = start("c").await.expect("the settings are valid");
        let first = start("b").await.expect("the settings are valid");
        let blocked = a.await.expect("the group is there");
        assert_eq!(blocked.peer.status().primary, Some("a".into()));
        decide_for(&first, TIMEOUT).await;
        first.shutdown().await;
        let second = start("b").await.expect("the settings are valid");
        second.wait_ready(LONG).await.expect("it is let in");
        decide_for(&second, TIMEOUT * 2).await;
        assert_eq!(blocked.peer.status().primary, Some("a".into()));
    });
    thread.join().expect("it ends with the test");
}

/// A replica's own runtime is blocked, and somebody on another one calls at it: replies that nobody
/// reads are not waited for for ever, and new calls take another way.
#[test]
fn callers_on_another_runtime_are_answered_at_a_peer_whose_own_is_blocked() {
    let mut builders = builders().into_iter();
    let a = builders.next().expect("a");
    let (thread, b) = blocked(builders.next().expect("b"));
    one_thread().block_on(async {
        let _a = a.start().await.expect("the settings are valid");
        let _c = builders.next().expect("c").start().await.expect("the settings are valid");
        let blocked = b.await.expect("the group is there");
        loop {
            match add(&blocked.peer, "k", 1).await {
                Ok(_) => break,
                Err(DecideError::OutcomeUnknown { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        decide_for(&blocked.peer, TIMEOUT * 2).await;
    });
    thread.join().expect("it ends with the test");
}

/// The runtime that a peer was started on has gone; the peer has not.
#[test]
fn a_peer_outlives_the_runtime_that_it_was_started_on() {
    let mut builders = builders().into_iter();
    let start = |builder: PeerBuilder| {
        let runtime = one_thread();
        runtime.block_on(builder.start()).expect("the settings are valid")
    };
    let a = start(builders.next().expect("a"));
    let b = start(builders.next().expect("b"));
    one_thread().block_on(async {
        for peer in [&a, &b] {
            peer.wait_ready(LONG).await.expect("two of three are a majority");
            add(peer, "k", 1).await.expect("there is a primary");
        }
        b.shutdown().await;
    });
}
