use bytes::Bytes;

use super::*;
use crate::base::error::Bounded;
use crate::base::id::{Incarnation, PeerName, nanos};
use crate::model::{DecideContext, Delta};
use crate::store::{
    MAX_MERGE_RECORDS, MAX_MERGE_RECORDS_OF_PEER, MERGE_MEMORY, MERGES, Merged, Overlay,
    SealedBatch,
};

/// When everything here is sealed.
const SEALED: GroupTime = GroupTime(1_000);

fn merge(store: &Store, number: u64, entries: &[(Bytes, Delta)]) -> Result<Merged, Refused> {
    merge_at(store, 1_000, (Incarnation(7), number), SEALED, entries)
}

fn merge_at(
    store: &Store,
    time: u64,
    start: (Incarnation, u64),
    sealed_at: GroupTime,
    entries: &[(Bytes, Delta)],
) -> Result<Merged, Refused> {
    merge_of(store, "b", time, start, sealed_at, entries)
}

fn merge_of(
    store: &Store,
    origin: &str,
    time: u64,
    (incarnation, number): (Incarnation, u64),
    sealed_at: GroupTime,
    entries: &[(Bytes, Delta)],
) -> Result<Merged, Refused> {
    let origin = &PeerName::from(origin);
    let batch = SealedBatch { origin, incarnation, number, sealed_at, entries };
    store.merge(Time(time), &batch, &Bank)
}

fn entry(key: &'static str, amount: u64) -> (Bytes, Delta) {
    (Bytes::from_static(key.as_bytes()), Delta { words: [amount, 0, 0], units: amount })
}

fn decide(overlay: &Overlay, store: &Store, items: &[Item<'_>]) -> Result<Answer, Refused> {
    overlay.decide(store, DecideContext::at(GroupTime(1_000)), items, &Bank)
}

#[test]
fn a_merge_counts_once() {
    let (store, follower) = (primary(), follower());
    add(&store, "a", 1);
    let entries = [entry("a", 5), entry("b", 2), entry("closed", 4)];
    let merged = merge(&store, 1, &entries).expect("authorized");
    assert_eq!((merged.units, merged.dropped, merged.already), (7, 4, false));
    let again = merge(&store, 1, &entries).expect("authorized");
    assert_eq!((again.units, again.dropped, again.already), (0, 0, true));
    assert_eq!(again.position, merged.position, "waits for no more than the merge itself");
    assert_eq!(["a", "b", "closed"].map(|key| balance(&store, key)), [Some(6), Some(2), None]);
    assert_eq!(cut_since(&store, Sequence(0)).units, 8);

    // The record travels with the cells: the next primary knows as well.
    follow(&store, &follower);
    follower.begin_reign(ballot(2), GroupTime(0));
    follower.grant(Time(u64::MAX), 0);
    assert!(merge(&follower, 1, &entries).expect("authorized").already);
    assert!(!merge(&follower, 2, &entries).expect("authorized").already);
    assert_eq!(balance(&follower, "a"), Some(11));
}

#[test]
fn units_beyond_what_can_be_told_are_the_most_that_can() {
    let half = u64::MAX / 2 + 1;
    let entries = [entry("a", half), entry("b", half), entry("closed", half)];
    let store = primary();
    let merged = merge(&store, 1, &entries).expect("authorized");
    assert_eq!((merged.units, merged.dropped), (u64::MAX, 0));
    // Sums of them are exact.
    add_all(&store, ["c", "d", "e"]);
    merge(&store, 2, &[entry("f", u64::MAX)]).expect("authorized");
    assert_eq!(cut_since(&store, Sequence(0)).units, 2 * u128::from(u64::MAX) + 3);
    assert_eq!(store.unreplicated_units(), u64::MAX);
}

#[test]
fn a_merge_that_does_not_fit_changes_nothing() {
    let store = Store::with_hash_seed(Bounds { max_cells: 2, ..bounds() }, 1);
    store.begin_reign(ballot(1), GroupTime(0));
    assert_eq!(merge(&store, 1, &[entry("a", 1)]), Err(Refused::NoAuthority));
    store.grant(Time(u64::MAX), 0);
    let entries = [entry("a", 1), entry("b", 1)];
    assert_eq!(merge(&store, 1, &entries), Err(Refused::Full { what: Bounded::Cells, bound: 2 }));
    assert_eq!(store.cells(), 0);
    assert!(!merge(&store, 1, &entries[..1]).expect("fits with its record").already);
    assert_eq!(record(&store, 7).map(|value| value.words[0]), Some(1));
    assert_eq!((store.usage().cells, store.usage().bytes), store.recount());
}

#[test]
fn a_merge_that_names_a_key_twice_is_refused() {
    let store = primary();
    let refused = merge(&store, 1, &[entry("a", 1), entry("a", 1)]);
    assert!(matches!(refused, Err(Refused::Invalid { bound: 1, .. })));
}

#[test]
fn local_decisions_build_on_what_is_known_and_stay_apart() {
    let (store, overlay) = (primary(), Overlay::new(10));
    add(&store, "a", 10);
    let answer = decide(&overlay, &store, &[item(b"a", 2)]).expect("room");
    assert_eq!((answer.code, answer.units), (1, 2));
    assert_eq!(decide(&overlay, &store, &[item(b"a", -13)]).map(|a| a.code), Ok(0));
    assert_eq!(decide(&overlay, &store, &[item(b"a", -12)]).map(|a| a.code), Ok(1));
    assert_eq!(balance(&store, "a"), Some(10));
    assert_eq!(overlay.units(), 2);
}

#[test]
fn units_of_several_keys_are_split_and_the_first_gets_the_remainder() {
    let (store, overlay) = (primary(), Overlay::new(10));
    let items = [item(b"c", 1), item(b"unchanged", 0), item(b"a", 4)];
    decide(&overlay, &store, &items).expect("room");
    let sealed = overlay.seal(10, SEALED).expect("two entries");
    let units: Vec<_> = sealed.entries.iter().map(|(key, d)| (&key[..], d.units)).collect();
    assert_eq!(units, [(b"a".as_slice(), 2), (b"c", 3)]);
    assert_eq!(sealed.units, 5);
}

#[test]
fn a_sealed_batch_stays_until_it_is_confirmed() {
    let (store, overlay) = (primary(), Overlay::new(10));
    assert_eq!(overlay.seal(10, SEALED), None);
    for key in ["a", "b", "c"] {
        decide(&overlay, &store, &[item(key.as_bytes(), 1)]).expect("room");
    }
    let first = overlay.seal(2, SEALED).expect("three entries");
    assert_eq!((first.number, first.entries.len(), first.units), (1, 2, 2));
    decide(&overlay, &store, &[item(b"a", 1)]).expect("room");
    assert_eq!(overlay.seal(2, SEALED).as_ref(), Some(&first), "the same until confirmed");
    assert_eq!(overlay.confirm(9), 0);
    assert_eq!(overlay.confirm(1), 2);
    assert_eq!(overlay.confirm(1), 0);
    let second = overlay.seal(10, SEALED).expect("a again, and c");
    assert_eq!((second.number, second.units), (2, 2));
    let deltas: Vec<_> = second.entries.iter().map(|(_, delta)| delta.words[0]).collect();
    assert_eq!(deltas, [1, 1], "only what was decided since");
    assert_eq!(overlay.confirm(2), 2);
    assert!(overlay.is_empty());
    assert_eq!(overlay.seal(10, SEALED), None);
}

#[test]
fn a_full_overlay_refuses_new_keys_only() {
    let (store, overlay) = (primary(), Overlay::new(2));
    decide(&overlay, &store, &[item(b"a", 1)]).expect("room");
    let both = [item(b"b", 1), item(b"c", 1)];
    assert_eq!(
        decide(&overlay, &store, &both),
        Err(Refused::Full { what: Bounded::OverlayKeys, bound: 2 })
    );
    decide(&overlay, &store, &both[..1]).expect("room");
    decide(&overlay, &store, &[item(b"a", 1)]).expect("it is there");
    assert_eq!(decide(&overlay, &store, &[item(b"c", -1)]).map(|a| a.code), Ok(0));
    overlay.seal(10, SEALED);
    let again = decide(&overlay, &store, &[item(b"a", 1)]);
    assert_eq!(
        again,
        Err(Refused::Full { what: Bounded::OverlayKeys, bound: 2 }),
        "sealed entries count"
    );
    assert_eq!(overlay.discard(), 3);
    assert!(overlay.is_empty());
    assert_eq!(overlay.confirm(1), 0, "discarded");
}

#[test]
fn what_was_decided_alone_arrives_once() {
    let (store, overlay) = (primary(), Overlay::new(100));
    add(&store, "a", 10);
    for key in ["a", "b", "a", "c"] {
        decide(&overlay, &store, &[item(key.as_bytes(), 3)]).expect("room");
    }
    add(&store, "a", 100);
    while let Some(sealed) = overlay.seal(2, SEALED) {
        merge(&store, sealed.number, &sealed.entries).expect("authorized");
        let again = merge(&store, sealed.number, &sealed.entries).expect("authorized");
        assert!(again.already);
        overlay.confirm(sealed.number);
    }
    assert_eq!(["a", "b", "c"].map(|key| balance(&store, key)), [Some(116), Some(3), Some(3)]);
}

fn record(store: &Store, incarnation: u64) -> Option<Value> {
    let records = (0..MAX_MERGE_RECORDS_OF_PEER as u8).map(|n| store.read(MERGES, &[b'b', n]));
    records.flatten().find(|record| record.words[1] == incarnation)
}

/// Each used to leave a cell for ever.
#[test]
fn a_merge_that_changes_nothing_leaves_nothing() {
    let store = primary();
    cut_since(&store, Sequence(0));
    assert!(matches!(merge(&store, 1, &[]), Err(Refused::Invalid { bound: 1, .. })));
    let closed = merge(&store, 1, &[entry("closed", 4)]).expect("authorized");
    assert_eq!((closed.units, closed.dropped), (0, 4));
    assert!(!closed.is_recorded && !closed.already && closed.wake);
    assert_eq!((store.cells(), record(&store, 7)), (0, None));
    assert!(cut_since(&store, Sequence(0)).end > closed.position, "waits for a cut of its own");
    let merged = merge(&store, 2, &[entry("a", 1)]).expect("authorized");
    assert!(merged.is_recorded);
    assert!(merge(&store, 1, &[entry("a", 1)]).expect("authorized").already, "an older number");
}

/// A batch is taken for as long as its merge is remembered, and no longer: however often it comes,
/// and however the time of the group jumps, it counts once.
#[test]
fn a_repeat_is_known_or_refused_whenever_it_comes() {
    let memory = nanos(MERGE_MEMORY);
    let entries = [entry("a", 5)];
    for sealed_at in [1, 1_000, 5_000] {
        let (store, seal) = (primary(), GroupTime(sealed_at));
        let at = |time| merge_at(&store, time, (Incarnation(7), 1), seal, &entries);
        assert!(!at(2_000).expect("it is new").already);
        assert!(at(sealed_at + memory - 1).expect("remembered").already);
        let late = Err(Refused::Forgotten { memory: MERGE_MEMORY });
        assert_eq!(at(sealed_at + memory), late);
        assert_eq!(balance(&store, "a"), Some(5), "sealed at {sealed_at}");
        let expires = record(&store, 7).map(|record| record.expires);
        assert_eq!(expires, Some(GroupTime(sealed_at.max(2_000) + memory)));
        pass(&store, sealed_at + memory + 5_000);
        store.sweep(10);
        assert_eq!(record(&store, 7), None);
        assert_eq!(at(sealed_at + memory + 6_000), late);
    }
    // Of one that does not say.
    let store = primary();
    let at = |time| merge_at(&store, time, (Incarnation(7), 1), GroupTime(0), &entries);
    assert!(!at(2_000).expect("it is new").already);
    assert!(at(2_000 + memory - 1).expect("remembered").already);
    assert_eq!(record(&store, 7).map(|record| record.expires), Some(GroupTime(2_000 + memory)));
}

/// It was remembered for two weeks, and taken again for as long as its clock was ahead.
#[test]
fn a_merge_from_a_clock_that_is_ahead_counts_once() {
    let memory = nanos(MERGE_MEMORY);
    let entries = [entry("a", 5)];
    let store = primary();
    let at = |time, ahead| {
        let sealed_at = GroupTime(2_000 + ahead);
        merge_at(&store, time, (Incarnation(7), 1), sealed_at, &entries)
    };
    let ahead = Err(Refused::Ahead { most: MERGE_MEMORY });
    assert_eq!(at(2_000, 5 * memory), ahead);
    assert_eq!(at(2_000, memory + 1), ahead);
    assert_eq!(store.cells(), 0);
    assert!(Refused::Ahead { most: MERGE_MEMORY }.is_for_good());
    assert!(!at(2_000, memory).expect("it is new").already);
    assert!(at(2_000 + 2 * memory - 1, memory).expect("remembered").already);
    assert_eq!(at(2_000 + 2 * memory, memory), Err(Refused::Forgotten { memory: MERGE_MEMORY }));
    assert_eq!(balance(&store, "a"), Some(5));
}

/// One client that came back time and again took all records: nobody else's merges were taken for a
/// week.
#[test]
fn no_peer_takes_all_records_of_merges() {
    let store = primary();
    let one = |origin: &str, time: u64, start: u64| {
        let start = (Incarnation(start), 1);
        merge_of(&store, origin, time, start, GroupTime(time), &[entry("a", 1)])
    };
    let max = MAX_MERGE_RECORDS_OF_PEER as u64;
    for start in 0..max {
        one("x", 1_000, start).expect("there is room");
    }
    let full = Err(Refused::Full { what: Bounded::MergeRecords, bound: max });
    assert_eq!(one("x", 1_000, max), full);
    assert!(one("x", 1_000, 0).expect("it is there").already);
    one("y", 1_000, max).expect("it is another peer");
    assert_eq!(balance(&store, "a"), Some(max + 1));
    // Those that are remembered no more make room, whether they have been swept or not.
    let later = 1_000 + nanos(MERGE_MEMORY);
    assert!(!one("x", later, max).expect("the others have expired").already);
    assert!(one("x", later, max).expect("it is there").already);
}

/// A cut at this group time, held by a majority.
fn pass(store: &Store, time: u64) {
    store.pass_time();
    let cut = store.cut(GroupTime(time), Sequence(u64::MAX), &[], 0);
    store.set_committed(cut.end);
}

#[test]
fn records_of_merges_have_a_bound_and_make_room_when_they_expire() {
    let bounds = Bounds { max_cells: 1 << 20, ..bounds() };
    let store = Store::with_hash_seed(bounds, 1);
    store.begin_reign(ballot(1), GroupTime(0));
    store.grant(Time(u64::MAX), 0);
    let of_peer = MAX_MERGE_RECORDS_OF_PEER as u64;
    let one = |time: u64, incarnation: u64| {
        let (origin, start) = (incarnation / of_peer, (Incarnation(incarnation), 1));
        let origin = format!("p{origin}");
        merge_of(&store, &origin, time, start, GroupTime(time), &[entry("a", 1)])
    };
    let max = MAX_MERGE_RECORDS as u64;
    for incarnation in 0..max {
        one(1_000, incarnation).expect("there is room");
    }
    let full = Refused::Full { what: Bounded::MergeRecords, bound: max };
    assert_eq!(one(1_000, max), Err(full));
    assert_eq!(balance(&store, "a"), Some(max), "nothing was written");
    assert!(one(1_000, 0).expect("it is there").already);
    assert_eq!((store.usage().cells, store.usage().bytes), store.recount());
    let later = 2_000 + nanos(MERGE_MEMORY);
    pass(&store, later);
    one(later, max).expect("the others have expired");
    assert_eq!((store.usage().cells, store.usage().bytes), store.recount());

    // A follower counts them as well.
    let follower = follower();
    let cut = cut_since(&store, Sequence(0));
    follower.apply(staged(&store, None, cut)).expect("replaces everything");
    assert_eq!((follower.usage().cells, follower.usage().bytes), follower.recount());
}
