//! docs/protocol.md, sections 3.11 to 3.13.

use std::time::Duration;

use super::group::Group;
use crate::base::id::Position;
use crate::config::{Acknowledge, Bounds};

const SECOND: Duration = Duration::from_secs(1);

fn founded(acknowledge: Acknowledge) -> (Group, String) {
    let mut group = Group::founded(&["a", "b", "c"]);
    group.config.acknowledge = acknowledge;
    let primary = group.primary().expect("founded").to_string();
    (group, primary)
}

/// The time by which cells expire used to move with writes only.
#[test]
fn what_expires_in_an_idle_group_goes_at_every_peer() {
    for acknowledge in [Acknowledge::Majority, Acknowledge::Primary] {
        let (mut group, primary) = founded(acknowledge);
        for number in 0..50 {
            group.add_for(&primary, &number.to_string(), SECOND * 5).expect("decided");
        }
        group.add(&primary, "stays", 1).expect("decided");
        group.run(SECOND * 4);
        group.sweep();
        assert_eq!(group.cells(), [51, 51, 51]);
        // Seen to be expired with the heartbeat after, and told with the next one.
        for _ in 0..4 {
            group.run(SECOND);
            group.sweep();
        }
        assert_eq!(group.cells(), [1, 1, 1]);
        let positions = |group: &Group| -> Vec<Position> {
            group.peers.values().map(|peer| peer.store.position()).collect()
        };
        let before = positions(&group);
        group.run(SECOND * 20);
        assert_eq!(positions(&group), before, "nothing is left to wait for");
        assert_eq!(group.primary().map(|name| name.to_string()), Some(primary));
    }
}

/// Followers kept cells for a minute more, and the new primary met a full store. Here none of them
/// has removed any.
#[test]
fn a_new_primary_has_the_room_that_the_old_one_had() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.bounds = Bounds { max_cells: 20, ..group.bounds };
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    let primary = group.primary().expect("founded").to_string();
    fill(&mut group, &primary);
    assert!(group.cells().iter().any(|cells| *cells > 100), "{:?}", group.cells());
    group.kill(&primary);
    group.run(SECOND * 12);
    let next = group.primary().expect("a failover").to_string();
    fill(&mut group, &next);
    assert!(group.peers[&next.as_str().into()].store.cells() <= 20);
}

/// Four new keys a second for half a minute, each for two seconds.
fn fill(group: &mut Group, at: &str) {
    for number in 0..120 {
        group.run(SECOND / 4);
        group.add_for(at, &format!("{at} {number}"), SECOND * 2).expect("there is room");
    }
}

#[test]
fn an_operation_without_room_is_taken_after_a_round_trip_if_cells_have_expired() {
    let mut group = Group::new(&["a", "b", "c"]);
    group.bounds = Bounds { max_cells: 1, ..group.bounds };
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(SECOND * 3);
    let primary = group.primary().expect("founded").to_string();
    group.add_for(&primary, "one", SECOND / 100).expect("there is room");
    group.run(SECOND / 50);
    assert!(group.add_for(&primary, "two", SECOND).is_err(), "nobody knows that it has expired");
    group.run(SECOND / 500);
    group.add_for(&primary, "two", SECOND).expect("a majority has seen it expire");
    assert_eq!(group.total(&primary, "two"), 1);
}
