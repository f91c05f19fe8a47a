//! States that are loaded beside the one held (`store/load.rs`).

use super::{ApplyError, Bounds, CELL_BYTES, CopyCursor, Staged, Store};
use crate::base::id::{Ballot, Generation, GroupTime, Lead, Position, Sequence, Term};
use crate::model::Value;
use crate::record::{Record, Records};
use crate::state::{BatchEnd, Meta};
use crate::store::{EPOCH, Loading, MODEL};

const NEVER: GroupTime = GroupTime::MAX;

fn records(cells: &[(&str, Option<u64>)]) -> Records {
    let key = |name: &str| [&[MODEL], name.as_bytes()].concat();
    let keys: Vec<_> = cells.iter().map(|(name, _)| key(name)).collect();
    let value = |word: u64| Value { words: [word, 0, 0], expires: NEVER };
    let cells = cells.iter().zip(&keys);
    cells.map(|((_, word), key)| Record { key, value: word.map(value) }).collect()
}

fn end(sequence: u64) -> BatchEnd {
    let ballot = Ballot { generation: Generation::from_bits(1), term: Term(1) };
    let position = Position { ballot, sequence: Sequence(sequence) };
    let (group_time, expired_before) = (GroupTime(5), GroupTime(0));
    let meta = Some(Meta::default());
    BatchEnd {
        position,
        group_time,
        lead: Lead::default(),
        expired_before,
        meta: meta.map(Box::new),
    }
}

fn keys_since(store: &Store, since: u64) -> Vec<String> {
    let keys = store.keys_since(Sequence(since), 100).expect("there are few");
    let mut keys: Vec<_> =
        keys.iter().map(|key| String::from_utf8_lossy(&key[1..]).into_owned()).collect();
    keys.sort();
    keys
}

fn words(store: &Store, keys: &[&str]) -> Vec<Option<u64>> {
    keys.iter().map(|key| store.read(MODEL, key.as_bytes()).map(|v| v.words[0])).collect()
}

/// A state with `a` and `b` in place of one with `old`.
fn loaded() -> Store {
    let store = Store::with_hash_seed(Bounds { shards: 2, ..Bounds::default() }, 7);
    let before = records(&[("old", Some(9)), ("a", Some(9))]);
    let batch = Staged { from: None, records: vec![before], end: end(3 * EPOCH) };
    store.apply(batch).expect("replaces everything");
    let mut loading = Loading::default();
    for mut piece in [
        records(&[("a", Some(1)), ("gone", Some(1)), ("b", Some(1))]),
        records(&[("b", Some(2)), ("gone", None), ("never", None)]),
    ] {
        let moved = store.load(&mut loading, &mut piece, usize::MAX).expect("keys are usable");
        assert!(moved >= 3 && piece.is_empty());
    }
    assert_eq!(words(&store, &["old", "a", "b"]), [Some(9), Some(9), None], "beside it");
    store.apply_loaded(loading, &end(8 * EPOCH)).expect("replaces everything");
    store
}

#[test]
fn what_was_loaded_takes_the_place_of_all_that_was_held() {
    let store = loaded();
    assert_eq!(words(&store, &["old", "a", "b", "gone"]), [None, Some(1), Some(2), None]);
    assert_eq!((store.cells(), store.position()), (2, end(8 * EPOCH).position));
    assert_eq!(store.usage().bytes, 2 * CELL_BYTES);
    while store.drop_discarded() {}
    assert_eq!(store.discarded_bytes(), 0);
}

/// No cell of it is stamped: all count as changed where the state ends.
#[test]
fn whoever_was_behind_what_was_loaded_is_sent_all_of_it_and_others_what_came_later() {
    let store = loaded();
    for since in [0, EPOCH, 8 * EPOCH - 1] {
        assert_eq!(keys_since(&store, since), ["a", "b"], "{since}");
    }
    assert_eq!(keys_since(&store, 8 * EPOCH), [""; 0]);
    let change = Staged {
        from: Some(end(8 * EPOCH).position),
        records: vec![records(&[("b", Some(3)), ("c", Some(3))])],
        end: end(9 * EPOCH),
    };
    store.apply(change).expect("from the position held");
    assert_eq!(keys_since(&store, 8 * EPOCH), ["b", "c"]);
    assert_eq!(keys_since(&store, 8 * EPOCH - 1), ["a", "b", "c"]);
    assert_eq!(keys_since(&store, 9 * EPOCH), [""; 0]);
    let cut = store.cut(GroupTime(5), Sequence(8 * EPOCH), &[], usize::MAX);
    assert_eq!(cut.records.map(|records| records.len()), Some(2));
    let mut cursor = CopyCursor::since(Sequence(8 * EPOCH));
    assert_eq!(store.copy(&mut cursor, usize::MAX).len(), 2);
    let mut cursor = CopyCursor::since(Sequence(7 * EPOCH));
    assert_eq!(store.copy(&mut cursor, usize::MAX).len(), 3);
}

/// A shorter history has won: what it does not have is stamped where that ends.
#[test]
fn what_was_loaded_goes_back_with_the_rest() {
    let store = loaded();
    let back = Staged {
        from: Some(end(8 * EPOCH).position),
        records: vec![records(&[("b", Some(7))])],
        end: end(6 * EPOCH),
    };
    store.apply(back).expect("from the position held");
    assert_eq!(keys_since(&store, 6 * EPOCH), [""; 0]);
    assert_eq!(keys_since(&store, 6 * EPOCH - 1), ["a", "b"]);
    assert_eq!(words(&store, &["a", "b"]), [Some(1), Some(7)]);
}

/// A change in the very epoch that the loaded state ends in: a log is read back so, in pieces.
#[test]
fn a_cell_that_changes_where_the_state_ends_is_not_missed() {
    let store = loaded();
    let more = Staged {
        from: Some(end(8 * EPOCH).position),
        records: vec![records(&[("b", Some(3)), ("c", Some(3))])],
        end: end(8 * EPOCH),
    };
    store.restore(more).expect("from the position held");
    assert_eq!(keys_since(&store, 8 * EPOCH - 1), ["a", "b", "c"]);
    assert_eq!(keys_since(&store, 8 * EPOCH), [""; 0]);
    // Of a first epoch as well, where no cut ends.
    let first = Store::with_hash_seed(Bounds::default(), 7);
    let batch = Staged { from: None, records: vec![records(&[("a", Some(1))])], end: end(5) };
    first.apply(batch).expect("replaces everything");
    let from = Some(end(5).position);
    let batch = Staged { from, records: vec![records(&[("a", Some(2))])], end: end(7) };
    first.apply(batch).expect("from the position held");
    assert_eq!(keys_since(&first, 5), ["a"]);
}

#[test]
fn loading_stops_where_it_is_told_to_and_goes_on_from_there() {
    let store = Store::with_hash_seed(Bounds { shards: 2, ..Bounds::default() }, 7);
    let names: Vec<String> = (0..1_000).map(|number| format!("key {number}")).collect();
    let cells: Vec<_> = names.iter().map(|name| (name.as_str(), Some(1))).collect();
    let mut records = records(&cells);
    let mut loading = Loading::default();
    let mut steps = 0;
    while !records.is_empty() {
        let left = records.len();
        let moved = store.load(&mut loading, &mut records, 10).expect("keys are usable");
        // A shard whose table grows is moved as a whole.
        assert!(moved <= 10 + 1_000 / 2 * 2, "{moved}");
        assert!(left - records.len() <= 10);
        steps += 1;
    }
    assert!(steps >= 100, "{steps}");
    let held = store.allocated_bytes();
    let bytes = loading.allocated_bytes();
    store.apply_loaded(loading, &end(EPOCH)).expect("replaces everything");
    assert_eq!((store.cells(), store.allocated_bytes() - held), (1_000, bytes));
}

#[test]
fn a_reigning_store_takes_nothing_that_was_loaded() {
    let store = loaded();
    store.begin_reign(Ballot { generation: Generation::from_bits(1), term: Term(2) }, GroupTime(9));
    let mut loading = Loading::default();
    store.load(&mut loading, &mut records(&[("x", Some(1))]), 1).expect("the key is usable");
    assert_eq!(store.apply_loaded(loading, &end(20 * EPOCH)), Err(ApplyError::Reigning));
    assert_eq!(words(&store, &["x", "a"]), [None, Some(1)]);
}
