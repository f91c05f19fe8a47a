use bytes::Bytes;

use super::*;
use crate::record::Packer;
use crate::store::{ApplyError, EPOCH};

fn key(key: &str) -> Bytes {
    Bytes::from([&[0], key.as_bytes()].concat())
}

#[test]
fn a_cut_is_taken_again_while_nothing_is_decided() {
    let store = primary();
    let first = cut_since(&store, Sequence(0));
    assert_eq!(first.end.sequence.0 % EPOCH, 0);
    assert_eq!(cut_since(&store, Sequence(0)), first);
    let decided = add(&store, "a", 1);
    assert!(decided.position.sequence > first.end.sequence);
    let second = cut_since(&store, first.end.sequence);
    assert!(decided.position < second.end);
    assert_eq!(store.position(), second.end);
    assert_eq!(cut_since(&store, first.end.sequence), second);
}

#[test]
fn a_cut_has_what_changed_since_and_nothing_else() {
    let store = primary();
    add(&store, "a", 1);
    add(&store, "b", 1);
    let first = cut_since(&store, Sequence(0));
    add(&store, "b", 1);
    add(&store, "b", 1);
    let second = cut_since(&store, first.end.sequence);
    let records = second.records.expect("small");
    assert_eq!(records.len(), 1);
    let record = records.iter().next().expect("one");
    assert_eq!(record.key, key("b"));
    assert_eq!(record.value.map(|value| value.words[0]), Some(3));
}

#[test]
fn named_keys_are_repaired_whether_they_changed_or_not() {
    let store = primary();
    add(&store, "a", 4);
    let since = cut_since(&store, Sequence(0)).end.sequence;
    let repair = [key("a"), key("missing"), Bytes::new()];
    let cut = store.cut(GroupTime(0), since, &repair, usize::MAX);
    let records = cut.records.expect("small");
    let values: Vec<_> =
        sorted(&records).iter().map(|r| r.value.map(|value| value.words[0])).collect();
    assert_eq!(values, [Some(4), None]);
}

#[test]
fn a_cut_larger_than_asked_for_has_no_records() {
    let store = primary();
    add_all(&store, 0..100);
    let cut = store.cut(GroupTime(0), Sequence(0), &[], 1_000);
    assert_eq!((cut.records, cut.units), (None, 100));
    assert_eq!(store.position(), cut.end, "it is a cut all the same");
    let none = store.cut(GroupTime(0), Sequence(u64::MAX), &[], 0);
    assert_eq!(none.records, Some(Records::default()));
}

#[test]
fn more_decisions_than_an_epoch_has_run_into_the_next() {
    let store = primary();
    let first = cut_since(&store, Sequence(0));
    add(&store, "before", 1);
    add_all(&store, (0..EPOCH + 10).map(|_| "a"));
    let second = follow_from_blank(&store);
    assert_eq!(second.end.sequence.0, first.end.sequence.0 + 2 * EPOCH);
    assert_eq!(second.units, u128::from(EPOCH) + 11);
}

fn follow_from_blank(store: &Store) -> Cut {
    let follower = follower();
    let cut = follow(store, &follower);
    assert_eq!(follower.digest(), store.digest());
    cut
}

#[test]
fn a_follower_holds_the_same_state_at_the_same_position() {
    let (store, follower) = (primary(), follower());
    for round in 0..20 {
        add_all(&store, (0..10).map(|number| number * round % 37));
        follow(&store, &follower);
        assert_eq!(follower.digest(), store.digest());
        assert_eq!(follower.meta(), store.meta());
    }
}

#[test]
fn a_digest_tells_states_apart_and_does_not_hide_changes_from_the_sender() {
    let store = primary();
    add(&store, "a", 1);
    let first = store.digest();
    assert!(store.has_changed_since_cut());
    assert_eq!(store.digest(), first);
    add(&store, "a", 1);
    let second = store.digest();
    assert_eq!(second.cells, 1);
    assert_ne!(second.digest, first.digest);
}

#[test]
fn a_batch_from_another_position_is_refused_and_changes_nothing() {
    let (store, follower) = (primary(), follower());
    add(&store, "a", 1);
    follow(&store, &follower);
    let before = follower.digest();
    add(&store, "a", 1);
    let cut = cut_since(&store, Sequence(0));
    let held = follower.position();
    let batch = staged(&store, Some(Position::BLANK), cut.clone());
    let refused = ApplyError::From { from: Position::BLANK, held };
    assert_eq!(follower.apply(batch), Err(refused));
    assert_eq!(store.apply(staged(&store, None, cut)), Err(ApplyError::Reigning));
    assert_eq!(follower.digest(), before);
}

#[test]
fn a_batch_with_unusable_keys_or_positions_is_refused() {
    let (store, follower) = (primary(), follower());
    let cut = cut_since(&store, Sequence(0));
    for bytes in [1, 514, 576] {
        let mut batch = staged(&store, None, cut.clone());
        batch.records.push([Record { key: &vec![0; bytes], value: None }].into_iter().collect());
        assert_eq!(follower.apply(batch), Err(ApplyError::Key { bytes }));
    }
    let mut batch = staged(&store, None, cut);
    batch.end.position.sequence = Sequence(u64::MAX);
    assert!(matches!(follower.apply(batch), Err(ApplyError::Position(_))));
    assert!(follower.position().is_blank());
}

#[test]
fn a_later_record_of_a_key_replaces_an_earlier_one_and_absence_removes() {
    let (store, follower) = (primary(), follower());
    add_all(&store, ["a", "b", "c"]);
    follow(&store, &follower);
    add(&store, "d", 1);
    let from = follower.position();
    let mut batch = staged(&store, Some(from), cut_since(&store, from.sequence));
    let value = |balance| Some(Value { words: [balance, 0, 0], expires: GroupTime::MAX });
    let mut more = Packer::default();
    for (name, value) in [
        ("a", None),
        ("b", value(8)),
        ("b", value(9)),
        ("e", value(1)),
        ("e", None),
        ("e", value(2)),
        ("never there", None),
    ] {
        more.push(&key(name), value.as_ref());
    }
    batch.records.push(more.finish());
    follower.apply(batch).expect("from the position held");
    let balances = ["a", "b", "c", "d", "e"].map(|name| balance(&follower, name));
    assert_eq!(balances, [None, Some(9), Some(1), Some(1), Some(2)]);
    assert_eq!(follower.cells(), 4);
    let since = cut_since(&follower, from.sequence).records.expect("small");
    let mut keys: Vec<_> = since.keys().collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys, ["b", "d", "e"].map(key));
}

#[test]
fn a_loose_copy_and_the_cut_after_it_make_an_exact_state() {
    let (store, follower) = (primary(), follower());
    add_all(&store, 0..3_000);
    let since = cut_since(&store, Sequence(0)).end.sequence;
    let mut cursor = CopyCursor::since(Sequence(0));
    let mut records = Vec::new();
    for number in 0.. {
        let piece = store.copy(&mut cursor, 10_000);
        assert!(piece.packed().len() < 11_000);
        records.push(piece);
        if cursor.is_done() {
            break;
        }
        add(&store, &(number * 7).to_string(), 1);
        add(&store, &format!("new {number}"), 1);
    }
    assert!(store.copy(&mut cursor, 10_000).is_empty());
    let mut batch = staged(&store, None, cut_since(&store, since));
    batch.records.splice(0..0, records);
    follower.apply(batch).expect("replaces everything");
    assert_eq!(follower.digest(), store.digest());
}

#[test]
fn replacing_everything_leaves_nothing_of_the_old_state() {
    let (store, other) = (primary(), primary());
    add_all(&store, ["a", "b"]);
    add(&other, "b", 5);
    add(&other, "c", 5);
    store.end_reign();
    let batch = staged(&other, None, cut_since(&other, Sequence(0)));
    store.apply(batch).expect("replaces everything");
    assert_eq!(store.digest(), other.digest());
    assert_eq!(["a", "b", "c"].map(|name| balance(&store, name)), [None, Some(5), Some(5)]);
}

#[test]
fn keys_are_named_up_to_a_bound() {
    let store = primary();
    add(&store, "a", 1);
    let since = cut_since(&store, Sequence(0)).end.sequence;
    add_all(&store, ["b", "c"]);
    let mut keys = store.keys_since(since, 2).expect("two");
    keys.sort();
    assert_eq!(keys, [key("b"), key("c")]);
    assert_eq!(store.keys_since(since, 1), None);
    assert_eq!(store.keys_since(Sequence(0), 3).map(|keys| keys.len()), Some(3));
}

#[test]
fn the_feed_stays_in_proportion_to_the_cells() {
    let store = primary();
    let mut last = Sequence(0);
    for round in 0..2_000 {
        add(&store, &(round % 50).to_string(), 1);
        last = cut_since(&store, last).end.sequence;
    }
    let bytes = store.allocated_bytes();
    assert!(bytes < 100_000, "{bytes} bytes for 50 cells");
    assert_eq!(cut_since(&store, Sequence(0)).records.map(|all| all.len()), Some(50));
}

#[test]
fn all_unexpired_cells_are_visited() {
    let store = primary();
    add_until(&store, 10, "a", 20);
    add_until(&store, 10, "b", 0);
    add_until(&store, 20, "c", 0);
    let mut seen = Vec::new();
    store.for_each(&mut |key, _| seen.push(key.to_vec()));
    seen.sort();
    assert_eq!(seen, [b"\0b", b"\0c"]);
}
