//! Founding, survivors, and starting anew (docs/protocol.md, section 6).
//!
//! Both are elections of a new generation: whatever incarnations the member names have now pledge
//! themselves, blank ones too, and a majority of the names decides. A peer that reaches no
//! majority waits: it never crowns itself.

use std::cmp::Reverse;
use std::time::Duration;

use crate::bug::{self, Bug};
use crate::event::Event;
use crate::id::{Ballot, Generation, Member, PeerName, Position, Sequence, Term};
use crate::protocol::machine::Machine;
use crate::protocol::message::{Brief, Campaign, Membership};

/// Random bits of a generation: two foundings at the same moment differ.
const RANDOM_BITS: u32 = 16;

impl Machine {
    /// Stands for a new generation if nothing less can bring the group back.
    pub(super) fn consider_new_generation(&mut self) {
        let size = self.group.members.len();
        let mut reached: Vec<(PeerName, Brief)> = Vec::new();
        for (name, remote) in &self.remotes {
            if let Some(brief) = remote.brief.as_ref().filter(|_| self.is_reachable(remote)) {
                reached.push((name.clone(), brief.clone()));
            }
        }
        // A data holder that may be promoted stands itself; a blank peer waits for it.
        let defers = !bug::is(Bug::BlankIgnoresSurvivor)
            && !self.has_data()
            && reached.iter().any(|(_, brief)| may_survive(brief));
        // So does everyone while some reachable member has a primary, which will come for us.
        let is_led = reached.iter().any(|(_, b)| b.primary.is_some() && b.suspects.is_none());
        if defers || is_led {
            self.watch.hopeful = self.now.time;
        }
        let is_majority = reached.len() + 1 > size / 2 || bug::is(Bug::BlankFoundsAlone);
        let is_ordinary = self.has_data() && self.reaches_own_majority();
        if !is_majority || defers || is_led || is_ordinary {
            self.watch.campaign_at = None;
            return;
        }
        let waited = self.watch.hopeful.after(self.group.failure_timeout);
        let is_complete = reached.len() + 1 == size;
        if !is_complete && !self.watch.found_now && self.now.time < waited {
            self.wake_by(waited);
            return;
        }
        let candidates = self.founders(&reached);
        self.stand_in_turn(&candidates, Campaign::NewGeneration);
    }

    /// Who may stand, first to last: the freshest that has data; among blank peers the one that
    /// has been up longest.
    fn founders(&self, reached: &[(PeerName, Brief)]) -> Vec<PeerName> {
        let key = |name: &PeerName, position: Position, priority: u8, uptime: Duration| {
            let up = if position.is_blank() { uptime } else { Duration::ZERO };
            (Reverse(position), Reverse(up.as_millis()), priority, name.clone())
        };
        let uptime = self.now.time.since(self.started);
        let me = &self.config;
        let mut list = vec![key(&me.name, self.store.position(), me.priority, uptime)];
        for (name, brief) in reached {
            let Some(remote) = self.remotes.get(name) else {
                continue;
            };
            let since = self.now.time.since(remote.brief_at);
            let uptime = Duration::from_millis(brief.uptime_ms) + since;
            list.push(key(name, brief.position, brief.priority, uptime));
        }
        list.retain(|(_, _, priority, _)| *priority > 0);
        list.sort();
        list.into_iter().map(|(_, _, _, name)| name).collect()
    }

    /// Whether this peer pledges itself to a candidate that holds `position`.
    pub(super) fn would_pledge(&self, position: Position) -> bool {
        if self.has_data() && self.reaches_own_majority() {
            return false;
        }
        let may_survive_me = self.has_data() && self.config.priority > 0;
        let survivors = self.remotes.values().filter(|r| self.is_reachable(r));
        let is_survivor_near =
            survivors.filter_map(|r| r.brief.as_ref()).any(may_survive) || may_survive_me;
        // Blank peers must not found a group past a member that still has its data.
        !(position.is_blank() && is_survivor_near) || bug::is(Bug::BlankIgnoresSurvivor)
    }

    /// A generation above all known ones. It is made of the wall clock, so that it is above those
    /// of members that are not reached too, unless clocks are far apart; random bits keep two
    /// foundings apart.
    pub(super) fn new_generation(&mut self) -> Ballot {
        let known = self
            .remotes
            .values()
            .filter_map(|r| r.brief.as_ref())
            .map(|brief| brief.ballot.generation.max(brief.position.ballot.generation))
            .max()
            .unwrap_or_default()
            .max(self.ballot.generation)
            .max(self.store.position().ballot.generation);
        let random = self.random.next() & ((1 << RANDOM_BITS) - 1);
        let drawn = (self.now.wall.as_millis() << RANDOM_BITS) | random;
        let generation = Generation(drawn.max(known.0 + 1 + random));
        Ballot { generation, term: Term(1) }
    }

    /// Sets the members of a new generation: every name, under the incarnation that is linked.
    pub(super) fn found_generation(&mut self, first: Sequence) {
        let mut unreached = Vec::new();
        let mut voters = Vec::new();
        for name in &self.group.members {
            let incarnation = if *name == self.config.name {
                Some(self.incarnation)
            } else {
                self.remotes.get(name).and_then(|r| r.linked)
            };
            if incarnation.is_none() {
                unreached.push(name.clone());
            }
            voters.push(Member { name: name.clone(), incarnation });
        }
        voters.sort();
        let stamp = Position { ballot: self.ballot, sequence: first };
        let was_blank = self.meta.group_id.is_none();
        let group_id = match self.meta.group_id {
            Some(group_id) => group_id,
            None => self.random_group_id(),
        };
        self.meta.group_id = Some(group_id);
        self.meta.membership = Membership::settled(stamp, voters);
        self.store.set_meta(self.meta.clone());
        self.meta_version += 1;
        let generation = self.ballot.generation;
        self.event(if was_blank {
            Event::Founded { group_id, unreached }
        } else {
            Event::NewGeneration { generation, unreached }
        });
    }
}

/// Whether a peer has data and may be promoted.
fn may_survive(brief: &Brief) -> bool {
    !brief.position.is_blank() && brief.priority > 0
}
