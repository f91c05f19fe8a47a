//! The tasks that make and accept connections.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::base::id::PeerName;
use crate::base::telling::Chain;
use crate::driver::admin::desk::Desk;
use crate::driver::admin::session::serve;
use crate::driver::links::admission::{Admitted, Full};
use crate::driver::links::attendant::attend;
use crate::driver::links::dial_error::HandshakeError;
use crate::driver::links::dialing::{Target, Trail, connect};
use crate::driver::links::handshake::{Side, shake};
use crate::driver::links::reach::LinkError;
use crate::driver::report::journal::{LINKS, plain};
use crate::driver::report::pacer::Pacer;
use crate::driver::shared::Shared;
use crate::protocol::message::Lane;
use crate::transport::{Incoming, Listener, host};

/// First pause before a failed connection is tried again; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause, unless the heartbeat is shorter.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Keeps the lanes of the protocol to every member connected, for ever, as members come and go.
pub(in crate::driver) async fn dial_members(shared: Arc<Shared>) {
    dial_lanes(shared, &[Lane::Control, Lane::Data]).await;
}

/// Keeps a lane for calls to every member connected, on the callers' runtime.
pub(in crate::driver) async fn dial_for_calls(shared: Arc<Shared>) {
    dial_lanes(shared, &[Lane::Calls]).await;
}

async fn dial_lanes(shared: Arc<Shared>, lanes: &'static [Lane]) {
    let mut changes = shared.roster.watch();
    let mut dialed = BTreeSet::new();
    let mut dialing = JoinSet::new();
    loop {
        for to in shared.roster.dialed() {
            if dialed.insert(to.clone()) {
                let shared = shared.clone();
                dialing.spawn(async move {
                    let mut dialed = JoinSet::new();
                    for lane in lanes {
                        let shared = shared.clone();
                        let to = to.clone();
                        dialed.spawn(async move { dial(&shared, &to, *lane).await });
                    }
                    dialed.join_all().await;
                    to
                });
            }
        }
        tokio::select! {
            Some(ended) = dialing.join_next() => {
                if let Ok(to) = ended {
                    dialed.remove(&to);
                }
            }
            Ok(()) = changes.changed() => {}
        }
    }
}

impl Shared {
    /// Returns true if members are looked for at the addresses that this peer was given: as long as
    /// none is connected, or nobody has said who they are.
    pub(in crate::driver) fn looks_for_members(&self) -> bool {
        let up = self.registry.up();
        self.roster.keep_across(|peer| up.contains_key(peer));
        if self.config.site.is_some() && !up.keys().any(|peer| self.roster.stands_across(peer)) {
            return true;
        }
        !self.roster.knows_members() || !up.keys().any(|peer| self.roster.is_member(peer))
    }
}

/// Finds out who is at these addresses, as long as members are looked for. Whose names are known
/// then are dialed by them.
pub(in crate::driver) async fn introduce(shared: Arc<Shared>, contacts: Vec<String>) {
    let longest = shared.group.heartbeat.min(LONGEST_PAUSE);
    let mut pause = FIRST_PAUSE.min(longest);
    let mut contacts: Vec<_> =
        contacts.into_iter().map(|address| (address, Trail::default())).collect();
    loop {
        let is_looking = shared.looks_for_members();
        for (address, trail) in contacts.iter_mut().filter(|_| is_looking) {
            let target = Target { address, to: None, lane: Lane::Control };
            match connect(&shared, target, trail).await {
                Ok(agreed) => {
                    shared.refusals.forget(address);
                    shared.reach.note_contact(address, None);
                    shared.roster.introduce(&agreed.hello.peer, address);
                }
                Err(error) => {
                    let error = LinkError::of_dialing(&error, address, shared.clock.wall_ms());
                    shared.reach.note_contact(address, Some(error));
                }
            }
        }
        shared.clock.sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Keeps one lane to one peer connected, at one of its addresses, for as long as it is to be
/// dialed.
async fn dial(shared: &Arc<Shared>, to: &PeerName, lane: Lane) {
    let longest = shared.group.heartbeat.min(LONGEST_PAUSE);
    let mut pause = FIRST_PAUSE.min(longest);
    let mut attempts = 0;
    let mut trail = Trail::default();
    while shared.roster.dialed().contains(to) {
        let addresses = shared.roster.addresses(to);
        let Some(address) = addresses.get(attempts % addresses.len().max(1)) else {
            shared.clock.sleep(longest).await;
            continue;
        };
        attempts += 1;
        if lane == Lane::Calls {
            until_linked(shared, to).await;
        }
        match connect(shared, Target { address, to: Some(to), lane }, &mut trail).await {
            Ok(agreed) => {
                pause = FIRST_PAUSE.min(longest);
                // Here it was found: here it is looked for first when it is lost.
                attempts -= 1;
                // In a task of its own: should the embedder's model panic in it, the link is made
                // anew. It ends with this one.
                let mut attending = JoinSet::new();
                attending.spawn(attend(shared.clone(), agreed, true));
                let _ = attending.join_next().await;
            }
            Err(error) => {
                // That the link has gone is told by the lanes that it is made of.
                if lane != Lane::Calls {
                    let error = LinkError::of_dialing(&error, address, shared.clock.wall_ms());
                    shared.reach.note(to, error);
                }
            }
        }
        shared.clock.sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Waits until a peer is linked that has a lane for calls. Until then, and to one of an older
/// version for ever, calls take the data lane.
async fn until_linked(shared: &Arc<Shared>, to: &PeerName) {
    let mut changes = shared.registry.watch();
    while !shared.registry.takes_calls(to) && shared.roster.dialed().contains(to) {
        // The sender lives as long as what is shared.
        let _ = changes.changed().await;
    }
}

/// Accepts connections, for ever, and attends to those that are admitted.
pub(in crate::driver) async fn accept(mut listener: Box<dyn Listener>, desk: Desk) {
    let shared = desk.shared().clone();
    let mut connections = JoinSet::new();
    let mut failures = Pacer::default();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            incoming = listener.accept() => match incoming {
                Ok(incoming) => match admit(&shared, &incoming.peer_address) {
                    Ok(admitted) => {
                        connections.spawn(welcome(desk.clone(), incoming, admitted));
                    }
                    Err(full) => turn_away(&shared, &incoming.peer_address, full),
                },
                Err(error) => {
                    shared.tally.accepts_failed.add(1);
                    if let Some(count) = failures.count(shared.clock.coarse()) {
                        let peer = shared.name();
                        tracing::warn!(
                            target: LINKS, %peer, %error, count, "cannot accept connections"
                        );
                    }
                    // Where no more files may be opened, trying again at once would be all it does.
                    sleep(FIRST_PAUSE).await;
                }
            },
        }
    }
}

fn admit(shared: &Shared, address: &str) -> Result<Admitted, Full> {
    let is_of_member = shared.roster.is_member_at(address);
    shared.admission.admit(address, is_of_member)
}

/// Counts a connection that is not let in, and tells of it now and then.
fn turn_away(shared: &Shared, address: &str, full: Full) {
    shared.tally.turned_away.add(1);
    if let Some(count) = shared.admission.count_turned_away(shared.clock.coarse()) {
        let peer = shared.name();
        tracing::warn!(
            target: LINKS, %peer, address, count, "turned new connections away: {full}"
        );
    }
}

async fn welcome(desk: Desk, incoming: Incoming, mut admitted: Admitted) {
    let shared = desk.shared().clone();
    let address = incoming.peer_address;
    let name = shared.name().clone();
    let deadline = Instant::now() + shared.handshake_timeout();
    let stream = match timeout_at(deadline, incoming.open).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let peer = host(&address).to_owned();
            shared.note_unwanted(peer, &address, &error, Shared::refused_stranger);
            return tracing::debug!(
                target: LINKS, peer = %name, address, error = %plain(Chain(&error)),
                "a connection ended before its handshake"
            );
        }
        Err(_) => {
            return tracing::debug!(
                target: LINKS, peer = %name, address, "a connection was not opened in time"
            );
        }
    };
    match shake(&shared, stream, Side::Acceptor, deadline, Some(&mut admitted)).await {
        Ok(agreed) => match agreed.role {
            Some(role) => serve(desk, agreed, role).await,
            None => attend(shared, agreed, false).await,
        },
        Err(HandshakeError::Full(full)) => turn_away(&shared, &address, full),
        Err(error) => {
            tracing::debug!(
                target: LINKS, peer = %name, address, error = %plain(Chain(&error)),
                "a connection ended in its handshake"
            );
        }
    }
}
