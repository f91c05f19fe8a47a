use super::*;
use crate::base::error::Bounded;
use crate::base::id::Lead;
use crate::model::{DecideContext, MAX_ITEMS, MAX_KEY_BYTES};

#[test]
fn a_blank_store_decides_nothing() {
    let store = follower();
    assert_eq!(try_add(&store, "a", 1), Err(Refused::NoAuthority));
    assert!(store.position().is_blank());
    assert_eq!(store.cells(), 0);
}

#[test]
fn decisions_are_numbered_in_order_and_denials_too() {
    let store = primary();
    let first = add(&store, "a", 5);
    let denied = add(&store, "a", -6);
    let second = add(&store, "b", 5);
    assert_eq!(denied.answer.code, 0);
    assert!(first.position < denied.position && denied.position < second.position);
    assert_eq!(first.position.ballot, ballot(1));
    assert_eq!(balance(&store, "a"), Some(5));
}

#[test]
fn the_first_change_after_a_cut_wakes_the_sender() {
    let store = primary();
    assert!(store.has_changed_since_cut(), "the reign is a change");
    cut_since(&store, Sequence(0));
    assert!(!store.has_changed_since_cut());
    assert!(!add(&store, "a", -1).wake, "a denial is none");
    assert!(add(&store, "a", 1).wake);
    assert!(!add(&store, "a", 1).wake);
    assert!(store.has_changed_since_cut());
    cut_since(&store, Sequence(0));
    assert!(add(&store, "a", 1).wake);
}

#[test]
fn an_operation_on_several_keys_changes_all_or_none() {
    let store = primary();
    add(&store, "a", 5);
    let transfer = |amount: i64| {
        let items = [item(b"b", amount), item(b"a", -amount)];
        store.decide(Time(1_000), &items, &Bank, Acknowledge::Primary).expect("authorized")
    };
    assert_eq!(transfer(6).answer.code, 0);
    assert_eq!((balance(&store, "a"), balance(&store, "b")), (Some(5), None));
    assert_eq!(transfer(2).answer.units, 2);
    assert_eq!((balance(&store, "a"), balance(&store, "b")), (Some(3), Some(2)));
}

#[test]
fn unusable_operations_are_refused_with_their_bound() {
    let store = primary();
    let decide = |items: &[Item<'_>]| {
        store.decide(Time(1_000), items, &Bank, Acknowledge::Primary).expect_err("unusable")
    };
    let bound_of = |refused| match refused {
        Refused::Invalid { bound, .. } => bound,
        other => panic!("{other}"),
    };
    let keys: Vec<[u8; 1]> = (0..=MAX_ITEMS as u8).map(|key| [key]).collect();
    let many: Vec<Item<'_>> = keys.iter().map(|key| item(key, 1)).collect();
    assert_eq!(bound_of(decide(&[])), MAX_ITEMS as u64);
    assert_eq!(bound_of(decide(&many)), MAX_ITEMS as u64);
    assert_eq!(bound_of(decide(&[item(b"", 1)])), MAX_KEY_BYTES as u64);
    assert_eq!(bound_of(decide(&[item(&[0; MAX_KEY_BYTES + 1], 1)])), MAX_KEY_BYTES as u64);
    assert_eq!(bound_of(decide(&[item(b"a", 1), item(b"a", 1)])), 1);
    assert_eq!(store.cells(), 0);
}

/// Adds an amount, or asks whether it could be added: an item's second argument.
struct Asking;

impl Model for Asking {
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], _: GroupTime) -> Answer {
        for (item, cell) in items.iter().zip(cells) {
            match item.args {
                [beside, 1] => cell.ask(beside as u8),
                [amount, _] => cell.set(Value { words: [amount, 0, 0], expires: GroupTime::MAX }),
            }
        }
        Answer { code: 1, ..Answer::default() }
    }

    fn accumulate(&self, _: &Item<'_>, _: Option<&Value>, _: &Value, _: &mut Delta) {}

    fn merge(&self, _: &[u8], _: &Delta, _: &mut Cell, _: GroupTime) -> u64 {
        0
    }
}

/// It was told that it would be taken.
#[test]
fn what_only_asks_is_refused_where_what_it_asks_about_would_be() {
    let full = |what, bound| Err(Refused::Full { what, bound });
    for (bounds, error) in [
        (Bounds { max_cells: 2, ..bounds() }, full(Bounded::Cells, 2)),
        (Bounds { max_bytes: 2 * CELL_BYTES, ..bounds() }, full(Bounded::Bytes, 256)),
    ] {
        let store = Store::with_hash_seed(bounds, 1);
        store.begin_reign(ballot(1), GroupTime(0));
        store.grant(Time(u64::MAX), 0);
        let decide = |items: &[(&'static str, [u64; 2])]| {
            let item = |(key, args): &(&'static str, _)| Item { key: key.as_bytes(), args: *args };
            let items: Vec<Item<'_>> = items.iter().map(item).collect();
            let decided = store.decide(Time(1_000), &items, &Asking, Acknowledge::Primary);
            decided.map(|decided| decided.changed)
        };
        let (add, ask) = ([1, 0], [0, 1]);
        assert_eq!(decide(&[("a", ask)]), Ok(false), "there is room for one more");
        assert_eq!(decide(&[("a", [2, 1])]), error, "and not for two beside it");
        assert_eq!(decide(&[("a", ask), ("b", ask), ("c", ask)]), error);
        assert_eq!(decide(&[("a", add), ("b", add)]), Ok(true));
        for items in [&[("c", ask)][..], &[("a", ask), ("c", ask)], &[("c", add)], &[("a", [1, 1])]]
        {
            assert_eq!(decide(items), error, "{items:?}");
        }
        assert_eq!(decide(&[("a", ask)]), Ok(false), "what is there goes on");
        assert_eq!(decide(&[("a", ask), ("b", ask)]), Ok(false));
        assert_eq!(store.usage().refused, 6);
    }
}

#[test]
fn the_longest_key_and_the_most_items_are_usable() {
    let store = primary();
    let keys: Vec<Vec<u8>> = (0..MAX_ITEMS as u8).map(|key| vec![key; MAX_KEY_BYTES]).collect();
    let items: Vec<Item<'_>> = keys.iter().map(|key| item(key, 1)).collect();
    let decided = store.decide(Time(1_000), &items, &Bank, Acknowledge::Primary);
    assert_eq!(decided.map(|decided| decided.answer.units), Ok(MAX_ITEMS as u64));
    assert_eq!(store.cells(), MAX_ITEMS);
}

#[test]
fn a_full_table_refuses_new_keys_before_anything_is_written() {
    let store = Store::with_hash_seed(Bounds { max_cells: 2, ..bounds() }, 1);
    store.begin_reign(ballot(1), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    add(&store, "a", 5);
    let full = Err(Refused::Full { what: Bounded::Cells, bound: 2 });
    let both = [item(b"a", 1), item(b"b", 1), item(b"c", 1)];
    let decided = store.decide(Time(1_000), &both, &Bank, Acknowledge::Primary);
    assert_eq!(decided, full);
    assert_eq!(balance(&store, "a"), Some(5));
    add(&store, "b", 1);
    assert_eq!(try_add(&store, "c", 1), full);
    assert_eq!(add(&store, "a", 1).answer.code, 1, "a key that is there is not refused");
    assert_eq!(try_add(&store, "c", -1).map(|denied| denied.answer.code), Ok(0));
    assert_eq!(store.cells(), 2);
    assert_eq!((store.usage().refused, store.usage().bytes), (2, 2 * CELL_BYTES));
}

#[test]
fn memory_is_refused_to_new_keys_before_anything_is_written() {
    let long = "k".repeat(100);
    let max_bytes = 2 * CELL_BYTES + cell_bytes(long.len()) - 1;
    let store = Store::with_hash_seed(Bounds { max_bytes, ..bounds() }, 1);
    store.begin_reign(ballot(1), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    add(&store, "a", 5);
    let full = Err(Refused::Full { what: Bounded::Bytes, bound: max_bytes as u64 });
    let all = [item(b"a", 1), item(b"b", 1), item(long.as_bytes(), 1)];
    assert_eq!(store.decide(Time(1_000), &all, &Bank, Acknowledge::Primary), full);
    assert_eq!((balance(&store, "a"), balance(&store, "b")), (Some(5), None));
    assert_eq!((store.usage().cells, store.usage().bytes), (1, CELL_BYTES));
    add(&store, "b", 1);
    assert_eq!(try_add(&store, &long, 1), full, "it is a byte too long");
    add(&store, "c", 1);
    assert_eq!(add(&store, "a", 1).answer.code, 1, "a key that is there is not refused");
    assert_eq!((store.usage().cells, store.usage().bytes), (3, 3 * CELL_BYTES));
}

/// Cells that are made together, and cells of which each has a cut of its own and changes once
/// more.
#[test]
fn tables_take_about_what_cells_are_counted_with() {
    let fixed = bounds().shards * 10 * 1024;
    for (cells, has_cuts) in [(1_000, false), (1_000, true), (6_000, false), (6_000, true)] {
        let store = primary();
        for key in (0..cells).chain(0..cells) {
            add(&store, &key.to_string(), 1);
            if has_cuts {
                cut_since(&store, Sequence(u64::MAX >> 1));
            }
        }
        let (counted, allocated) = (store.usage().bytes, store.allocated_bytes() - fixed);
        assert_eq!(counted, cells * CELL_BYTES);
        assert!((counted / 3..counted * 9 / 8).contains(&allocated), "{cells}: {allocated}");
    }
}

#[test]
fn a_follower_holds_what_the_primary_has_decided_beyond_its_own_bounds() {
    let store = primary();
    add_all(&store, ["a", "b", "c"]);
    let bounds = Bounds { max_cells: 2, max_bytes: 1, ..bounds() };
    let follower = Store::with_hash_seed(bounds, 2);
    follow(&store, &follower);
    let usage = follower.usage();
    assert_eq!((usage.cells, usage.bytes, usage.refused), (3, 3 * CELL_BYTES, 0));
    // When it reigns it makes no more of them, and those that are there go on.
    follower.begin_reign(ballot(2), GroupTime(0));
    follower.grant(Time(u64::MAX), 0);
    let full = Refused::Full { what: Bounded::Cells, bound: 2 };
    assert_eq!(try_add(&follower, "d", 1), Err(full));
    assert_eq!(add(&follower, "c", 1).answer.code, 1);
}

#[test]
fn a_majority_is_waited_for_only_if_something_changed() {
    let store = primary();
    let decide = |amount| {
        let items = [item(b"a", amount)];
        store.decide(Time(1_000), &items, &Bank, Acknowledge::Majority).expect("authorized")
    };
    assert!(!decide(-1).must_wait);
    assert!(decide(1).must_wait);
    assert!(decide(-1).must_wait, "a change without units is one");
}

#[test]
fn answers_wait_once_more_units_than_may_be_lost_are_unreplicated() {
    let store = primary();
    store.set_max_unreplicated(10);
    assert!(!add(&store, "a", 10).must_wait);
    assert!(add(&store, "b", 1).must_wait);
    assert_eq!(store.unreplicated_units(), 11);
    let cut = cut_since(&store, Sequence(0));
    assert_eq!(cut.units, 11);
    add(&store, "b", 4);
    store.set_committed(cut.end);
    assert_eq!(store.committed(), cut.end);
    assert_eq!(store.unreplicated_units(), 4);
    assert!(!add(&store, "b", 6).must_wait);
    assert!(add(&store, "b", 1).must_wait);
}

#[test]
fn an_expired_cell_is_absent_to_operations() {
    let store = primary();
    add_until(&store, 10, "a", 20);
    add_until(&store, 19, "a", 20);
    assert_eq!(balance(&store, "a"), Some(2));
    add_until(&store, 20, "a", 30);
    assert_eq!(balance(&store, "a"), Some(1));
}

#[test]
fn an_expiry_never_moves_to_an_earlier_time() {
    let store = primary();
    add_until(&store, 10, "a", 100);
    add_until(&store, 10, "a", 50);
    let value = store.read(crate::store::MODEL, b"a").expect("just written");
    assert_eq!(value.expires, GroupTime(100));
}

#[test]
fn group_time_never_goes_back() {
    let store = primary();
    assert_eq!(add_until(&store, 10, "a", 0).context.now(), GroupTime(10));
    assert_eq!(add_until(&store, 5, "b", 0).context.now(), GroupTime(10));
    let cut = store.cut(GroupTime(15), Sequence(0), &[], usize::MAX);
    assert_eq!(cut.group_time, GroupTime(15));
    assert_eq!(add_until(&store, 12, "a", 0).context.now(), GroupTime(15));
    store.grant(Time(u64::MAX), -5);
    assert_eq!(add_until(&store, 21, "a", 0).context.now(), GroupTime(16));
    let cut = store.cut(GroupTime(0), Sequence(0), &[], usize::MAX);
    assert_eq!(cut.group_time, GroupTime(16), "not behind any operation in it");
}

/// One operation of the most units there are used to fill the sums for good: whatever was decided
/// after it was answered at once, as if nothing were unreplicated.
#[test]
fn the_bound_holds_after_operations_of_any_size_and_in_the_next_reign() {
    let store = primary();
    store.set_max_unreplicated(100);
    let decide = |key: &str, units| {
        let item = Item { key: key.as_bytes(), args: [units, 0] };
        store.decide(Time(1_000), &[item], &Meter, Acknowledge::Primary).expect("authorized")
    };
    for key in ["a", "b", "c"] {
        assert!(decide(key, u64::MAX).must_wait, "more than may be lost");
        assert!(decide(key, 1).must_wait, "and so is what comes on top of it");
    }
    assert_eq!(store.unreplicated_units(), u64::MAX, "as many as can be told");
    assert!(store.is_bound_reached() && store.is_bound_near());

    store.set_committed(cut_since(&store, Sequence(0)).end);
    assert_eq!(store.unreplicated_units(), 0);
    assert!(!store.is_bound_reached() && !store.is_bound_near());
    assert!(!decide("d", 90).must_wait);
    assert!(decide("d", 11).must_wait, "101 are unreplicated");
    assert_eq!(store.unreplicated_units(), 101);

    let end = store.end_reign();
    assert_eq!(store.unreplicated_units(), 101);
    store.begin_reign(ballot(2), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    assert!(!decide("e", 90).must_wait);
    let cut = cut_since(&store, end.sequence);
    assert_eq!(cut.units, 90);
    store.set_committed(cut.end);
    assert_eq!(store.unreplicated_units(), 0);
    assert!(!decide("f", 90).must_wait, "everything before it is committed");
}

/// A model of which every cell lives for 100 by the calendar, and that tells both clocks.
struct Clocks;

impl Model for Clocks {
    fn decide(&self, _: &[Item<'_>], _: &mut [Cell], _: GroupTime) -> Answer {
        unreachable!("it asks for both clocks")
    }

    fn decide_at(&self, context: DecideContext, _: &[Item<'_>], cells: &mut [Cell]) -> Answer {
        let seen = cells[0].value().map_or(0, |value| value.expires.0);
        if seen == 0 {
            let expires = GroupTime(context.now().0 + 100);
            cells[0].set(Value { words: [1, 0, 0], expires });
        }
        let words = [context.now().0, context.steady().0, seen, 0, 0, 0];
        Answer { code: 1, units: 0, words }
    }

    fn accumulate(&self, _: &Item<'_>, _: Option<&Value>, _: &Value, _: &mut Delta) {}

    fn merge(&self, _: &[u8], _: &Delta, _: &mut Cell, _: GroupTime) -> u64 {
        0
    }
}

fn lead(nanos: u64) -> Lead {
    Lead { nanos, jumped: GroupTime(nanos / 100) }
}

/// The calendar, the steady clock, and the expiry that is seen, 0 for an absent cell.
fn clocks(store: &Store, time: u64, key: &str) -> [u64; 3] {
    let items = [item(key.as_bytes(), 0)];
    let decided = store.decide(Time(time), &items, &Clocks, Acknowledge::Primary);
    let words = decided.expect("the store may decide").answer.words;
    [words[0], words[1], words[2]]
}

/// The clock of a majority was put right, and everything that was held had lapsed.
#[test]
fn an_expiry_moves_along_where_the_calendar_is_put_forward() {
    let store = primary();
    assert_eq!(clocks(&store, 1_000, "a"), [1_000, 1_000, 0]);
    store.put_forward(lead(45_000));
    assert_eq!(clocks(&store, 1_050, "a"), [46_050, 1_050, 46_100], "50 are left of 100");
    assert_eq!(clocks(&store, 1_050, "b"), [46_050, 1_050, 0]);
    store.put_forward(lead(50_000));
    assert_eq!(clocks(&store, 1_099, "a"), [51_099, 1_099, 51_100]);
    assert_eq!(clocks(&store, 1_149, "b"), [51_149, 1_149, 51_150]);
    assert_eq!(clocks(&store, 1_150, "a")[2], 0, "it has expired");
    // One that never comes does not move.
    add_until(&store, 1_150, "c", 0);
    assert_eq!(clocks(&store, 1_200, "c")[2], u64::MAX);
}

#[test]
fn a_follower_takes_over_both_clocks_and_holds_equal_cells() {
    let (primary, follower) = (primary(), follower());
    clocks(&primary, 1_000, "a");
    primary.put_forward(lead(45_000));
    clocks(&primary, 1_050, "b");
    let cut = follow(&primary, &follower);
    assert_eq!((cut.group_time, cut.lead), (GroupTime(1_050), lead(45_000)));
    assert_eq!((follower.group_time(), follower.lead()), (cut.group_time, cut.lead));
    assert_eq!(primary.digest(), follower.digest());
    primary.end_reign();
    follower.begin_reign(ballot(2), GroupTime(1_060));
    follower.grant(Time(u64::MAX), 0);
    assert_eq!(clocks(&follower, 1_070, "a"), [46_070, 1_070, 46_100]);
    // What another history has put forward goes with it.
    let blank = Store::with_hash_seed(bounds(), 3);
    blank.put_forward(lead(99));
    blank.clear();
    assert_eq!(blank.lead(), Lead::default());
}
