//! Clocks that stand still (docs/protocol.md, section 5).

use std::time::Duration;

use super::group::{Group, others};
use crate::base::event::Event;
use crate::base::id::PeerName;
use crate::config::Acknowledge;
use crate::protocol::io::{Input, Route};
use crate::protocol::message::Message;
use crate::store::Refused;

const SECOND: Duration = Duration::from_secs(1);

fn founded(names: &[&str]) -> (Group, PeerName) {
    let mut group = Group::founded(names);
    group.config.acknowledge = Acknowledge::Primary;
    let primary = group.primary().expect("founded");
    (group, primary)
}

fn doubts(group: &Group, at: &PeerName) -> Vec<u64> {
    let events = group.peers[at].events.iter();
    let ahead = events.filter_map(|event| match event {
        Event::ClockDoubted { ahead_ms, .. } => Some(*ahead_ms),
        _ => None,
    });
    ahead.collect()
}

fn tick(group: &mut Group, name: &PeerName) {
    group.input(name, Input::Tick);
}

#[test]
fn a_paused_primary_decides_nothing_once_its_wall_clock_shows_it() {
    let (mut group, old) = founded(&["a", "b", "c"]);
    let paused = group.freeze(old.as_str());
    group.run(SECOND * 12);
    let new = group.primary().expect("a failover");
    group.add(new.as_str(), "k", 1).expect("decided");
    group.split(&[old.as_str()], &others(&old));
    group.thaw(old.as_str(), paused, SECOND * 12, true);
    tick(&mut group, &old);
    assert_eq!(doubts(&group, &old), [12_000]);
    assert!(matches!(group.add(old.as_str(), "k", 1), Err(Refused::HandingOver)));
    // It waits for the others no longer than its lease would have run.
    group.run(SECOND * 9);
    assert!(matches!(group.add(old.as_str(), "k", 1), Err(Refused::NoAuthority)));
    assert_eq!(group.peers[&old].route, Route::Nowhere);
    assert!(group.saw(old.as_str(), |event| matches!(event, Event::QuorumLost { .. })));
    group.heal();
    group.run(SECOND * 2);
    assert_eq!(group.primary(), Some(new));
}

#[test]
fn a_paused_primary_decides_nothing_once_another_clock_shows_it() {
    let (mut group, old) = founded(&["a", "b", "c", "d", "e"]);
    let rest: Vec<&str> =
        ["a", "b", "c", "d", "e"].into_iter().filter(|name| *name != old.as_str()).collect();
    // One of the others is cut off with it: it knows of no newer reign.
    group.split(&[old.as_str()], &rest[1..]);
    group.split(&rest[..1], &rest[1..]);
    let paused = group.freeze(old.as_str());
    group.run(SECOND * 12);
    assert!(group.primary().is_some(), "a failover");
    group.thaw(old.as_str(), paused, SECOND * 12, false);
    group.add(old.as_str(), "k", 1).expect("nothing shows it yet");
    group.run(SECOND);
    assert_eq!(doubts(&group, &old).len(), 1);
    assert!(matches!(group.add(old.as_str(), "k", 1), Err(Refused::HandingOver)));
}

#[test]
fn a_wall_clock_that_is_set_ahead_costs_a_healthy_primary_one_round_of_pings() {
    let (mut group, primary) = founded(&["a", "b", "c"]);
    group.behind.insert(primary.clone(), (Duration::ZERO, -3_600_000_000_000));
    tick(&mut group, &primary);
    assert!(
        matches!(group.add(primary.as_str(), "k", 1), Err(Refused::HandingOver)),
        "not answered yet"
    );
    group.settle();
    group.add(primary.as_str(), "k", 1).expect("a majority has answered, at the same moment");
    assert_eq!(doubts(&group, &primary), [3_600_000]);
    assert!(!group.saw(primary.as_str(), |event| matches!(event, Event::QuorumLost { .. })));
    // Back again, and one of the others: for nothing, and for another round.
    group.behind.clear();
    tick(&mut group, &primary);
    group.run(SECOND);
    assert_eq!(doubts(&group, &primary).len(), 1);
    let other = PeerName::from(others(&primary)[0]);
    group.behind.insert(other, (Duration::ZERO, -3_600_000_000_000));
    group.run(SECOND * 2);
    assert_eq!(doubts(&group, &primary).len(), 2);
    group.add(primary.as_str(), "k", 1).expect("decided");
    assert_eq!(group.primary(), Some(primary));
}

#[test]
fn short_stops_within_one_lease_add_up() {
    let (mut group, primary) = founded(&["a", "b", "c"]);
    let stop = Duration::from_millis(45);
    for stops in 1..=3 {
        let paused = group.freeze(primary.as_str());
        group.run(stop);
        group.thaw(primary.as_str(), paused, stop, true);
        tick(&mut group, &primary);
        assert_eq!(doubts(&group, &primary).len(), usize::from(stops == 3), "{stops}");
        group.run(SECOND);
    }
}

#[test]
fn answers_to_pings_from_before_it_count_no_more() {
    let (mut group, primary) = founded(&["a", "b", "c"]);
    // Pings are under way when it is paused, and answered while it is.
    group.run(SECOND);
    group.dropped = |message| matches!(message, Message::Ping { .. });
    let paused = group.freeze(primary.as_str());
    group.run(SECOND * 3);
    group.thaw(primary.as_str(), paused, SECOND * 3, true);
    tick(&mut group, &primary);
    group.settle();
    assert!(matches!(group.add(primary.as_str(), "k", 1), Err(Refused::HandingOver)));
    group.dropped = |_| false;
    group.run(SECOND * 2);
    group.add(primary.as_str(), "k", 1).expect("a majority has answered anew");
}

#[test]
fn readings_that_come_late_and_clocks_that_drift_are_no_standstill() {
    let (mut group, primary) = founded(&["a", "b", "c"]);
    let other = PeerName::from(others(&primary)[0]);
    for step in 0..200_i64 {
        // Late by up to 900 ms, and 200 parts in a million fast.
        let late = (step * 7 % 10) * 100_000_000 - step * 200_000;
        group.behind.insert(other.clone(), (Duration::ZERO, late));
        group.run(SECOND);
    }
    assert!(doubts(&group, &primary).is_empty());
    assert_eq!(group.primary(), Some(primary));
}
