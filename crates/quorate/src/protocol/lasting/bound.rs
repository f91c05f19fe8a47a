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
use crate::protocol::machine::Machine;
use crate::protocol::message::Message;

impl Machine {
    /// Whether a position may be acknowledged: what is remembered of that lasts. Else it will be
    /// saved.
    pub(in crate::protocol) fn may_acknowledge(&mut self, position: Position) -> bool {
        let now = self.now.time;
        let Some(disk) = &mut self.disk else { return true };
        let Some(acknowledged) = &mut disk.acknowledged else { return true };
        if position.is_blank() {
            return true;
        }
        acknowledged.reserve(position, now);
        disk.covered().is_none_or(|covered| position <= covered) || bug::is(Bug::BoundSavedLate)
    }

    /// Says that a position is held when that is remembered.
    pub(in crate::protocol) fn acknowledge_when_saved(
        &mut self,
        from: &PeerStart,
        position: Position,
    ) {
        let acknowledged = self.disk.as_mut().and_then(|disk| disk.acknowledged.as_mut());
        if let Some(acknowledged) = acknowledged {
            acknowledged.held = Some((from.clone(), position));
        }
    }

    /// Another bound has been saved.
    pub(in crate::protocol) fn on_bound_saved(&mut self) {
        let ballot = self.ballot;
        let Some(disk) = &mut self.disk else { return };
        let Some(covered) = disk.covered() else { return };
        let Some(acknowledged) = &mut disk.acknowledged else { return };
        let held = acknowledged.held.take_if(|(_, position)| *position <= covered);
        let own = self.store.position();
        let asked = disk.asked.take_if(|_| own <= covered);
        if let Some((to, position)) = held {
            self.send(&to, Message::Held { ballot, position });
        }
        if let Some((from, group_id)) = asked {
            self.tell_position(&from, group_id);
        }
        self.on_progress();
    }

    /// Brings the bound back to what was acknowledged, where that has been all for a while: the
    /// next start knows exactly then.
    pub(in crate::protocol) fn settle_bound(&mut self) {
        let (now, patience) = (self.now.time, self.group.failure_timeout);
        let acknowledged = self.disk.as_mut().and_then(|disk| disk.acknowledged.as_mut());
        let Some(acknowledged) = acknowledged else { return };
        let is_quiet = now.since(acknowledged.last_at) >= patience && acknowledged.held.is_none();
        let is_known = acknowledged.remembered.is_none() && !acknowledged.last.is_blank();
        if is_quiet && is_known && acknowledged.last < acknowledged.bound {
            acknowledged.bound = acknowledged.last;
        }
    }

    /// A state has been taken up from a primary, or a reign of this peer's own has begun: what was
    /// acknowledged under that ballot, or an older one, is in it or was given up by a majority.
    pub(in crate::protocol) fn forget_remembered(&mut self, position: Position) {
        let acknowledged = self.disk.as_mut().and_then(|disk| disk.acknowledged.as_mut());
        if let Some(acknowledged) = acknowledged {
            acknowledged.remembered.take_if(|old| position.ballot >= old.ballot);
        }
    }

    /// What an earlier start of this peer may have acknowledged, if no state held since contains
    /// it.
    pub(in crate::protocol) fn remembered(&self) -> Option<Position> {
        self.disk.as_ref()?.acknowledged.as_ref()?.remembered
    }

    /// The same of any member in reach, the latest; blank if there is none.
    pub(in crate::protocol) fn newest_remembered(&self) -> Position {
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        let theirs = reached.filter_map(|(_, remote)| remote.brief.as_ref()?.acknowledged);
        theirs.chain(self.remembered()).fold(Position::BLANK, Position::max)
    }

    /// What a member in reach may have acknowledged before it restarted, if all that is held by
    /// those in reach, or at `position`, is older.
    pub(in crate::protocol) fn lacks_acknowledged(&self, position: Position) -> Option<Position> {
        let newest = self.newest_remembered();
        let reached = self.fellows().filter(|(_, remote)| self.is_reachable(remote));
        let held = reached.filter_map(|(_, remote)| Some(remote.brief.as_ref()?.position));
        let best = held.fold(position.max(self.store.position()), Position::max);
        (newest > best && !bug::is(Bug::RememberedIgnored)).then_some(newest)
    }
}
