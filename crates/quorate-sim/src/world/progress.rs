//! The progress of a process: reigns, authority, positions.

use quorate::{Ballot, Position};

use crate::host::Host;
use crate::words::call::ProcessId;
use crate::words::seen::Seen;
use crate::world::World;

impl World {
    /// A reign begins: what it starts from becomes part of the history.
    pub(super) fn on_reign(&mut self, peer: usize, ballot: Ballot) {
        let Some(process) = self.hosts[peer].process.as_mut() else { return };
        if process.reign == Some(ballot) {
            return;
        }
        process.reign = Some(ballot);
        let primary = ProcessId { peer, incarnation: process.incarnation };
        let cells = process.cells(&self.keys);
        let parent = Some(process.position).filter(|position| !position.is_blank());
        let group_time = process.store.group_time();
        let is_founding = std::mem::take(&mut process.is_founding);
        self.note(peer, &[4, ballot.term.0, cells.len() as u64], |world| {
            let parent = parent.map(|parent| world.short_position(parent));
            format!("begins reign {ballot} from {parent:?} with {} cells", cells.len())
        });
        self.see(&Seen::Reign { peer, ballot, parent, is_founding, group_time, cells: &cells });
        self.history.begin(ballot, primary, parent, is_founding, cells);
        self.see(&Seen::Begun { ballot });
    }

    /// Looks at what an input has changed.
    pub(crate) fn observe(&mut self, peer: usize) {
        let now = self.now;
        let Some(Host { clock, process: Some(process), .. }) = self.hosts.get_mut(peer) else {
            return;
        };
        let is_authorized = process.is_authorized(clock, now);
        let is_news = is_authorized && !process.was_authorized;
        process.was_authorized = is_authorized;
        let from = process.position;
        let to = process.store.position();
        process.position = to;
        process.members = process.store.meta().membership;
        if is_news {
            self.see(&Seen::Authority { peer });
        }
        if from != to {
            self.on_moved(peer, from, to);
        }
    }

    pub(crate) fn on_held(&mut self, peer: usize, to: Position) {
        let Some(process) = self.process_mut(peer) else { return };
        let from = std::mem::replace(&mut process.position, to);
        if from != to {
            self.on_moved(peer, from, to);
        }
    }

    fn on_moved(&mut self, peer: usize, from: Position, to: Position) {
        let sequence = to.sequence.0;
        self.note(peer, &[5, to.ballot.term.0, sequence], |world| {
            format!("moves from {} to {}", world.short_position(from), world.short_position(to))
        });
        self.note_holding(peer);
        let Some(process) = self.hosts[peer].process.as_mut() else { return };
        let is_reigning = process.reign == Some(to.ballot);
        let group_time = process.store.group_time();
        if is_reigning {
            self.see(&Seen::Cut { peer, from, to, group_time });
            return;
        }
        let cells = process.cells(&self.keys);
        let mut follower = std::mem::take(&mut process.follower);
        let result = self.history.follow(&mut follower, to);
        if let Err(what) = result {
            self.fail("equal_positions", what);
        }
        let expected = follower.cells();
        self.see(&Seen::Moved { peer, from, to, group_time, cells: &cells, expected });
        if let Some(process) = self.process_mut(peer) {
            process.follower = follower;
        }
    }
}
