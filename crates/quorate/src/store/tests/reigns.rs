use super::*;
use crate::protocol::message::{MAX_HISTORY, Meta, Reign};
use crate::store::EPOCH;

#[test]
fn a_reign_begins_with_a_change_at_the_next_boundary() {
    let store = follower();
    store.begin_reign(ballot(1), GroupTime(500));
    assert!(store.position().is_blank(), "held until there is a cut");
    assert!(store.take_dirty());
    assert_eq!(store.meta().history, [Reign { ballot: ballot(1), after: Sequence(0) }]);
    assert_eq!(try_add(&store, "a", 1), Err(Refused::NoAuthority), "not granted yet");
    let first = cut_since(&store, Sequence(0));
    let position = Position { ballot: ballot(1), sequence: Sequence(2 * EPOCH) };
    assert_eq!((first.end, first.units), (position, 0));
    assert_eq!(store.group_time(), GroupTime(500));

    let last = store.end_reign();
    assert_eq!(last, position, "nothing was decided");
    store.begin_reign(ballot(2), GroupTime(400));
    store.grant(Time(u64::MAX), 0);
    assert_eq!(add(&store, "a", 1).position.sequence, Sequence(3 * EPOCH + 2));
    assert_eq!(store.meta().history[1], Reign { ballot: ballot(2), after: Sequence(2 * EPOCH) });
    let cut = cut_since(&store, Sequence(0));
    assert_eq!(cut.end, Position { ballot: ballot(2), sequence: Sequence(4 * EPOCH) });
    assert_eq!(cut.group_time, GroupTime(1_000));
}

#[test]
fn a_history_forgets_its_oldest_reigns() {
    let store = follower();
    for term in 1..=MAX_HISTORY as u64 + 3 {
        store.begin_reign(ballot(term), GroupTime(0));
    }
    let history = store.meta().history;
    assert_eq!(history.len(), MAX_HISTORY);
    assert_eq!(history[0].ballot, ballot(4));
}

#[test]
fn a_new_membership_is_a_change() {
    let store = primary();
    let first = cut_since(&store, Sequence(0));
    let meta = Meta { group_id: Some(crate::id::GroupId(7)), ..store.meta() };
    store.set_meta(meta.clone());
    assert!(store.take_dirty());
    assert!(cut_since(&store, Sequence(0)).end > first.end);
    assert_eq!(store.meta(), meta);
}

#[test]
fn authority_ends_with_the_lease() {
    let store = primary();
    store.grant(Time(1_001), 0);
    let decided = add(&store, "a", 1);
    assert!(store.is_authorized(Time(1_000), decided.position.ballot));
    assert!(!store.is_authorized(Time(1_001), decided.position.ballot));
    assert!(!store.is_authorized(Time(1_000), ballot(2)));
    store.grant(Time(1_000), 0);
    assert_eq!(try_add(&store, "a", 1), Err(Refused::NoAuthority));
}

#[test]
fn a_hold_refuses_and_keeps_the_answers_of_what_was_decided_before() {
    let store = primary();
    let decided = add(&store, "a", 1);
    store.hold();
    store.settle();
    assert_eq!(try_add(&store, "a", 1), Err(Refused::Held));
    assert!(store.is_authorized(Time(1_000), decided.position.ballot));
    store.grant(Time(u64::MAX), 0);
    add(&store, "a", 1);
    store.revoke();
    assert_eq!(try_add(&store, "a", 1), Err(Refused::NoAuthority));
    assert!(!store.is_authorized(Time(1_000), decided.position.ballot));
}

#[test]
fn a_peer_that_does_not_reign_gets_no_authority() {
    let store = primary();
    store.end_reign();
    store.grant(Time(u64::MAX), 0);
    assert_eq!(try_add(&store, "a", 1), Err(Refused::NoAuthority));
}

#[test]
fn the_end_of_a_reign_covers_everything_decided() {
    let store = primary();
    cut_since(&store, Sequence(0));
    let decided = add(&store, "a", 1);
    let last = store.end_reign();
    assert!(decided.position < last);
    assert_eq!(store.position(), last);
    assert_eq!(store.end_reign(), last);
}

#[test]
fn a_deposed_primary_counts_what_it_gives_up() {
    let (old, new) = (primary(), follower());
    add(&old, "a", 3);
    let common = follow(&old, &new).end;
    add(&old, "a", 4);
    add(&old, "b", 5);
    old.end_reign();
    assert_eq!(old.give_up_units(common.sequence), Some(9));
    assert_eq!(old.give_up_units(Sequence(common.sequence.0 - 1)), None, "no cut");
    assert_eq!(old.give_up_units(Sequence(0)), Some(12));

    new.begin_reign(ballot(2), GroupTime(0));
    new.grant(Time(u64::MAX), 0);
    add(&new, "a", 100);
    repair(&new, &old, common);
    assert_eq!(old.digest(), new.digest());
    assert_eq!(old.unreplicated_units(), 0);
    assert_eq!(old.give_up_units(common.sequence), Some(0), "given up once");
    assert_eq!(old.give_up_units(Sequence(0)), Some(3), "of what is left");
}

/// Brings a peer with changes past `common` to a cut of another history.
fn repair(primary: &Store, tail: &Store, common: Position) {
    let keys = tail.keys_since(common.sequence, 100).expect("few");
    let cut = primary.cut(GroupTime(0), common.sequence, &keys, usize::MAX);
    let batch = staged(primary, Some(tail.position()), cut);
    tail.apply(batch).expect("from the position held");
}

#[test]
fn a_longer_tail_is_replaced_by_a_shorter_history() {
    let (old, new) = (primary(), follower());
    add_all(&old, 0..20);
    let common = follow(&old, &new).end;
    for number in 10..40 {
        add(&old, &number.to_string(), 1);
        cut_since(&old, common.sequence);
    }
    let tail = old.end_reign();
    new.begin_reign(ballot(2), GroupTime(0));
    new.grant(Time(u64::MAX), 0);
    add(&new, "15", 7);
    repair(&new, &old, common);
    assert!(old.position().sequence < tail.sequence);
    assert_eq!(old.digest(), new.digest());
    let all = |store: &Store| cut_since(store, Sequence(0)).records.expect("small");
    assert_eq!(sorted(&all(&old)), sorted(&all(&new)), "the feed of the old one is whole");
    add(&new, "16", 7);
    follow(&new, &old);
    assert_eq!(old.digest(), new.digest());
}

#[test]
fn a_cleared_store_is_blank_and_can_begin_again() {
    let store = primary();
    add(&store, "a", 1);
    cut_since(&store, Sequence(0));
    store.clear();
    assert!(store.position().is_blank());
    assert_eq!((store.cells(), store.meta()), (0, Meta::default()));
    assert_eq!(try_add(&store, "a", 1), Err(Refused::NoAuthority));
    store.begin_reign(ballot(9), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    add(&store, "a", 2);
    assert_eq!(cut_since(&store, Sequence(0)).units, 2);
}

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

/// Followers used to keep every cell for a minute more: a switch of the primary then met a store that
/// was full of them.
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
