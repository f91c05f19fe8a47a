//! Group time by two clocks: the steady one shows what has passed, whatever becomes of wall clocks
//! (docs/protocol.md, section 9).

use std::time::Duration;

use super::group::{Group, VERIFY, others};
use crate::base::id::{PeerName, nanos};
use crate::protocol::io::Input;
use crate::protocol::message::Message;

const SECOND: Duration = Duration::from_secs(1);

/// What both clocks show at a primary, in seconds.
fn read(group: &mut Group, primary: &PeerName) -> (f64, f64) {
    let decided = group.add(primary.as_str(), "k", 1).expect("it is primary");
    let seconds = |time: u64| (time as f64 - 1.7e18) / 1e9;
    (seconds(decided.context.now().0), seconds(decided.context.steady().0))
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() < 0.2
}

/// Two of three run 45 s slow, and one of these is put right: the calendar jumps, and nothing has
/// passed by that.
#[test]
fn a_clock_that_is_put_right_moves_the_calendar_alone() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.walls = [("b".into(), -45), ("c".into(), -45)].into();
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(3 * SECOND);
    let primary = group.primary().expect("founded");
    let (calendar, steady) = read(&mut group, &primary);
    assert!(close(calendar, steady), "they have never been apart");
    group.walls.insert("b".into(), 0);
    group.run(3 * SECOND);
    let (jumped, passed) = read(&mut group, &primary);
    assert!(close(jumped, calendar + 48.0), "{calendar} {jumped}");
    assert!(close(passed, steady + 3.0), "{steady} {passed}");
    // And back: neither goes back, and both are slow until the walls have caught up.
    group.walls.insert("b".into(), -45);
    group.run(100 * SECOND);
    let (slowed, held_back) = read(&mut group, &primary);
    assert!(close(slowed, jumped + 90.0), "{jumped} {slowed}");
    assert!(close(held_back, passed + 90.0), "{passed} {held_back}");
}

#[test]
fn the_steady_clock_goes_on_over_failovers_by_what_the_next_primary_has_seen_pass() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    let (_, steady) = read(&mut group, &primary);
    let begun = group.now;
    // All walls are put forward at the moment of the failover.
    ["a", "b", "c"].iter().for_each(|name| _ = group.walls.insert((*name).into(), 600));
    let rest = others(&primary);
    group.kill(primary.as_str());
    group.run(20 * SECOND);
    let next = group.primary().expect("two of three elect one");
    assert_eq!(rest.iter().filter(|name| **name == next.as_str()).count(), 1);
    let (calendar, passed) = read(&mut group, &next);
    let elapsed = nanos(group.now.since(begun)) as f64 / 1e9;
    assert!(close(passed, steady + elapsed), "{steady} {passed}: {elapsed} have passed");
    assert!(close(calendar, passed + 600.0), "{calendar} {passed}");
    group.start(primary.as_str());
    group.run(20 * SECOND);
    let (calendar, passed) = read(&mut group, &next);
    let elapsed = nanos(group.now.since(begun)) as f64 / 1e9;
    assert!(close(passed, steady + elapsed) && close(calendar, passed + 600.0));
}

/// Nothing was cut for a while when its reign ended, and the time since the last cut was forgotten.
#[test]
fn a_primary_that_reigns_again_goes_on_by_all_that_it_has_seen_pass() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.priorities.insert("a".into(), 3);
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(3 * SECOND);
    let primary = PeerName::from("a");
    assert_eq!(group.primary(), Some(primary.clone()));
    let (_, steady) = read(&mut group, &primary);
    let begun = group.now;
    group.run(100 * SECOND);
    // The release reaches nobody, and the ordinary election chooses the same one again.
    group.dropped = |message| matches!(message, Message::Release { .. });
    group.input(&primary, Input::Switch { request: 1, to: None });
    group.run(SECOND);
    assert!(group.add("a", "k", 1).is_err(), "it has released its reign");
    group.run(30 * SECOND);
    assert_eq!(group.primary(), Some(primary.clone()));
    let (calendar, passed) = read(&mut group, &primary);
    let elapsed = nanos(group.now.since(begun)) as f64 / 1e9;
    assert!(close(passed, steady + elapsed), "{steady} {passed}: {elapsed} have passed");
    assert!(close(calendar, passed), "{calendar} {passed}");
}

/// The primary's digests came in batches without changes, and each hid what had passed before it.
#[test]
fn what_a_replica_has_seen_pass_goes_on_through_batches_without_changes() {
    let mut group = Group::founded(&["a", "b", "c"]);
    let primary = group.primary().expect("founded");
    let (_, steady) = read(&mut group, &primary);
    let begun = group.now;
    group.run(3 * VERIFY);
    group.kill(primary.as_str());
    group.run(20 * SECOND);
    let next = group.primary().expect("two of three elect one");
    let (calendar, passed) = read(&mut group, &next);
    let elapsed = nanos(group.now.since(begun)) as f64 / 1e9;
    assert!(close(passed, steady + elapsed), "{steady} {passed}: {elapsed} have passed");
    assert!(close(calendar, passed), "{calendar} {passed}");
}

/// A member that knows of one clock would take the steady one for it, and let cells go too early.
#[test]
fn while_a_member_of_an_older_version_is_linked_the_clocks_do_not_part() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.versions.insert("c".into(), 3);
    group.priorities.insert("c".into(), 0);
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(3 * SECOND);
    let primary = group.primary().expect("founded");
    ["a", "b", "c"].iter().for_each(|name| _ = group.walls.insert((*name).into(), 600));
    group.run(3 * SECOND);
    let (calendar, steady) = read(&mut group, &primary);
    assert!(close(calendar, steady), "{calendar} {steady}");
    group.kill("c");
    group.versions.clear();
    group.start("c");
    group.run(20 * SECOND);
    ["a", "b", "c"].iter().for_each(|name| _ = group.walls.insert((*name).into(), 1200));
    group.run(3 * SECOND);
    let (calendar, steady) = read(&mut group, &primary);
    assert!(close(calendar, steady + 600.0), "{calendar} {steady}");
}
