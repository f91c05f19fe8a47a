//! Relaxed mode: how what a peer decided alone becomes part of the group's counts, as the product
//! sees to it ([`quorate::internal::session::merging`]).

use quorate::internal::session::merging::{Action, Local, Merging};
use quorate::internal::wire::{Merge, MergeReply};
use quorate::{DecideContext, GroupTime, Incarnation, PeerStart};

use crate::network::packet::Payload;
use crate::words::call::ProcessId;
use crate::words::seen::Seen;
use crate::world::event::Event;
use crate::world::{TIMER_STEP, World};

impl World {
    /// Sets the timer of the merge, as the event loop does.
    pub(crate) fn arm_merging(&mut self, peer: usize) {
        let Some(process) = self.process(peer) else { return };
        let route = process.route.clone();
        let incarnation = process.incarnation;
        let Some(due) = self.with_local(peer, |local, merging| merging.deadline(local, &route))
        else {
            return;
        };
        let Some(due) = due else { return };
        let at = self.hosts[peer].clock.moment(due).max(self.now.after(TIMER_STEP));
        let now = self.now;
        let Some(process) = self.process_mut(peer) else { return };
        if process.merges_at.is_none_or(|armed| at < armed || armed < now) {
            process.merges_at = Some(at);
            self.queue.push(at, Event::Merge { peer, incarnation });
        }
    }

    pub(crate) fn on_merge_timer(&mut self, peer: usize, incarnation: Incarnation) {
        if !self.hosts[peer].runs(incarnation) {
            return;
        }
        if self.hosts[peer].paused.is_some() {
            self.inboxes[peer].push(Event::Merge { peer, incarnation });
            return;
        }
        if let Some(process) = self.process_mut(peer) {
            process.merges_at = None;
        }
        self.merge_now(peer);
    }

    /// Group time as a peer without a primary estimates it.
    pub(crate) fn local_group_time(&self, peer: usize) -> DecideContext {
        let wall = self.hosts[peer].clock.now(self.now).wall;
        let Some(process) = self.process(peer) else { return DecideContext::at(wall) };
        let lead = process.store.lead();
        let steady = process.store.group_time().max(GroupTime(wall.0.saturating_sub(lead.nanos)));
        DecideContext::new(steady, lead)
    }

    /// Asks the product about what was decided alone.
    fn with_local<T>(
        &mut self,
        peer: usize,
        ask: impl FnOnce(&Local<'_>, &mut Merging) -> T,
    ) -> Option<T> {
        let name = self.plan.name(peer);
        let on_reconnect = self.plan.group.on_reconnect;
        let max_keys = self.plan.merge_keys;
        let failure_timeout = self.plan.timeout();
        let process = self.process_mut(peer)?;
        let start = PeerStart::new(name, process.incarnation);
        let mut merging = std::mem::take(&mut process.merging);
        let local = Local {
            start: &start,
            store: &process.store,
            overlay: &process.overlay,
            model: &*process.model,
            on_reconnect,
            max_keys,
            failure_timeout,
        };
        let answer = ask(&local, &mut merging);
        process.merging = merging;
        Some(answer)
    }

    /// Has the product do something about what was decided alone, and does what it says.
    fn merge_with(
        &mut self,
        peer: usize,
        step: impl FnOnce(&mut Merging, &Local<'_>, &mut Vec<Action>),
    ) {
        let actions = self.with_local(peer, |local, merging| {
            let mut actions = Vec::new();
            step(merging, local, &mut actions);
            actions
        });
        for action in actions.unwrap_or_default() {
            self.act(peer, action);
        }
        self.check_units(peer);
    }

    /// Merges what was decided alone, as soon as there is a primary, and again until it is held.
    pub(crate) fn merge_now(&mut self, peer: usize) {
        let now = self.reading(peer);
        let steady = self.local_group_time(peer).steady();
        let Some(route) = self.process(peer).map(|process| process.route.clone()) else { return };
        self.merge_with(peer, |merging, local, actions| {
            merging.run_due(local, &route, now, || steady, actions);
        });
        self.arm_merging(peer);
    }

    /// The primary has answered a merge.
    pub(crate) fn on_merge_reply(&mut self, peer: usize, from: ProcessId, reply: MergeReply) {
        let now = self.reading(peer);
        let from = PeerStart::new(self.plan.name(from.peer), from.incarnation);
        self.merge_with(peer, |merging, local, actions| {
            merging.on_reply(local, now, &from, reply, actions);
        });
        self.merge_now(peer);
    }

    fn act(&mut self, peer: usize, action: Action) {
        match action {
            Action::Send { to, merge } => self.send_merge(peer, &to, merge),
            Action::Merged { merge, merged } => {
                self.note_sealed(peer, &merge);
                let Some(process) = self.process(peer) else { return };
                let id = (peer, process.incarnation, merge.number);
                let time = self.reading(peer);
                self.on_merged(peer, id, &merged, &merge, time);
                self.wake(peer);
            }
            Action::Refused => {
                if self.process(peer).is_some_and(|process| process.store.take_wake()) {
                    self.wake(peer);
                }
            }
            Action::Confirmed { number, units } => self.on_confirmed(peer, number, units),
            Action::Dropped { units, .. } => self.on_discarded(peer, units, false),
            Action::Discarded { units } => {
                self.counters.add("overlays discarded");
                self.on_discarded(peer, units, true);
            }
            Action::Done { .. } => self.counters.add("merges done"),
        }
    }

    fn send_merge(&mut self, peer: usize, to: &PeerStart, merge: Merge) {
        self.note_sealed(peer, &merge);
        let primary = self.index_of(&to.name);
        let linked = self.process(peer).and_then(|process| process.links[primary].linked);
        if linked == Some(to.incarnation) {
            return self.transmit(peer, primary, to.incarnation, Payload::Merge(merge));
        }
        let now = self.reading(peer);
        self.merge_with(peer, |merging, local, _| merging.on_not_sent(local, now));
    }

    fn note_sealed(&mut self, peer: usize, merge: &Merge) {
        let Some(process) = self.process_mut(peer) else { return };
        if std::mem::replace(&mut process.units.sealed, merge.number) != merge.number {
            self.see(&Seen::Sealed { peer, entries: &merge.entries });
        }
    }

    /// The origin forgets what a majority holds.
    fn on_confirmed(&mut self, peer: usize, number: u64, units: u64) {
        self.see(&Seen::Forgotten { peer, is_all: false });
        let Some(process) = self.process_mut(peer) else { return };
        process.units.confirmed += u128::from(units);
        let id = (peer, process.incarnation, number);
        self.promise_merge(peer, id);
        if self.without_effect.contains(&id) {
            return self.counters.add("batches without effect");
        }
        // Not to let one merge of all units there can be hide the others.
        self.counters.add_many("units merged", units.min(1_000));
        self.see(&Seen::Confirmed { id });
    }

    fn on_discarded(&mut self, peer: usize, units: u64, is_all: bool) {
        if let Some(process) = self.process_mut(peer) {
            process.units.discarded += u128::from(units);
        }
        self.see(&Seen::Forgotten { peer, is_all });
    }

    /// Whatever was decided alone is there still, or was merged, or dropped.
    fn check_units(&mut self, peer: usize) {
        let Some(process) = self.process(peer) else { return };
        let kept = process.overlay.units();
        let units = process.units;
        let accounted = units.confirmed + units.discarded + u128::from(kept);
        // A sum of units that is as large as one can be is not exact.
        if accounted != units.decided && units.decided < u128::from(u64::MAX) {
            self.fail("merged_once", format!("{units:?} with {kept} kept do not add up"));
        }
    }
}
