//! The hot paths, for a count of their instructions: `benches/callgrind.sh`.
//!
//! ```text
//!   instructions PATH COUNT    does the operation of PATH so often, inside of `counted_loop`
//! ```
//!
//! A count does not depend on what else the machine does, and so tells a change of one percent,
//! which no time on a shared machine does. It knows nothing of cache misses, of waits and of what
//! the kernel does.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;
use std::{env, process};

use bytes::BytesMut;
use quorate::internal::store::Store;
use quorate::internal::wire::{calls, replies};
use quorate::transport::InProcess;
use quorate::{
    Acknowledge, Answer, Ballot, Generation, GroupTime, Peer, Position, Sequence, Term, Time,
};
use quorate_benches::group::{self, RATE};
use quorate_benches::keys::{KEY_BYTES, Numbers, key};
use quorate_ratelimit::{Key, Limits, Operation, RateLimitModel, RateLimiter};
use tokio::runtime::{Builder, Runtime};

/// Keys that are there before anything is counted.
const KEYS: u64 = 10_000;
/// Operations before anything is counted: what is done once is done then.
const WARM_UP: u64 = 1_000;
/// How long the group of one may take to be founded, under an emulator too.
const START: Duration = Duration::from_secs(60);

const USAGE: &str = "which path, and how often: instructions store|store-keys|acquire|wire COUNT \
                     (benches/callgrind.sh counts all of them)";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> =
        env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [path, count] = &arguments[..] else {
        println!("{USAGE}");
        return Ok(());
    };
    let count = count.parse()?;
    match &**path {
        "store" => run(&mut Bare::new(1), count),
        "store-keys" => run(&mut Bare::new(KEYS), count),
        "acquire" => run(&mut Primary::new()?, count),
        "wire" => run(&mut Forwarded::new(), count),
        _ => {
            eprintln!("{USAGE}");
            process::exit(2);
        }
    }
    Ok(())
}

/// A path through the library.
trait Path {
    /// Does the operation so often.
    fn repeat(&mut self, count: u64);
}

fn run(path: &mut impl Path, count: u64) {
    path.repeat(WARM_UP);
    counted_loop(path, count);
}

/// What is counted: the tool is told to look here only, by this function's name.
#[inline(never)]
fn counted_loop(path: &mut impl Path, count: u64) {
    path.repeat(count);
    // Nothing is left to do after the loop that could take this function's place.
    black_box(count);
}

/// The data path alone: no replication, no clock, no handle.
struct Bare {
    store: Store,
    limits: Limits,
    model: RateLimitModel,
    numbers: Numbers,
}

impl Bare {
    fn new(keys: u64) -> Self {
        let store = Store::new(quorate::Bounds::default());
        store.begin_reign(
            Ballot { generation: Generation::from_bits(1), term: Term(1) },
            GroupTime(1),
        );
        store.grant(Time(u64::MAX), 0);
        store.set_max_unreplicated(u64::MAX);
        let limits = group::limits();
        let model = limits.model();
        let bare = Self { store, limits, model, numbers: Numbers::below(keys, 1) };
        (0..keys).for_each(|number| bare.decide(key(number)));
        bare
    }

    fn decide(&self, key: [u8; KEY_BYTES]) {
        let key = self.limits.key(RATE, key).expect("the key is short");
        let items = [Operation::Acquire.item(key.as_ref(), 1)];
        let decided =
            self.store.decide(Time(1), black_box(&items), &self.model, Acknowledge::Primary);
        assert!(decided.is_ok_and(|decided| decided.answer.units == 1), "it is admitted");
    }
}

impl Path for Bare {
    fn repeat(&mut self, count: u64) {
        for _ in 0..count {
            let key = self.numbers.next_key();
            self.decide(key);
        }
    }
}

/// A limiter at the primary of a group of one: all but replication, which other threads do.
struct Primary {
    limiter: RateLimiter,
    runtime: Runtime,
}

impl Primary {
    fn new() -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let limits = group::limits();
        let network = InProcess::network();
        let builder = Peer::builder("a", limits.model())
            .members([("a", "a")])
            .transport(network.at("a"))
            .max_unreplicated(u64::MAX);
        let peer = runtime.block_on(builder.start())?;
        runtime.block_on(peer.wait_ready(START))?;
        Ok(Self { limiter: RateLimiter::new(peer, &limits), runtime })
    }
}

impl Path for Primary {
    fn repeat(&mut self, count: u64) {
        let Self { limiter, runtime } = self;
        runtime.block_on(async {
            for _ in 0..count {
                let decision = limiter.acquire(RATE, black_box("alice"), 1).await;
                assert!(decision.is_ok_and(|decision| decision.allowed), "it is admitted");
            }
        });
    }
}

/// What a call that is sent on adds to one at the primary, but for sockets and waking: the call is
/// written and read, and so is its reply.
struct Forwarded {
    key: Key,
    call: BytesMut,
    reply: BytesMut,
}

impl Forwarded {
    fn new() -> Self {
        let key = group::limits().key(RATE, "alice").expect("the key is short");
        Self { key, call: BytesMut::new(), reply: BytesMut::new() }
    }

    fn send(&mut self, id: u32) {
        self.call.clear();
        let items = [Operation::Acquire.item(self.key.as_ref(), 1)];
        calls::push(&mut self.call, id, black_box(&items)).expect("one short key");
        let mut reader = calls::Reader::new(&self.call);
        let call = reader.next_call().expect("it is whole").expect("it is there");

        self.reply.clear();
        let answer = Answer { code: 1, units: call.items[0].args[0], ..Answer::default() };
        let ballot = Ballot { generation: Generation::from_bits(1), term: Term(1) };
        let position = Position { ballot, sequence: Sequence(1) };
        replies::push_decided(&mut self.reply, call.id, &answer, position, GroupTime(1));
        let reply = replies::Reader::new(&self.reply).next().expect("it is there");
        assert!(black_box(reply).is_ok_and(|reply| reply.id == id), "it is of this call");
    }
}

impl Path for Forwarded {
    fn repeat(&mut self, count: u64) {
        for number in 0..count {
            self.send(number as u32);
        }
    }
}
