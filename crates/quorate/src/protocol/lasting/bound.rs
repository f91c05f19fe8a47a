//! How far a peer in memory with a `state_dir` may have acknowledged, remembered across its
//! restarts (docs/protocol.md, section 13.9).
//!
//! ```text
//!  a position to be acknowledged ──▶ covered by what is saved? ──yes──▶ told
//!                                            │ no
//!                                            ▼
//!                           Save a block ahead ──▶ Saved ──▶ told
//! ```
//!
//! What is saved is a bound, and lies a block ahead, so that a sync is made for some thousand cuts.
//! In a group that is quiet it is brought back to what was really acknowledged.

use crate::base::bug::{self, Bug};
use crate::base::id::{PeerStart, Position};
use crate::protocol::lasting::acknowledged::Acknowledgement;
use crate::protocol::lasting::disk::Question;
use crate::protocol::machine::Machine;
use crate::protocol::message::Message;

impl Machine {
    /// Returns true if a position may be acknowledged: what is remembered of that lasts. Else it
    /// will be saved.
    pub(in crate::protocol) fn may_acknowledge(&mut self, position: Position) -> bool {
        let now = self.now.time;
        self.disk.as_mut().is_none_or(|disk| disk.may_acknowledge(position, now))
    }

    /// Says that a position is held when that is remembered.
    pub(in crate::protocol) fn acknowledge_when_saved(
        &mut self,
        from: &PeerStart,
        position: Position,
    ) {
        if let Some(disk) = &mut self.disk {
            disk.acknowledge_when_saved(Acknowledgement { to: from.clone(), position });
        }
    }

    /// Says what another bound that was saved allows to be said.
    pub(in crate::protocol) fn on_bound_saved(&mut self) {
        let ballot = self.ballot;
        let own = self.store.position();
        let Some(disk) = self.disk.as_mut().filter(|disk| disk.is_bounded()) else { return };
        let held = disk.take_covered();
        let question = disk.take_question_at(own);
        if let Some(Acknowledgement { to, position }) = held {
            self.send(&to, Message::Held { ballot, position });
        }
        if let Some(Question { by, group_id }) = question {
            self.tell_position(&by, group_id);
        }
        self.on_progress();
    }

    /// Brings the bound back to what was acknowledged, where that has been all for a while: the
    /// next start knows exactly then.
    pub(in crate::protocol) fn settle_bound(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.settle_bound(self.now.time, self.group.failure_timeout);
        }
    }

    /// A state has been taken up from a primary, or a reign of this peer's own has begun: what was
    /// acknowledged under that ballot, or an older one, is in it or was given up by a majority.
    pub(in crate::protocol) fn forget_remembered(&mut self, position: Position) {
        if let Some(disk) = &mut self.disk {
            disk.forget_remembered(position);
        }
    }

    /// The position up to which an earlier start of this peer may have acknowledged, if no state
    /// held since contains it.
    pub(in crate::protocol) fn remembered(&self) -> Option<Position> {
        self.disk.as_ref()?.remembered()
    }

    /// The latest that an earlier start of a member in reach may have acknowledged; blank if there
    /// is none.
    pub(in crate::protocol) fn newest_remembered(&self) -> Position {
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        let theirs = reached.filter_map(|(_, remote)| remote.brief()?.acknowledged);
        theirs.chain(self.remembered()).fold(Position::BLANK, Position::max)
    }

    /// The position up to which a member in reach may have acknowledged before it restarted, if all
    /// that is held by those in reach, or at `position`, is older.
    pub(in crate::protocol) fn lacks_acknowledged(&self, position: Position) -> Option<Position> {
        let newest = self.newest_remembered();
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        let held = reached.filter_map(|(_, remote)| Some(remote.brief()?.position));
        let best = held.fold(position.max(self.store.position()), Position::max);
        (newest > best && !bug::is(Bug::RememberedIgnored)).then_some(newest)
    }
}
