//! The storage against a model: what a peer had, what of it was synced, and what is recovered.

mod any;
mod aside;
mod crash;
mod damage;
mod golden;
mod opening;
mod removed;
mod replay;

use std::collections::BTreeMap;

use super::simulated::SimulatedDisk;
use super::{
    AppendError, OpenError, Options, Recovered, SnapshotError, State, Storage, StorageError,
    StorageId, open,
};
use crate::base::id::{
    Ballot, Generation, GroupId, GroupTime, Lead, Member, MemberId, Position, Sequence, Term,
};
use crate::base::policy::Policy;
use crate::config::Bounds;
use crate::model::Value;
use crate::protocol::io::HardState;
use crate::record::{Record, Records};
use crate::state::{BatchEnd, Membership, Meta, Reign};
use crate::store::{CopyCursor, EPOCH, Staged, Store};

const STORAGE_ID: StorageId = StorageId(0x5107_a6e1_d000_0000_0000_0000_0000_0001);

type Cells = BTreeMap<Vec<u8>, Value>;

/// A state that a peer had.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    position: Position,
    group_time: GroupTime,
    lead: Lead,
    meta: Meta,
    cells: Cells,
}

/// Everything that may come back after a crash.
#[derive(Clone, Debug)]
struct History {
    /// In the order in which they were appended, whether that succeeded or not.
    versions: Vec<Version>,
    /// The newest that must be there.
    synced: usize,
    /// What was saved, and what was to be saved after that.
    saved: HardState,
    tried: HardState,
    /// Starts that were seen.
    starts: u64,
    /// How far the calendar is ahead in what is appended from now on.
    lead: Lead,
}

impl History {
    fn new() -> Self {
        let version = Version {
            position: Position::BLANK,
            group_time: GroupTime(0),
            lead: Lead::default(),
            meta: Meta::default(),
            cells: Cells::new(),
        };
        Self {
            versions: vec![version],
            synced: 0,
            saved: HardState::default(),
            tried: HardState::default(),
            starts: 0,
            lead: Lead::default(),
        }
    }

    fn last(&self) -> &Version {
        self.versions.last().expect("there is a blank version")
    }

    /// What a peer that has recovered `position` goes on from.
    fn forget_after(&mut self, position: Position) {
        let is_it = |version: &Version| version.position == position;
        let index = self.versions.iter().position(is_it);
        let index = index.expect("a position that the peer had");
        let synced = self.versions[self.synced].position;
        assert!(index >= self.synced, "{position} is behind {synced}, which was synced");
        self.versions.truncate(index + 1);
        self.synced = index;
    }
}

/// A peer: its storage, and its cells in memory.
struct Peer {
    storage: Storage,
    store: Store,
    report: Recovered,
    /// While cells are copied none is removed: that would make the copy void.
    is_copying: bool,
}

/// What ends a script: any failure.
#[derive(Debug)]
enum Stop {
    Open(OpenError),
    Storage(StorageError),
    Snapshot(SnapshotError),
}

impl From<AppendError> for Stop {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Storage(error) => Self::Storage(error),
            error => panic!("scripts continue the chain: {error}"),
        }
    }
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<SnapshotError> for Stop {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Storage(error) => Self::Storage(error),
            error => Self::Snapshot(error),
        }
    }
}

fn options() -> Options {
    // Small enough for several segments in every script.
    Options { segment_bytes: 1500, ..Options::new("default", "a".into(), STORAGE_ID) }
}

fn store() -> Store {
    Store::with_hash_seed(Bounds { shards: 4, max_cells: 10_000, ..Bounds::default() }, 1)
}

fn ballot(term: u64) -> Ballot {
    Ballot { generation: Generation::from_bits(1), term: Term(term) }
}

fn position(term: u64, epoch: u64) -> Position {
    Position { ballot: ballot(term), sequence: Sequence(epoch * EPOCH) }
}

fn value(number: u64) -> Value {
    Value { words: [number, number << 32, !number], expires: GroupTime::MAX }
}

fn meta(at: Position) -> Meta {
    let member = |name: &str| Member {
        name: name.into(),
        id: Some(MemberId(7)),
        address: format!("{name}.example:7101"),
    };
    Meta {
        group_id: Some(GroupId(99)),
        membership: Membership {
            stamp: at,
            voters: ["a", "b", "c"].map(member).to_vec(),
            ..Membership::default()
        },
        history: vec![Reign { ballot: at.ballot, after: Sequence(0) }],
        policy: Policy::default(),
    }
}

fn hard(term: u64) -> HardState {
    HardState {
        ballot: ballot(term),
        voted_for: Some("b".into()).filter(|_| term.is_multiple_of(2)),
        // A peer in memory has some: of some terms here.
        acknowledged: if term.is_multiple_of(3) { position(term, term) } else { Position::BLANK },
    }
}

impl Peer {
    /// Recovers, and sees that what comes back is what may.
    fn start(disk: &SimulatedDisk, history: &mut History) -> Result<Self, Stop> {
        Self::start_with(disk, history, options())
    }

    fn start_with(
        disk: &SimulatedDisk,
        history: &mut History,
        options: Options,
    ) -> Result<Self, Stop> {
        let mut recovery = open(disk.directory(), options)?;
        let store = store();
        while let Some(batch) = recovery.next_batch()? {
            store.restore(batch).expect("what is recovered continues what was before");
        }
        let progress = recovery.progress();
        assert_eq!(progress.bytes, progress.total_bytes);
        let (storage, report) = recovery.finish()?;
        assert_eq!(store.position(), report.position);
        assert_eq!(storage.position(), report.position);
        history.forget_after(report.position);
        assert_same(&state_of(&store), history.last());
        let hard = storage.state().hard.clone();
        assert!(hard == history.saved || hard == history.tried, "{hard:?} was never saved");
        (history.saved, history.tried) = (hard.clone(), hard);
        let State { starts, storage_id, .. } = *storage.state();
        assert!(starts > history.starts, "start {starts} after {}", history.starts);
        assert_eq!(storage_id, STORAGE_ID);
        history.starts = starts;
        Ok(Self { storage, store, report, is_copying: false })
    }

    /// Appends a batch of a few changes.
    fn append(&mut self, history: &mut History, to: Position, changes: u64) -> Result<(), Stop> {
        let mut version = history.last().clone();
        let from = Some(version.position);
        let number = history.versions.len() as u64;
        let changes: Vec<_> = (0..changes)
            .map(|change| {
                let key = key((number * 7 + change * 3) % 64);
                let is_removed = (number + change).is_multiple_of(5) && !self.is_copying;
                (key, (!is_removed).then(|| value(number * 1000 + change)))
            })
            .collect();
        for (key, value) in &changes {
            match value {
                Some(value) => _ = version.cells.insert(key.clone(), *value),
                None => _ = version.cells.remove(key),
            }
        }
        let meta = (number % 3 == 1).then(|| meta(to));
        self.put(history, version, from, &changes, to, meta)
    }

    /// Appends a batch that replaces everything by half of it.
    fn replace(&mut self, history: &mut History, to: Position) -> Result<(), Stop> {
        let mut version = history.last().clone();
        version.cells.retain(|key, _| key.last().is_some_and(|last| last % 2 == 0));
        let changes = all(&version.cells);
        self.put(history, version, None, &changes, to, Some(meta(to)))
    }

    /// The same, after what was there has been set aside.
    fn replace_and_keep(&mut self, history: &mut History, to: Position) -> Result<(), Stop> {
        self.storage.set_aside()?;
        history.synced = history.versions.len() - 1;
        self.replace(history, to)
    }

    /// Appends a batch of another history, of which a later sequence than its own was held.
    fn fork(&mut self, history: &mut History, to: Position) -> Result<(), Stop> {
        let mut version = history.last().clone();
        version.cells.values_mut().for_each(|value| value.words[1] += 1);
        let from = Some(version.position);
        let changes = all(&version.cells);
        self.put(history, version, from, &changes, to, Some(meta(to)))
    }

    fn put(
        &mut self,
        history: &mut History,
        mut version: Version,
        from: Option<Position>,
        changes: &[(Vec<u8>, Option<Value>)],
        to: Position,
        meta: Option<Meta>,
    ) -> Result<(), Stop> {
        version.position = to;
        version.group_time = GroupTime(to.sequence.0 + 5);
        version.lead = history.lead;
        if let Some(meta) = &meta {
            version.meta = meta.clone();
        }
        let record = |(key, value): &'_ (Vec<u8>, Option<Value>)| (key.clone(), *value);
        let owned: Vec<_> = changes.iter().map(record).collect();
        let records: Records =
            owned.iter().map(|(key, value)| Record { key, value: *value }).collect();
        let group_time = version.group_time;
        let lead = version.lead;
        let expired_before = GroupTime(0);
        let end =
            BatchEnd { position: to, group_time, lead, expired_before, meta: meta.map(Box::new) };
        let batch = Staged { from, records: vec![records], end };
        history.versions.push(version);
        self.storage.append(&batch)?;
        self.store.restore(batch).expect("scripts continue the chain");
        Ok(())
    }

    fn sync(&mut self, history: &mut History) -> Result<(), Stop> {
        let synced = self.storage.sync()?;
        assert_eq!(synced, history.last().position);
        history.synced = history.versions.len() - 1;
        Ok(())
    }

    fn save(&mut self, history: &mut History, hard: HardState) -> Result<(), Stop> {
        history.tried = hard.clone();
        self.storage.save(hard.clone())?;
        history.saved = hard;
        Ok(())
    }

    /// Takes a snapshot; `meanwhile` happens between the loose copy and the cut, and after it.
    fn snapshot(
        &mut self,
        history: &mut History,
        mut meanwhile: impl FnMut(&mut Self, &mut History) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut writer = self.storage.begin_snapshot()?;
        self.is_copying = true;
        let since = self.store.position().sequence;
        let mut cursor = CopyCursor::since(Sequence(0));
        writer.write(&self.store.copy(&mut cursor, 300))?;
        meanwhile(self, history)?;
        while !cursor.is_done() {
            writer.write(&self.store.copy(&mut cursor, 300))?;
        }
        let cut = self.store.cut(GroupTime(0), since, &[], usize::MAX);
        let end = cut.batch_end(Some(self.store.meta()));
        writer.write(&cut.records.expect("the cut is within its bound"))?;
        let sealed = self.storage.seal(writer, end)?;
        history.synced = history.versions.len() - 1;
        self.is_copying = false;
        meanwhile(self, history)?;
        let finished = sealed.finish()?;
        meanwhile(self, history)?;
        Ok(self.storage.install(finished)?)
    }

    fn close(self, history: &mut History) -> Result<(), Stop> {
        self.storage.close()?;
        history.synced = history.versions.len() - 1;
        Ok(())
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("\0key {number:02}").into_bytes()
}

fn all(cells: &Cells) -> Vec<(Vec<u8>, Option<Value>)> {
    cells.iter().map(|(key, value)| (key.clone(), Some(*value))).collect()
}

fn assert_same(found: &Version, expected: &Version) {
    assert_eq!(found.position, expected.position);
    assert_eq!((found.group_time, &found.meta), (expected.group_time, &expected.meta));
    assert_eq!(found.lead, expected.lead);
    let keys = found.cells.keys().chain(expected.cells.keys());
    let differs = |key: &&Vec<u8>| found.cells.get(*key) != expected.cells.get(*key);
    let differing: Vec<_> =
        keys.filter(differs).map(|key| key.escape_ascii().to_string()).collect();
    assert!(differing.is_empty(), "at {}: {differing:?}", found.position);
}

fn state_of(store: &Store) -> Version {
    let mut cells = Cells::new();
    store.for_each(&mut |key, value| _ = cells.insert(key.to_vec(), *value));
    let position = store.position();
    let group_time = store.group_time();
    let meta = store.meta();
    Version { position, group_time, lead: store.lead(), meta, cells }
}

/// The next position of the same reign.
fn after(history: &History) -> Position {
    let Position { ballot, sequence } = history.last().position;
    let ballot = if ballot == Ballot::NONE { self::ballot(1) } else { ballot };
    Position { ballot, sequence: Sequence(sequence.0 + EPOCH) }
}

/// Appends batches of these sizes.
fn append_all(
    peer: &mut Peer,
    history: &mut History,
    sizes: impl IntoIterator<Item = u64>,
) -> Result<(), Stop> {
    for changes in sizes {
        let to = after(history);
        peer.append(history, to, changes)?;
    }
    Ok(())
}
