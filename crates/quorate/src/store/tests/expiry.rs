//! Expired cells: when they go, and what becomes of those who find no room meanwhile.

use super::*;
use crate::base::error::Bounded;

#[test]
fn expired_cells_go_once_a_majority_has_seen_them_expire() {
    let store = primary();
    for number in 0..100 {
        add_until(&store, 10, &number.to_string(), 20);
    }
    add_until(&store, 30, "stays", 0);
    let cut = cut_since(&store, Sequence(0));
    assert_eq!(cut.group_time, GroupTime(30));
    assert_eq!(store.sweep(1_000), 0, "another history may be behind");
    let before = store.digest();
    store.set_committed(cut.end);
    assert_eq!(store.sweep(10), 10);
    assert_eq!((0..20).map(|_| store.sweep(10)).sum::<usize>(), 90);
    assert_eq!(store.cells(), 1);
    assert_eq!(store.digest(), before);
    assert!(store.keys_since(Sequence(0), 1_000).is_some());
}

#[test]
fn one_step_of_sweeping_looks_at_eight_slots_for_each_cell_it_may_remove() {
    let store = Store::with_hash_seed(Bounds { shards: 1, ..bounds() }, 1);
    store.begin_reign(ballot(1), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    add_all(&store, 0..96);
    add_until(&store, 1_000, "last", 1_001);
    add_until(&store, 1_002, "0", 0);
    store.set_committed(cut_since(&store, Sequence(0)).end);
    assert_eq!((0..12).map(|_| store.sweep(1)).sum::<usize>(), 0);
    assert_eq!(store.sweep(1), 1);
}

/// Followers used to keep every cell for a minute more: a switch of the primary then met a store
/// that was full of them.
#[test]
fn followers_drop_what_a_majority_has_seen_expire_as_soon_as_they_are_told() {
    let (store, follower) = (primary(), follower());
    for number in 0..100 {
        add_until(&store, 10, &number.to_string(), 20);
    }
    add_until(&store, 30, "stays", 0);
    let cut = follow(&store, &follower);
    assert_eq!(follower.sweep(1_000), 0, "the primary did not know yet what a majority holds");
    store.set_committed(cut.end);
    add_until(&store, 31, "stays", 0);
    let cut = follow(&store, &follower);
    assert_eq!(cut.expired_before, GroupTime(30));
    assert_eq!((store.sweep(1_000), follower.sweep(1_000)), (100, 100));
    assert_eq!((store.cells(), follower.cells()), (1, 1));
    assert_eq!(follower.digest(), store.digest());

    // Nor does it forget when it is primary itself, or is copied from.
    follower.begin_reign(ballot(2), GroupTime(0));
    let cut = cut_since(&follower, Sequence(0));
    assert_eq!(cut.expired_before, GroupTime(30));
    let copy = super::follower();
    add_until(&store, 40, "late", 25);
    copy.apply(staged(&follower, None, cut)).expect("replaces everything");
    assert_eq!(copy.digest(), follower.digest());
}

#[test]
fn a_peer_that_is_told_nothing_drops_expired_cells_after_a_grace() {
    const SECOND: u64 = 1_000_000_000;
    let (store, follower) = (primary(), follower());
    add_until(&store, 10, "a", 20);
    follow(&store, &follower);
    add_until(&store, 50 * SECOND, "b", 0);
    follow(&store, &follower);
    assert_eq!(follower.sweep(10), 0);
    add_until(&store, 61 * SECOND, "b", 0);
    follow(&store, &follower);
    assert_eq!(follower.sweep(10), 1);
    assert_eq!(follower.digest(), store.digest());
}

/// What a majority has seen expire is never taken back within a generation. A survivor that knew
/// nothing of it may found another, and its clock may be behind.
#[test]
fn cells_that_were_dropped_by_a_time_that_is_taken_back_are_copied_anew() {
    let (old, survivor) = (primary(), follower());
    add_until(&old, 10, "lives", 30);
    let common = follow(&old, &survivor).end;
    add_until(&old, 40, "tail", 0);
    old.set_committed(cut_since(&old, Sequence(0)).end);
    assert_eq!(old.sweep(10), 1);
    old.end_reign();

    survivor.begin_reign(ballot(2), GroupTime(0));
    survivor.grant(Time(u64::MAX), 0);
    add_until(&survivor, 20, "new", 0);
    let keys = old.keys_since(common.sequence, 100).expect("few");
    let repair = || survivor.cut(GroupTime(0), common.sequence, &keys, usize::MAX);
    let refused = old.apply(staged(&survivor, Some(old.position()), repair()));
    assert_eq!(refused, Err(ApplyError::Missing { group_time: 20, missing_before: 30 }));
    assert_eq!(balance(&old, "tail"), Some(1), "nothing was written");
    // Whatever a majority had seen, cells that live now stay.
    let all = cut_since(&survivor, Sequence(0));
    old.apply(staged(&survivor, None, all)).expect("replaces everything");
    assert_eq!((old.sweep(10), balance(&old, "lives")), (0, Some(1)));
    assert_eq!(old.digest(), survivor.digest());

    // Once the time has come again, a batch that builds on what is there does.
    add_until(&survivor, 31, "new", 0);
    follow(&survivor, &old);
    assert_eq!(old.digest(), survivor.digest());
}

#[test]
fn a_swept_slot_is_used_again() {
    let store = primary();
    let mut since = Sequence(0);
    for round in 0..50u64 {
        add_until(&store, round * 10, &format!("a long key that is boxed {round}"), round * 10 + 5);
        let cut = cut_since(&store, since);
        assert_eq!(cut.records.map(|records| records.len()), Some(1));
        since = cut.end.sequence;
        store.set_committed(cut.end);
        store.sweep(10);
    }
    assert!(store.cells() <= 2);
}

const MILLI: u64 = 1_000_000;

/// With room for so many cells, over more shards than that.
fn small(max_cells: usize) -> Store {
    let store = Store::with_hash_seed(Bounds { max_cells, shards: 16, ..bounds() }, 1);
    store.begin_reign(ballot(1), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    store
}

fn try_until(store: &Store, time: u64, key: &str, expires: u64) -> Result<Decided, Refused> {
    let items = [Item { key: key.as_bytes(), args: [1, expires] }];
    store.decide(Time(time), &items, &Bank, Acknowledge::Primary)
}

/// A cut at this group time, held by a majority.
fn pass(store: &Store, time: u64) -> Cut {
    store.pass_time();
    let cut = store.cut(GroupTime(time), Sequence(u64::MAX), &[], 0);
    store.set_committed(cut.end);
    cut
}

/// Used to be refused until somebody had swept, and for ever where nothing else was written.
#[test]
fn a_store_that_is_full_of_expired_cells_takes_a_new_key_at_once() {
    let store = small(2);
    add_until(&store, MILLI, "a", 20 * MILLI);
    add_until(&store, MILLI, "b", 20 * MILLI);
    let full = Err(Refused::Full { what: Bounded::Cells, bound: 2 });
    assert_eq!(try_until(&store, 15 * MILLI, "c", 30 * MILLI), full);
    pass(&store, 19 * MILLI);
    assert_eq!(try_until(&store, 20 * MILLI, "c", 30 * MILLI), full, "a majority has not seen it");
    pass(&store, 21 * MILLI);
    assert_eq!(try_until(&store, 22 * MILLI, "c", 30 * MILLI).map(|d| d.answer.code), Ok(1));
    let keys = ["d", "e"].map(|key| Item { key: key.as_bytes(), args: [1, 40 * MILLI] });
    let both = store.decide(Time(22 * MILLI), &keys, &Bank, Acknowledge::Primary);
    assert_eq!(both, full, "one has room");
    assert_eq!(try_until(&store, 24 * MILLI, "d", 40 * MILLI).map(|d| d.answer.code), Ok(1));
    let usage = store.usage();
    assert_eq!((usage.cells, usage.refused), (2, 3));
    assert_eq!((usage.cells, usage.bytes), store.recount());
}

#[test]
fn whoever_finds_no_room_makes_time_go_on() {
    let store = small(1);
    add_until(&store, MILLI, "a", 20 * MILLI);
    pass(&store, 2 * MILLI);
    for time in [5, 10] {
        assert!(try_until(&store, time * MILLI, "b", 90 * MILLI).is_err());
        assert!(!store.has_changed_since_cut() && !store.take_wake(), "it lives");
    }
    assert!(try_until(&store, 30 * MILLI, "b", 90 * MILLI).is_err());
    assert!(
        store.has_changed_since_cut() && store.take_wake(),
        "it would go if there were a later cut"
    );
    assert!(try_until(&store, 32 * MILLI, "b", 90 * MILLI).is_err());
    assert!(!store.take_wake(), "told once");
    let cut = store.cut(GroupTime(33 * MILLI), Sequence(u64::MAX), &[], 0);
    assert!(try_until(&store, 34 * MILLI, "b", 90 * MILLI).is_err());
    assert!(!store.has_changed_since_cut(), "there is one, and nobody holds it yet");
    store.set_committed(cut.end);
    assert!(try_until(&store, 36 * MILLI, "b", 90 * MILLI).is_ok());
    assert_eq!(store.usage().refused, 5);
}

/// A flood of refused calls must not make the whole store be looked through for each of them.
#[test]
fn of_those_who_find_nothing_to_remove_one_in_a_millisecond_looks() {
    let store = Store::with_hash_seed(Bounds { shards: 1, max_cells: 2_000, ..bounds() }, 1);
    store.begin_reign(ballot(1), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    for number in 0..1_999 {
        add_until(&store, MILLI, &number.to_string(), 500 * MILLI);
    }
    add_until(&store, MILLI, "last", 2 * MILLI);
    pass(&store, 3 * MILLI);
    let tries = |time| {
        let taken = (0..50).filter(|_| try_until(&store, time, "new", 900 * MILLI).is_ok());
        taken.count()
    };
    // A look is at 512 slots.
    let found: Vec<usize> = (4..9).map(|time| tries(time * MILLI)).collect();
    assert_eq!(found, [0, 0, 0, 50, 50]);
}

#[test]
fn time_is_due_while_cells_wait_for_it_and_until_followers_know_of_those_that_went() {
    let (store, follower) = (primary(), follower());
    add_until(&store, 10, "a", 20);
    add_until(&store, 10, "b", 40);
    assert!(!store.is_time_due(GroupTime(100)), "the next cut is one of its own anyway");
    store.set_committed(follow(&store, &follower).end);
    assert!(!store.is_time_due(GroupTime(19)));
    assert!(store.is_time_due(GroupTime(20)));
    assert!(!follower.is_time_due(GroupTime(20)) && !follower.pass_time(), "it does not reign");

    assert!(store.pass_time() && !store.pass_time());
    let cut = store.cut(GroupTime(25), follower.position().sequence, &[], usize::MAX);
    assert!(cut.end > follower.position() && cut.records.as_ref().is_some_and(Records::is_empty));
    assert!(!store.is_time_due(GroupTime(30)), "a majority is to hold that first");
    let batch = staged(&store, Some(follower.position()), cut.clone());
    follower.apply(batch).expect("from the position held");
    store.set_committed(cut.end);
    assert!(store.is_time_due(GroupTime(30)), "the follower was not told");
    assert_eq!((store.sweep(10), follower.sweep(10)), (1, 0));
    assert!(store.is_time_due(GroupTime(30)), "still not");
    store.pass_time();
    follow(&store, &follower);
    assert_eq!(follower.sweep(10), 1);
    assert!(!store.is_time_due(GroupTime(39)));
    assert!(store.is_time_due(GroupTime(40)));
    assert_eq!(store.digest(), follower.digest());
}

/// The first expiry of a shard is known without looking at its cells, and found anew when they are.
#[test]
fn cells_that_are_renewed_are_waited_for_once() {
    let store = Store::with_hash_seed(Bounds { shards: 1, ..bounds() }, 1);
    store.begin_reign(ballot(1), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    add_until(&store, 10, "a", 20);
    add_until(&store, 15, "a", 1_000);
    pass(&store, 16);
    assert!(store.is_time_due(GroupTime(20)));
    pass(&store, 21);
    assert_eq!(store.sweep(10), 0);
    assert!(!store.is_time_due(GroupTime(999)));
    assert!(store.is_time_due(GroupTime(1_000)));
}
