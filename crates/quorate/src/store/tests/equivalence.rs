//! Three stores, one of them primary, against a map: whatever happens in whatever order, equal
//! positions are equal states.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::state::History;

const SECOND: u64 = 1_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    /// Adds to some keys; they expire after so many seconds, 0 for never.
    Add { keys: Vec<u8>, amount: i64, seconds: u64 },
    /// Time goes on.
    Pass { seconds: u64 },
    /// A follower is brought to a cut at once.
    Sync { follower: usize },
    /// A follower is brought to a cut by a loose copy, while keys are added to.
    Copy { follower: usize, bytes: usize, keys: Vec<u8> },
    /// Another peer takes over; its clock is behind the old one's by so many seconds.
    TakeOver { behind: u64 },
    /// Expired cells are removed.
    Sweep { peer: usize },
    /// A peer loses everything.
    Restart { follower: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || prop::collection::vec(0u8..24, 1..4);
    prop_oneof![
        12 => (keys(), -2i64..5, prop_oneof![Just(0), 1u64..90]).prop_map(
            |(keys, amount, seconds)| Step::Add { keys, amount, seconds }
        ),
        3 => prop_oneof![1u64..10, 50u64..100].prop_map(|seconds| Step::Pass { seconds }),
        5 => (0usize..2).prop_map(|follower| Step::Sync { follower }),
        2 => (0usize..2, 1usize..600, prop::collection::vec(0u8..24, 0..20)).prop_map(
            |(follower, bytes, keys)| Step::Copy { follower, bytes, keys }
        ),
        2 => (0u64..120).prop_map(|behind| Step::TakeOver { behind }),
        3 => (0usize..3).prop_map(|peer| Step::Sweep { peer }),
        1 => (0usize..2).prop_map(|follower| Step::Restart { follower }),
    ]
}

type Cells = BTreeMap<Vec<u8>, Value>;

/// Three peers, and what should be in them.
struct World {
    stores: Vec<Store>,
    primary: usize,
    term: u64,
    time: u64,
    /// What the primary should hold.
    cells: Cells,
    /// What should be held at every cut there was.
    cuts: HashMap<Position, Cells>,
}

impl World {
    fn new() -> Self {
        let bounds = Bounds { shards: 2, ..bounds() };
        let stores = (0..3).map(|seed| Store::with_hash_seed(bounds, seed)).collect();
        let mut world = Self {
            stores,
            primary: 0,
            term: 0,
            time: 1_000 * SECOND,
            cells: Cells::new(),
            cuts: HashMap::from([(Position::BLANK, Cells::new())]),
        };
        world.reign(0, 0);
        world
    }

    fn primary(&self) -> &Store {
        &self.stores[self.primary]
    }

    /// The n-th of the peers that follow.
    fn follower(&self, number: usize) -> &Store {
        &self.stores[(self.primary + 1 + number) % 3]
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Add { keys, amount, seconds } => self.add(&keys, amount, seconds),
            Step::Pass { seconds } => self.time += seconds * SECOND,
            Step::Sync { follower } => self.sync(follower),
            Step::Copy { follower, bytes, keys } => self.copy(follower, bytes, &keys),
            Step::TakeOver { behind } => self.take_over(behind),
            Step::Sweep { peer } => drop(self.stores[peer].sweep(1_000)),
            Step::Restart { follower } => self.restart(follower),
        }
    }

    fn add(&mut self, keys: &[u8], amount: i64, seconds: u64) {
        let mut keys: Vec<Vec<u8>> = keys.iter().map(|&key| key_of(key)).collect();
        keys.sort();
        keys.dedup();
        let expires = if seconds == 0 { 0 } else { self.time + seconds * SECOND };
        let args = [amount as u64, expires];
        let items: Vec<Item<'_>> = keys.iter().map(|key| Item { key, args }).collect();
        let decided = self
            .primary()
            .decide(Time(self.time), &items, &Bank, Acknowledge::Primary)
            .expect("the primary may decide");

        let now = decided.context.now();
        let seen = |key: &Vec<u8>| self.cells.get(key).copied().filter(|v| v.expires > now);
        let mut cells: Vec<Cell> = keys.iter().map(|key| Cell::new(seen(key))).collect();
        let answer = Bank.decide(&items, &mut cells, now);
        assert_eq!(decided.answer, answer);
        for (key, cell) in keys.into_iter().zip(&cells).filter(|(_, cell)| cell.is_changed()) {
            let mut value = *cell.value().expect("changed");
            let before = self.cells.get(&key).map_or(GroupTime(0), |value| value.expires);
            value.expires = value.expires.max(before);
            self.cells.insert(key, value);
        }
    }

    /// Notes what belongs to a new cut of the primary, and checks it.
    fn note_cut(&mut self) {
        let position = self.primary().position();
        self.cuts.entry(position).or_insert_with(|| self.cells.clone());
        self.check(self.primary);
    }

    fn sync(&mut self, follower: usize) {
        let store = self.follower(follower);
        match common(self.primary(), store) {
            Some(common) => {
                let tail = store.keys_since(common, 10);
                let tail =
                    if store.position().sequence == common { Some(Vec::new()) } else { tail };
                let Some(keys) = tail else { return self.copy(follower, 400, &[]) };
                let cut = self.cut(common, &keys, usize::MAX);
                let batch = staged(self.primary(), Some(store.position()), cut);
                match self.follower(follower).apply(batch) {
                    Ok(()) => {}
                    Err(ApplyError::Missing { .. }) => return self.copy(follower, 400, &[]),
                    Err(error) => panic!("{error}"),
                }
            }
            None => return self.copy(follower, 400, &[]),
        }
        self.synced(follower);
    }

    /// A follower holds a cut, and with it a majority does.
    fn synced(&mut self, follower: usize) {
        self.note_cut();
        let store = self.follower(follower);
        assert_eq!(store.position(), self.primary().position());
        assert_eq!(store.digest(), self.primary().digest());
        self.primary().set_committed(store.position());
        self.check((self.primary + 1 + follower) % 3);
    }

    fn copy(&mut self, follower: usize, bytes: usize, keys: &[u8]) {
        let since = self.cut(Sequence(u64::MAX), &[], 0).end;
        self.note_cut();
        let mut cursor = CopyCursor::since(Sequence(0));
        let mut records = Vec::new();
        let mut keys = keys.iter();
        while !cursor.is_done() {
            records.push(self.primary().copy(&mut cursor, bytes));
            if let Some(&key) = keys.next() {
                self.add(&[key], 1, u64::from(key) * 5);
                self.time += SECOND;
            }
        }
        let cut = self.cut(since.sequence, &[], usize::MAX);
        let mut batch = staged(self.primary(), None, cut);
        batch.records.splice(0..0, records);
        self.follower(follower).apply(batch).expect("replaces everything");
        self.synced(follower);
    }

    fn cut(&self, since: Sequence, repair: &[Bytes], max_bytes: usize) -> Cut {
        self.primary().cut(GroupTime(0), since, repair, max_bytes)
    }

    /// The fresher of the two followers becomes primary; the old one keeps its tail.
    fn take_over(&mut self, behind: u64) {
        let last = self.primary().end_reign();
        self.cuts.entry(last).or_insert_with(|| self.cells.clone());
        self.check(self.primary);
        let next = (0..3).filter(|&peer| peer != self.primary);
        let next = next.max_by_key(|&peer| self.stores[peer].position()).expect("two others");
        self.reign(next, behind);
    }

    fn reign(&mut self, peer: usize, behind: u64) {
        self.primary = peer;
        self.term += 1;
        let store = &self.stores[peer];
        self.cells = self.cuts[&store.position()].clone();
        self.time = store.group_time().0.max(self.time.saturating_sub(behind * SECOND));
        store.begin_reign(ballot(self.term), store.group_time());
        store.grant(Time(u64::MAX), 0);
    }

    /// A follower restarts blank; never both, for one of them holds what a majority holds.
    fn restart(&mut self, follower: usize) {
        let other = self.follower(1 - follower).position();
        if other >= self.primary().committed() {
            self.follower(follower).clear();
            assert_eq!(self.follower(follower).digest().cells, 0);
        }
    }

    /// A peer holds exactly what belongs to its position.
    fn check(&self, peer: usize) {
        let store = &self.stores[peer];
        let now = store.group_time();
        let expected: Cells = self.cuts[&store.position()]
            .iter()
            .filter(|(_, value)| value.expires > now)
            .map(|(key, value)| (key.clone(), *value))
            .collect();
        let mut cells = Cells::new();
        store.for_each(&mut |key, value| {
            cells.insert(key[1..].to_vec(), *value);
        });
        let is_reigning = peer == self.primary && store.position() != store.digest().position;
        if !is_reigning {
            assert_eq!(cells, expected, "peer {peer} at {}", store.position());
        }
        assert!(store.cells() >= cells.len());
    }

    /// What every peer says of its memory is what its cells come to.
    fn check_usage(&self) {
        for store in &self.stores {
            let usage = store.usage();
            assert_eq!((usage.cells, usage.bytes), store.recount());
        }
    }
}

fn key_of(number: u8) -> Vec<u8> {
    // Some are too long for a slot.
    vec![b'a' + number; 1 + usize::from(number) * 2]
}

/// The last sequence common to a primary and a follower; `None` if everything must be copied.
fn common(primary: &Store, follower: &Store) -> Option<Sequence> {
    if follower.position().is_blank() {
        return None;
    }
    let (held, sent) = (follower.meta(), primary.meta());
    let theirs = History::new(&held.history, follower.position());
    let ours = History::new(&sent.history, primary.position());
    ours.common_position(&theirs).map(|common| common.sequence)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn equal_positions_are_equal_states(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            world.check_usage();
        }
        for follower in 0..2 {
            world.sync(follower);
        }
    }
}
