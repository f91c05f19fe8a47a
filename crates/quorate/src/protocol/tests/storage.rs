//! docs/protocol.md, section 13.

use std::time::Duration;

use super::group::{Group, others};
use crate::event::Event;
use crate::id::PeerName;
use crate::protocol::io::Input;

const SECOND: Duration = Duration::from_secs(1);

fn on_disk() -> Group {
    let mut group = Group::new(&["a", "b", "c"]);
    group.has_storage = true;
    ["a", "b", "c"].iter().for_each(|name| group.start(name));
    group.run(3 * SECOND);
    group
}

/// A peer whose storage had failed promised nothing any more, and woke itself without end when its
/// last promise was over: that was to be waited for, however long ago it was.
#[test]
fn a_replica_whose_storage_has_failed_follows_in_peace() {
    let mut group = on_disk();
    let primary = group.primary().expect("founded");
    let failed = PeerName::from(others(&primary)[0]);
    group.add(primary.as_str(), "k", 3).expect("decided");
    group.input(&failed, Input::StorageFailed);
    // Far past the end of its last promise; time would not pass.
    group.run(60 * SECOND);
    assert_eq!(group.primary(), Some(primary.clone()));
    assert!(group.saw(failed.as_str(), |e| matches!(e, Event::StorageFailed { .. })));
    group.add(primary.as_str(), "k", 4).expect("two of three store");
    assert_eq!(group.total(others(&primary)[1], "k"), 7);
}

#[test]
fn a_primary_whose_storage_has_failed_hands_over_and_stands_no_more() {
    let mut group = on_disk();
    let old = group.primary().expect("founded");
    group.add(old.as_str(), "k", 3).expect("decided");
    group.input(&old, Input::StorageFailed);
    group.run(SECOND);
    let new = group.primary().expect("handed over");
    assert_ne!(new, old);
    assert_eq!(group.total(new.as_str(), "k"), 3);
    group.add(new.as_str(), "k", 1).expect("two of three store");
    group.kill(new.as_str());
    group.run(60 * SECOND);
    assert_eq!(group.primary(), None, "one of two that store is no majority of three");
}
