//! Relaxed mode: what a peer decides alone, and how that becomes part of the group's counts.

use quorate::bug::{self, Bug};
use quorate::protocol::io::Route;
use quorate::store::SealedBatch;
use quorate::{Answer, DecideContext, GroupTime, Incarnation, Item, OnReconnect};

use crate::network::packet::Payload;
use crate::words::call::{Done, Origin, PeerStart};
use crate::words::merge::{Merge, MergeReply};
use crate::words::operation::{DONE, Outcome, item};
use crate::words::seen::Seen;
use crate::world::World;
use crate::world::event::Event;

impl World {
    /// A look at the overlay, now and then.
    pub(crate) fn start_merging(&mut self, peer: usize) {
        let Some(process) = self.process(peer) else { return };
        let incarnation = process.incarnation;
        if self.plan.group.mode == quorate::Mode::Relaxed {
            self.at(self.plan.timeout() / 8, Event::Merge { peer, incarnation });
        }
    }

    pub(crate) fn on_merge_timer(&mut self, peer: usize, incarnation: Incarnation) {
        if !self.hosts[peer].runs(incarnation) {
            return;
        }
        self.start_merging(peer);
        if self.hosts[peer].paused.is_none() {
            self.merge_now(peer);
        }
    }

    /// Group time as a peer without a primary estimates it.
    fn local_group_time(&self, peer: usize) -> DecideContext {
        let wall = self.hosts[peer].clock.now(self.now).wall;
        let Some(process) = self.process(peer) else { return DecideContext::at(wall) };
        let lead = process.store.lead();
        let steady = process.store.group_time().max(GroupTime(wall.0.saturating_sub(lead.nanos)));
        DecideContext::new(steady, lead)
    }

    /// Decides on the local copy and says so.
    pub(crate) fn decide_alone(&mut self, peer: usize, op: usize) {
        let keys = self.ops[op].items.clone();
        let kind = self.ops[op].kind;
        let items: Vec<Item<'_>> =
            keys.iter().map(|(key, amount)| item(key, *amount, kind)).collect();
        let context = self.local_group_time(peer);
        let Some(process) = self.process_mut(peer) else { return };
        let model = std::sync::Arc::clone(&process.model);
        let units = process.overlay.units();
        match process.overlay.decide(&process.store, context, &items, &*model) {
            Ok(answer) => {
                process.merging.decided += u128::from(answer.units);
                let grown = process.overlay.units() - units;
                let is_full = process.overlay.units() == u64::MAX;
                if grown != answer.units && !is_full {
                    let what = format!("an overlay grew by {grown}, not by {}", answer.units);
                    self.fail("merged_once", what);
                }
                self.counters.add("decided locally");
                self.note(peer, &[9, op as u64, answer.units], |_| {
                    format!("decides {op} alone: {answer:?}")
                });
                self.see(&Seen::DecidedAlone { peer, op, answer, context });
                self.end_op(op, Outcome::Local);
            }
            Err(_) => self.end_op(op, Outcome::Refused),
        }
    }

    /// Sends what was decided alone, as soon as there is a primary, and again until it is held.
    pub(crate) fn merge_now(&mut self, peer: usize) {
        let on_reconnect = self.plan.group.on_reconnect;
        let keys = self.plan.merge_keys;
        let now = self.local_group_time(peer);
        let Some(process) = self.process_mut(peer) else { return };
        if process.overlay.is_empty() {
            return;
        }
        let route = process.route.clone();
        let incarnation = process.incarnation;
        if matches!(route, Route::Held | Route::Nowhere) {
            return;
        }
        if on_reconnect == OnReconnect::Overwrite {
            process.merging.discarded += u128::from(process.overlay.discard());
            self.counters.add("overlays discarded");
            self.see(&Seen::Forgotten { peer, is_all: true });
            return;
        }
        let Some(sealed) = process.overlay.seal(keys, now.steady()) else { return };
        let is_new = process.merging.sealed.replace(sealed.number) != Some(sealed.number);
        let merge = Merge { number: sealed.number, sealed_at: sealed.at, entries: sealed.entries };
        if is_new {
            self.see(&Seen::Sealed { peer, entries: &merge.entries });
        }
        match route {
            Route::Here { .. } => self.on_merge(peer, PeerStart { peer, incarnation }, merge),
            Route::There { peer: name, incarnation, .. } => {
                let primary = self.index_of(&name);
                self.transmit(peer, primary, incarnation, Payload::Merge(merge));
            }
            Route::Held | Route::Nowhere => {}
        }
    }

    /// The primary merges, once.
    pub(crate) fn on_merge(&mut self, peer: usize, from: PeerStart, merge: Merge) {
        let time = self.coarse_time(peer);
        let name = self.plan.name(from.peer);
        let Some(process) = self.process(peer) else { return };
        let model = std::sync::Arc::clone(&process.model);
        let Merge { number, sealed_at, ref entries } = merge;
        let incarnation = from.incarnation;
        let batch = SealedBatch { origin: &name, incarnation, number, sealed_at, entries };
        let result = process.store.merge(time, &batch, &*model);
        let must_wake = result.is_err() && process.store.take_wake();
        if must_wake {
            self.wake(peer);
        }
        let merged = match result {
            Ok(merged) => merged,
            Err(refused) if refused.is_for_good() => {
                self.counters.add("merges too late");
                let reply = MergeReply { number, is_merged: false };
                return self.send_merge_reply(peer, from, reply);
            }
            Err(_) => return,
        };
        let is_merged = merged.is_recorded;
        let origin = Origin::Merge { peer: from.peer, incarnation, number, is_merged };
        let position = merged.position;
        let context = merged.context;
        let id = (from.peer, from.incarnation, number);
        self.counters.add(if merged.already { "merges again" } else { "merges" });
        self.note(peer, &[10, number, merged.units], |_| {
            format!("merges {id:?} at {position}: {} units, again {}", merged.units, merged.already)
        });
        if !merged.already {
            let id = merged.is_recorded.then_some(id);
            match self.history.merge(&model, position, context, id, &merge.entries) {
                Ok(units) if units == merged.units => {
                    let entries = &merge.entries;
                    self.see(&Seen::Merged { id, position, context, entries });
                }
                Ok(units) => {
                    let found = merged.units;
                    self.fail("merged_once", format!("{id:?} counted {found}, not {units} units"));
                }
                Err(what) => self.fail("monotone", what),
            }
        }
        let answer = Answer { code: DONE, units: merged.units, ..Answer::default() };
        if merged.wake {
            self.wake(peer);
        }
        let must_wait = !bug::is(Bug::OverlayForgottenEarly);
        self.answer_when_due(
            peer,
            origin,
            Done { answer, position, context, read: time },
            must_wait,
        );
        self.on_committed(peer);
    }

    /// A merge is held by a majority, or will not be under this primary.
    pub(crate) fn answer_merge(
        &mut self,
        peer: usize,
        to: PeerStart,
        reply: MergeReply,
        is_held: bool,
    ) {
        if is_held {
            self.send_merge_reply(peer, to, reply);
        }
    }

    fn send_merge_reply(&mut self, peer: usize, to: PeerStart, reply: MergeReply) {
        if to.peer == peer {
            if self.hosts[peer].runs(to.incarnation) {
                self.on_merge_reply(peer, reply);
            }
        } else {
            self.transmit(peer, to.peer, to.incarnation, Payload::MergeReply(reply));
        }
    }

    /// The origin forgets what a majority holds.
    pub(crate) fn on_merge_reply(&mut self, peer: usize, reply: MergeReply) {
        let Some(process) = self.process_mut(peer) else { return };
        if process.merging.sealed.take_if(|sealed| *sealed == reply.number).is_none() {
            // An answer to a copy that came late.
            return;
        }
        let units = process.overlay.confirm(reply.number);
        self.see(&Seen::Forgotten { peer, is_all: false });
        let Some(process) = self.process_mut(peer) else { return };
        if reply.is_merged {
            process.merging.confirmed += u128::from(units);
            let incarnation = process.incarnation;
            // Not to let one merge of all units there can be hide the others.
            self.counters.add_many("units merged", units.min(1_000));
            let id = (peer, incarnation, reply.number);
            self.see(&Seen::Confirmed { id });
        } else {
            process.merging.discarded += u128::from(units);
            self.counters.add("batches without effect");
        }
        self.merge_now(peer);
    }
}
