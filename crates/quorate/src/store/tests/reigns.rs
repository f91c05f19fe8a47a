use super::*;
use crate::base::id::GroupId;
use crate::state::{MAX_HISTORY, Meta, Reign};
use crate::store::EPOCH;

#[test]
fn a_reign_begins_with_a_change_at_the_next_boundary() {
    let store = follower();
    store.begin_reign(ballot(1), GroupTime(500));
    assert!(store.position().is_blank(), "held until there is a cut");
    assert!(store.has_changed_since_cut());
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
    let meta = Meta { group_id: Some(GroupId(7)), ..store.meta() };
    store.set_meta(meta.clone());
    assert!(store.has_changed_since_cut());
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
    assert_eq!(try_add(&store, "a", 1), Err(Refused::HandingOver));
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

/// It was elected once more by those that lacked its tail, and lost its reign before they had it:
/// what it decided in both is in doubt.
#[test]
fn what_was_decided_in_an_earlier_reign_stays_in_doubt_in_the_next() {
    let (store, replica) = (primary(), follower());
    add(&store, "a", 3);
    store.set_committed(follow(&store, &replica).end);
    add(&store, "a", 4);
    assert_eq!(store.units_in_doubt(), 4);
    store.begin_reign(ballot(2), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    assert_eq!((store.unreplicated_units(), store.units_in_doubt()), (0, 4));
    add(&store, "b", 5);
    assert_eq!(store.units_in_doubt(), 9);
    store.end_reign();
    assert_eq!(store.units_in_doubt(), 9);
    store.begin_reign(ballot(3), GroupTime(0));
    store.set_committed(cut_since(&store, Sequence(0)).end);
    assert_eq!(store.units_in_doubt(), 0, "a majority holds the first cut, and all before");
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
