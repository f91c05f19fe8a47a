use crate::base::id::Lead;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::*;
use crate::base::id::{Incarnation, PeerName};
use crate::record::Packer;

const ACCOUNTS: u64 = 48;
const FUNDS: i64 = 1_000;
const THREADS: u64 = 3;

/// Ends the threads when the test does, even if it fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A sequence of numbers of its own for every thread.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % bound
    }
}

fn account(number: u64) -> Vec<u8> {
    format!("account {number}").into_bytes()
}

fn fund(store: &Store) {
    for number in 0..ACCOUNTS {
        decide(store, &[item(&account(number), FUNDS)]).expect("authorized");
    }
}

fn decide(store: &Store, items: &[Item<'_>]) -> Result<Decided, Refused> {
    store.decide(Time(1_000), items, &Bank, Acknowledge::Primary)
}

/// Moves money between two accounts, and counts the units in a cell of the thread.
fn transfer(store: &Store, thread: u64, random: &mut Random) {
    let amount = random.below(50) as i64;
    let from = random.below(ACCOUNTS);
    let to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
    let (from, to) = (account(from), account(to));
    let count = format!("count {thread}").into_bytes();
    let items = [item(&to, amount), item(&count, amount), item(&from, -amount)];
    decide(store, &items).expect("authorized");
}

/// All balances of a store, and the sum of the threads' counts.
fn sums(store: &Store) -> (u64, u64) {
    let (mut balances, mut counts) = (0, 0);
    store.for_each(&mut |key, value| {
        let sum = if key.starts_with(b"\0account") { &mut balances } else { &mut counts };
        *sum += value.words[0];
    });
    (balances, counts)
}

#[test]
fn every_cut_lies_between_two_operations_while_threads_decide() {
    let (store, follower) = (primary(), follower());
    fund(&store);
    follow(&store, &follower);
    let funds = ACCOUNTS * FUNDS as u64;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = Over(&is_over);
        for number in 0..THREADS {
            let (store, is_over) = (&store, &is_over);
            scope.spawn(move || {
                let mut random = Random(number);
                while !is_over.load(Ordering::Relaxed) {
                    transfer(store, number, &mut random);
                }
            });
        }
        let digests = scope.spawn(|| {
            let mut digests = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                digests.push(store.digest());
                thread::yield_now();
            }
            digests
        });
        let mut held = Vec::new();
        for _ in 0..400 {
            let cut = follow(&store, &follower);
            let (balances, counts) = sums(&follower);
            assert_eq!(balances, funds, "half of an operation has travelled");
            // Of each transfer twice the amount is added: to an account, and to the count.
            assert_eq!(cut.units, u128::from(funds + 2 * counts), "units of another moment");
            held.push(follower.digest());
        }
        drop(over);
        let digests = digests.join().expect("no digest fails");
        for digest in digests {
            let other = held.iter().find(|held| held.position == digest.position);
            assert!(other.is_none_or(|held| *held == digest), "{other:?} is not {digest:?}");
        }
    });
    store.end_reign();
    let from = follower.position();
    let cut = cut_since(&store, from.sequence);
    follower.apply(staged(&store, Some(from), cut)).expect("from the position held");
    assert_eq!(follower.digest(), store.digest());
    assert_eq!(sums(&store).0, funds);
}

/// An operation as its thread remembers it: its place in the order, and what it added where.
type Logged = (Sequence, Vec<(Vec<u8>, i64)>);

/// Adds to one to three keys, again and again, and remembers it.
fn log(store: &Store, thread: u64, is_over: &AtomicBool) -> Vec<Logged> {
    let mut random = Random(thread);
    let mut log = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let first = random.below(300);
        let keys = (0..=random.below(3)).map(|next| account(first + next * 101));
        let added: Vec<_> = keys.map(|key| (key, random.below(9) as i64 + 1)).collect();
        let items: Vec<_> = added.iter().map(|(key, amount)| item(key, *amount)).collect();
        let decided = decide(store, &items).expect("authorized");
        log.push((decided.position.sequence, added));
    }
    log
}

#[test]
fn a_digest_is_that_of_the_operations_before_its_cut() {
    let store = primary();
    let is_over = AtomicBool::new(false);
    let (log, digests) = thread::scope(|scope| {
        let over = Over(&is_over);
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                scope.spawn({
                    let (store, is_over) = (&store, &is_over);
                    move || log(store, number, is_over)
                })
            })
            .collect();
        let digests: Vec<_> = (0..50).map(|_| store.digest()).collect();
        drop(over);
        let logs = threads.into_iter().map(|thread| thread.join().expect("no thread fails"));
        let mut log: Vec<Logged> = logs.flatten().collect();
        log.sort();
        (log, digests)
    });

    let mut balances = BTreeMap::<Vec<u8>, u64>::new();
    let mut log = log.into_iter().peekable();
    let blank = follower();
    for digest in digests {
        while let Some((_, added)) = log.next_if(|op| op.0 < digest.position.sequence) {
            added.into_iter().for_each(|(key, amount)| {
                *balances.entry(key).or_default() += amount as u64;
            });
        }
        let mut records = Packer::default();
        for (key, balance) in &balances {
            let value = Value { words: [*balance, 7, 0], expires: GroupTime::MAX };
            records.push(&[&[0], &key[..]].concat(), Some(&value));
        }
        let group_time = GroupTime(1_000);
        let end = BatchEnd {
            position: digest.position,
            group_time,
            lead: Lead::default(),
            expired_before: GroupTime(0),
            meta: None,
        };
        let batch = Staged { from: None, records: vec![records.finish()], end };
        blank.apply(batch).expect("replaces everything");
        assert_eq!(blank.digest(), digest);
    }
}

#[test]
fn nothing_is_decided_once_the_authority_has_been_revoked() {
    for round in 0..50 {
        let store = primary();
        let counts: Vec<AtomicU64> = (0..THREADS).map(|_| AtomicU64::new(0)).collect();
        let (mut last, mut digest) = Default::default();
        thread::scope(|scope| {
            for (number, count) in counts.iter().enumerate() {
                let store = &store;
                scope.spawn(move || {
                    let (one, two) = (format!("one {number}"), format!("two {number}"));
                    let items = [item(one.as_bytes(), 1), item(two.as_bytes(), 1)];
                    loop {
                        let _ = match decide(store, &items) {
                            Ok(_) => count.fetch_add(1, Ordering::Relaxed),
                            Err(Refused::HandingOver) => continue,
                            Err(_) => break,
                        };
                    }
                });
            }
            while counts.iter().any(|count| count.load(Ordering::Relaxed) < 20) {
                thread::yield_now();
            }
            if round % 2 == 0 {
                store.hold();
                store.settle();
                let before = store.digest();
                thread::yield_now();
                assert_eq!(store.digest(), before, "decided although held");
            }
            last = store.end_reign();
            digest = store.digest();
        });
        assert_eq!(digest.position, last);
        assert_eq!(store.digest(), digest, "decided after the last cut");
        let decided: u64 = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        let mut sum = 0;
        store.for_each(&mut |_, value| sum += value.words[0]);
        assert_eq!(sum, decided * 2, "an answer without its change, or the other way round");
    }
}

#[test]
fn a_loose_copy_of_a_busy_store_ends_in_an_exact_state() {
    let (store, follower) = (primary(), follower());
    fund(&store);
    add_all(&store, (0..2_000).map(|number| format!("account x{number}")));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = Over(&is_over);
        for number in 0..2 {
            let (store, is_over) = (&store, &is_over);
            scope.spawn(move || {
                let mut random = Random(number);
                while !is_over.load(Ordering::Relaxed) {
                    transfer(store, number, &mut random);
                }
            });
        }
        for _ in 0..10 {
            let since = cut_since(&store, Sequence(u64::MAX)).end.sequence;
            let copied = copy_all(&store, 20_000);
            let mut batch = staged(&store, None, cut_since(&store, since));
            batch.records.splice(0..0, copied);
            follower.apply(batch).expect("replaces everything");
            assert_eq!(sums(&follower).0, ACCOUNTS * FUNDS as u64 + 2_000);
        }
        drop(over);
    });
}

#[test]
fn merges_and_operations_on_the_same_keys_do_not_wait_for_each_other() {
    let store = primary();
    fund(&store);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                let mut random = Random(number);
                let origin = PeerName::from("b");
                for count in 1..200 {
                    transfer(store, number, &mut random);
                    let first = random.below(ACCOUNTS);
                    let entries: Vec<_> = (0..10)
                        .map(|next| account((first + next * 7) % ACCOUNTS).into())
                        .map(|key| (key, Delta { words: [1, 0, 0], units: 1 }))
                        .collect();
                    let batch = crate::store::SealedBatch {
                        origin: &origin,
                        incarnation: Incarnation(number),
                        number: count,
                        sealed_at: GroupTime(1_000),
                        entries: &entries,
                    };
                    let merged = store.merge(Time(1_000), &batch, &Bank);
                    assert_eq!(merged.map(|merged| merged.units), Ok(10));
                }
            });
        }
    });
    let merged = THREADS * 199 * 10;
    let mut balances = 0;
    store.for_each(&mut |key, value| {
        if key.starts_with(b"\0account") {
            balances += value.words[0];
        }
    });
    assert_eq!(balances, ACCOUNTS * FUNDS as u64 + merged);
}

/// Threads make cells of all lengths that expire, up to both bounds, while others of them are
/// swept.
#[test]
fn the_sums_of_room_are_exact_whatever_threads_make_and_remove() {
    const MAX_BYTES: usize = 60 * CELL_BYTES;
    let bounds = Bounds { max_cells: 50, max_bytes: MAX_BYTES, ..bounds() };
    let store = Store::with_hash_seed(bounds, 1);
    store.begin_reign(ballot(1), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    let refused = AtomicU64::new(0);
    let fill = &|thread: u64| {
        let mut random = Random(thread);
        for time in 1..3_000 {
            let keys =
                (0..=random.below(3)).map(|next| (next, random.below(40), random.below(200)));
            let keys: Vec<_> = keys
                .map(|(next, number, length)| {
                    format!("{next} {number} {}", "k".repeat(length as usize))
                })
                .collect();
            let args = [1, time + 1 + random.below(30)];
            let items: Vec<_> = keys.iter().map(|key| Item { key: key.as_bytes(), args }).collect();
            match store.decide(Time(time), &items, &Bank, Acknowledge::Primary) {
                Ok(_) => {}
                Err(Refused::Full { .. }) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                Err(error) => panic!("{error}"),
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || fill(n))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            store.set_committed(cut_since(&store, Sequence(u64::MAX >> 1)).end);
            store.sweep(10);
        }
    });
    let usage = store.usage();
    assert_eq!((usage.cells, usage.bytes), store.recount());
    assert_eq!(usage.refused, refused.into_inner());
    assert!(usage.refused > 0 && usage.cells <= 50 && usage.bytes <= MAX_BYTES, "{usage:?}");
}

/// Some operations are of more units than the word for them holds, so that it is counted anew while
/// threads add to it.
#[test]
fn what_is_outstanding_is_exact_whatever_threads_publish_while_it_is_counted_anew() {
    const BOUND: u64 = 10_000;
    let store = primary();
    store.set_max_unreplicated(BOUND);
    let count = |key: u64, units| {
        let item = Item { key: &key.to_le_bytes(), args: [units, 0] };
        store.decide(Time(1_000), &[item], &Meter, Acknowledge::Primary).expect("authorized")
    };
    let count_all = &|thread: u64| {
        let mut random = Random(thread);
        for _ in 0..20_000 {
            let units = if random.below(100) == 0 { u64::MAX } else { random.below(50) };
            count(random.below(ACCOUNTS), units);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || count_all(n))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            store.set_committed(cut_since(&store, Sequence(u64::MAX >> 1)).end);
        }
    });
    store.set_committed(cut_since(&store, Sequence(u64::MAX >> 1)).end);
    assert_eq!(store.unreplicated_units(), 0);
    assert!(!count(0, BOUND - BOUND / 16).must_wait, "no more is unpublished than is allowed for");
    assert!(count(1, BOUND / 16 + 1).must_wait);
}
