//! The drive of a state machine: an input, and then all that it asks for.

use std::time::Duration;

use quorate::internal::protocol::io::{Input, Output};
use quorate::internal::protocol::message::{Grant, Message, PolicyOutcome};
use quorate::internal::state::BatchEnd;
use quorate::{Event as GroupEvent, Incarnation};

use crate::base::clock::Moment;
use crate::host::Host;
use crate::host::process::Process;
use crate::network::packet::Payload;
use crate::words::seen::Seen;
use crate::world::World;
use crate::world::event::Event;

/// Expired cells removed per tick at most.
const SWEPT: usize = 16;

impl World {
    /// Hands one input to the machine and does what it asks for.
    pub(crate) fn drive(&mut self, peer: usize, input: Input) {
        if let Some(request) = wish(&input) {
            self.see(&Seen::Heard { peer, request });
        }
        let now = self.hosts[peer].clock.now(self.now);
        #[cfg(feature = "bugs")]
        let log = self.visit_cuts(peer, now.time);
        if let Some(process) = self.process_mut(peer) {
            process.machine.handle(now, input);
        }
        if self.plan.has_sites() {
            self.note_epoch(peer);
        }
        self.note_turn(peer);
        #[cfg(feature = "bugs")]
        self.leave_cuts(peer, now.time, log);
        while let Some(process) = self.hosts[peer].process.as_mut() {
            let Some(output) = process.machine.poll_output() else { break };
            self.on_output(peer, output);
            if self.failure.is_some() {
                return;
            }
        }
        self.observe(peer);
        self.arm(peer);
    }

    fn on_output(&mut self, peer: usize, output: Output) {
        match output {
            Output::Send { to, .. } if Self::is_for_liar(&to) => {}
            Output::Send { to, incarnation, message } => {
                let to = self.index_of(&to);
                self.on_send(peer, to, incarnation, message);
            }
            Output::Event(event) => self.on_group_event(peer, &event),
            Output::Unlink(start) => self.unlink(peer, self.index_of(&start.name)),
            Output::Committed => self.on_committed(peer),
            Output::Save(_) | Output::Append { .. } | Output::EndSnapshot { .. } => {
                self.on_storage_output(peer, output);
            }
            Output::Removed { result, .. } => {
                let is_done = result.is_ok();
                self.counters.add(if is_done { "removals" } else { "removals refused" });
            }
            Output::Forced { request, result } => {
                let is_done = result.is_ok();
                self.note(peer, &[5, request, u64::from(is_done)], |_| {
                    format!("force {request}: {result:?}")
                });
                self.counters.add(if is_done { "forces" } else { "forces refused" });
            }
            Output::Arranged { request, result } => {
                let is_done = result.is_ok();
                self.note(peer, &[7, request, u64::from(is_done)], |_| {
                    format!("arrange {request}: {result:?}")
                });
                self.counters.add(if is_done { "arranged" } else { "not arranged" });
            }
            Output::SiteArranged { request, result } => {
                let is_done = result.is_ok();
                self.note(peer, &[8, request, u64::from(is_done)], |_| {
                    format!("sites {request}: {result:?}")
                });
                self.counters.add(if is_done { "sites arranged" } else { "sites not arranged" });
                self.sited.push((request, is_done));
            }
            Output::PolicyChanged { result, .. } => {
                let is_done = result.is_ok();
                self.note(peer, &[4, u64::from(is_done)], |_| format!("policy: {result:?}"));
                // Who passes an answer on has it from the primary.
                let is_primary = self.process(peer).is_some_and(Process::is_primary);
                if let Some(revision) = result.ok().filter(|_| is_primary) {
                    self.on_policy_changed(peer, revision);
                }
            }
            Output::Routed(route) => self.on_routed(peer, route),
            Output::Switched { request, result } => {
                let is_done = result.is_ok();
                self.note(peer, &[2, request, u64::from(is_done)], |_| {
                    format!("switch {request}: {result:?}")
                });
                self.counters.add(if is_done { "hand-overs" } else { "hand-overs refused" });
                self.switched.push((request, is_done));
            }
        }
    }

    fn on_send(&mut self, peer: usize, to: usize, incarnation: Incarnation, message: Message) {
        self.count_message(&message);
        match &message {
            Message::Follow { ballot, .. } => self.on_reign(peer, *ballot),
            // A winner goes on to its reign in the same step: this is what it has adopted.
            // With a disk it has adopted it long before it says so.
            // What waited until it was remembered is no news.
            Message::Held { position, .. } if self.plan.disk.is_none() => {
                let always = self.plan.remembers.is_none();
                if self.process(peer).is_some_and(|process| always || process.position < *position)
                {
                    self.on_held(peer, *position);
                }
            }
            // A client takes part in nothing, and goes back from a ballot that came to nothing.
            Message::Ping { brief, .. } if !self.is_client(peer) => {
                self.see(&Seen::Ballot { peer, ballot: brief.ballot });
            }
            // A deposed primary names itself.
            Message::Release { ballot, to } if *to != self.plan.name(peer) => {
                let successor = self.index_of(to);
                self.see(&Seen::Released { peer, ballot: *ballot, to: successor });
            }
            Message::PolicyChanged { outcome: PolicyOutcome::Changed { revision }, .. } => {
                self.on_policy_changed(peer, *revision);
            }
            Message::VoteReply { ballot, grant: Grant::Vote, .. } => {
                self.see(&Seen::Vote { peer, ballot: *ballot, to });
            }
            _ => {}
        }
        self.trigger_on_message(peer, to, &message);
        self.transmit(peer, to, incarnation, Payload::Protocol(message));
    }

    fn count_message(&mut self, message: &Message) {
        self.counters.add("messages");
        match message {
            Message::Fork { .. } => self.counters.add("forks found"),
            Message::Piece(piece) if piece.end.is_some() => {
                if piece.digest.is_some() {
                    self.counters.add("states compared");
                }
                let is_whole = piece.from.is_none();
                self.counters.add(if is_whole { "full copies" } else { "batches" });
                if let Some(BatchEnd { meta: Some(_), .. }) = piece.end {
                    self.counters.add("batches with meta");
                }
            }
            Message::Piece(_) => self.counters.add("pieces before the last"),
            Message::Tail { keys: None, .. } => self.counters.add("tails too long"),
            Message::Tail { .. } => self.counters.add("forks repaired"),
            Message::StandNow { .. } => self.counters.add("winners that gave way"),
            Message::Lost { .. } => self.counters.add("batches lost"),
            _ => {}
        }
    }

    fn on_group_event(&mut self, peer: usize, event: &GroupEvent) {
        let code = self.count_event(peer, event);
        if matches!(event, GroupEvent::Founded { .. } | GroupEvent::NewGeneration { .. })
            && let Some(process) = self.process_mut(peer)
        {
            process.is_founding = true;
            // By force a primary without a lease may begin anew in one step, past its own last cut.
            if let GroupEvent::NewGeneration { position, .. } = event {
                process.position = process.position.max(*position);
            }
        }
        if let GroupEvent::SitePromoted { forced, position, epoch, .. } = event {
            self.note_promoted(peer, *epoch);
            self.counters.add(if *forced { "sites forced" } else { "sites promoted" });
            if *forced {
                self.note_forced_epoch(*epoch);
            }
            if let Some(process) = self.process_mut(peer) {
                // What is lost then is no breach of a promise.
                process.is_founding |= *forced;
                process.position = process.position.max(*position);
            }
        }
        self.note(peer, &[3, code], |_| format!("event {event:?}"));
        self.note_given_up(peer, event);
        if let GroupEvent::PrimaryChanged { primary: Some(primary), ballot } = event
            && *primary == self.plan.name(peer)
            && self.is_only_member(peer)
        {
            // Nobody is there to be told that it begins.
            self.on_reign(peer, *ballot);
        }
        self.see(&Seen::Event { peer, event });
        self.trigger_on_event(peer, event);
    }

    /// Returns true if a peer is the only member by what it holds itself.
    fn is_only_member(&self, peer: usize) -> bool {
        let list = self.process(peer).map(|process| process.store.meta().membership);
        list.is_some_and(|list| list.voters.len() == 1)
    }

    fn count_event(&mut self, peer: usize, event: &GroupEvent) -> u64 {
        let (code, name) = match event {
            GroupEvent::Founded { .. } => (1, "foundings"),
            GroupEvent::NewGeneration { .. } => (2, "new generations"),
            GroupEvent::PrimaryChanged { primary, .. } => {
                let is_self = primary.as_ref() == Some(&self.plan.name(peer));
                (3, if is_self { "elections" } else { "primaries followed" })
            }
            GroupEvent::FailureAgreed { .. } => (4, "failovers"),
            GroupEvent::CampaignStarted { .. } => (5, "campaigns"),
            GroupEvent::QuorumLost { .. } => (6, "quorum lost"),
            GroupEvent::SteppedDown { .. } => (7, "steps down"),
            GroupEvent::MemberReplaced { .. } => (8, "members replaced"),
            GroupEvent::ChangesLost { .. } => (9, "changes lost"),
            GroupEvent::Diverged { .. } => (14, "divergences"),
            GroupEvent::OlderGenerationDropped { .. } => (10, "older generations dropped"),
            GroupEvent::SwitchAborted { .. } => (11, "switches aborted"),
            GroupEvent::ConfigMismatch { .. } => (12, "groups refused"),
            GroupEvent::MemberAdded { .. } => (14, "members added"),
            GroupEvent::MemberRemoved { .. } => (15, "members removed"),
            GroupEvent::PolicyChanged { .. } => (16, "policies taken up"),
            GroupEvent::MemberForgotten { .. } => (17, "members forgotten"),
            GroupEvent::MemberStale { .. } => (18, "members stale"),
            GroupEvent::PrimaryForced { .. } => (19, "primaries forced"),
            GroupEvent::CountedOut { .. } => (20, "counted out"),
            _ => (13, "other events"),
        };
        self.counters.add(name);
        code
    }

    /// Schedules the machine's next tick, as late as a busy process would run it.
    pub(crate) fn arm(&mut self, peer: usize) {
        let Some(Host { clock, process: Some(process), .. }) = self.hosts.get_mut(peer) else {
            return;
        };
        let due = clock.moment(process.machine.deadline());
        if due == Moment::END {
            return;
        }
        let late = self.process_random.duration(Duration::ZERO, self.plan.timeout() / 2_000);
        let at = due.max(self.now).after(late);
        if process.armed.is_none_or(|armed| at < armed) {
            process.armed = Some(at);
            let incarnation = process.incarnation;
            self.queue.push(at, Event::Tick { peer, incarnation });
        }
    }

    pub(crate) fn on_tick(&mut self, peer: usize, incarnation: Incarnation) {
        let Host { process: Some(process), paused, .. } = &mut self.hosts[peer] else {
            return;
        };
        if process.incarnation != incarnation || process.armed != Some(self.now) {
            return;
        }
        process.armed = None;
        if paused.is_some() {
            return;
        }
        process.store.sweep(SWEPT);
        self.expire_served(peer);
        self.arm_merging(peer);
        let Host { clock, process: Some(process), .. } = &mut self.hosts[peer] else { return };
        if clock.time(self.now) >= process.machine.deadline() {
            self.drive(peer, Input::Tick);
        } else {
            self.arm(peer);
        }
    }

    pub(crate) fn on_changed(&mut self, peer: usize, incarnation: Incarnation) {
        if !self.hosts[peer].runs(incarnation) {
            return;
        }
        if self.hosts[peer].paused.is_some() {
            self.inboxes[peer].push(Event::Changed { peer, incarnation });
            return;
        }
        self.drive(peer, Input::Changed);
    }
}

/// Returns the request that an input makes, if it asks for a hand-over. No two have one number.
fn wish(input: &Input) -> Option<u64> {
    match input {
        Input::Switch { request, .. }
        | Input::Message { message: Message::SwitchPrimary { request, .. }, .. } => Some(*request),
        _ => None,
    }
}
