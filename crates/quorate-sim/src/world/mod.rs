//! One run: the peers, what lies between them, and what happens next.
//!
//! ```text
//!  clients ──▶ calls ──▶ Store ◀── Machine ──▶ network ──▶ Machine ..
//!                 │        │          ▲
//!              history   checks     clocks, faults
//! ```
//!
//! One thread, one queue of events, virtual time. The peers run the real state machine and the
//! real store; this crate stands in for the driver, the network, the clocks and the clients.

mod callers;
mod calls;
mod clients;
mod clocks;
mod contact;
mod course;
mod describe;
mod disk;
mod drive;
pub(crate) mod event;
mod filters;
mod holders;
mod lasting;
pub(crate) mod liar;
mod links;
pub(crate) mod members;
mod merging;
mod partitions;
mod policies;
mod processes;
mod progress;
mod rest;
mod serving;
mod sites;
mod stranded;
mod strike;
mod triggers;
mod upkeep;
pub(crate) mod watch;
#[cfg(feature = "bugs")]
mod within_cuts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use quorate::internal::protocol::io::Succession;
use quorate::{Incarnation, MemberId};

use crate::base::clock::{Clock, Moment};
use crate::base::queue::Queue;
use crate::base::random::Random;
use crate::host::Host;
use crate::host::stranded::Stranded;
use crate::model::key::all_keys;
use crate::model::reference::History;
use crate::network::Network;
use crate::network::filter::Filter;
use crate::observe::contact::Contact;
use crate::observe::counters::Counters;
use crate::observe::trace::Trace;
use crate::plan::Plan;
use crate::words::call::Done;
use crate::words::merge::MergeId;
use crate::words::operation::Op;
use crate::words::seen::{Failure, Seen};
use crate::world::event::Event;
use crate::world::lasting::Overdue;
use crate::world::liar::Liar;
use crate::world::upkeep::GivenUp;
use crate::world::watch::Watch;

/// The least that a timer waits: one that is due again and again lets time pass.
const TIMER_STEP: Duration = Duration::from_micros(1);

/// One run of one plan.
#[derive(Debug)]
pub(crate) struct World {
    plan: Plan,
    now: Moment,
    queue: Queue<Event>,
    network: Network,
    hosts: Vec<Host>,
    /// The events that came to each process while it was frozen.
    inboxes: Vec<Vec<Event>>,
    /// The id that each start was counted by.
    ids: BTreeMap<Incarnation, MemberId>,
    /// The process whose end each start proves.
    successions: BTreeMap<Incarnation, Succession>,
    /// Processes that live on, cut off, while another runs under their name.
    stranded: Vec<Stranded>,
    ops: Vec<Op>,
    /// Every key that a client may use.
    keys: Vec<Bytes>,
    history: History,
    /// What was merged last of every batch, and where.
    merged: BTreeMap<MergeId, (usize, Done)>,
    /// Batches that have changed nothing so far, and are recorded nowhere.
    without_effect: BTreeSet<MergeId>,
    /// The one that looks on; none while it is shown something.
    watch: Option<Box<dyn Watch>>,
    counters: Counters,
    trace: Trace,
    failure: Option<Failure>,
    contact: Contact,
    /// The number of times that all was healed: what undoes an older fault has no effect.
    healed: u64,
    are_clients_active: bool,
    are_faults_active: bool,
    /// Messages that a scenario holds back.
    filters: Vec<Filter>,
    /// Transfers are decided while cuts are open.
    #[cfg(feature = "bugs")]
    is_busy_within_cuts: bool,
    /// A peer that is no member, and lies.
    liar: Option<Liar>,
    /// Peers that were named as gone while they lived, and have not heard of that.
    given_up: Vec<GivenUp>,
    /// How often an operator has said which site is to decide.
    activations: u64,
    /// How wishes about the sites ended.
    sited: Vec<(u64, bool)>,
    /// Site epochs, and when each was first known to have begun.
    epochs_begun: BTreeMap<u64, Moment>,
    /// Who was made primary of which site epoch by a promotion.
    promoted: BTreeSet<(usize, u64)>,
    /// Site epochs that were begun by force.
    forced_epochs: BTreeSet<u64>,
    /// How often in a row the operator has seen nobody decide.
    undecided: u64,
    /// Whether any was, in a run of operators that lie.
    has_lied: bool,
    /// The election that is due, while faults last.
    overdue: Overdue,
    switches: u64,
    /// Switches that have ended, with whether the primary changed.
    switched: Vec<(u64, bool)>,
    process_random: Random,
    fault_random: Random,
    load_random: Random,
    disk_random: Random,
    policy_random: Random,
    client_random: Random,
}

/// A run that goes on beyond this many events per peer has a loop in it.
const MAX_EVENTS: u64 = 3_000_000;

impl World {
    /// A world in which nothing has started yet.
    pub(crate) fn new(plan: Plan, trace: Trace, watch: Box<dyn Watch>) -> Self {
        let mut random = Random::new(plan.seed ^ 0x5157_4f52_4154_4521);
        let network = Network::new(plan.hosts(), plan.style.clone(), random.fork());
        let mut uptimes = random.fork();
        let hosts: Vec<Host> = (0..plan.hosts())
            .map(|index| {
                let (drift, offset) = plan.clocks.get(index).copied().unwrap_or_default();
                let uptime = Duration::from_secs(uptimes.between(1_000, 1_000_000));
                Host::new(&plan, index, Clock::new(uptime, drift, offset))
            })
            .collect();
        Self {
            now: Moment(0),
            queue: Queue::new(),
            network,
            inboxes: hosts.iter().map(|_| Vec::new()).collect(),
            hosts,
            ids: BTreeMap::new(),
            successions: BTreeMap::new(),
            stranded: Vec::new(),
            ops: Vec::new(),
            history: History::default(),
            merged: BTreeMap::new(),
            without_effect: BTreeSet::new(),
            keys: all_keys(&plan),
            watch: Some(watch),
            counters: Counters::default(),
            trace,
            failure: None,
            contact: Contact::default(),
            healed: 0,
            are_clients_active: false,
            are_faults_active: false,
            filters: Vec::new(),
            #[cfg(feature = "bugs")]
            is_busy_within_cuts: false,
            liar: None,
            given_up: Vec::new(),
            activations: 0,
            sited: Vec::new(),
            epochs_begun: BTreeMap::new(),
            promoted: BTreeSet::new(),
            forced_epochs: BTreeSet::new(),
            undecided: 0,
            has_lied: false,
            overdue: Overdue::default(),
            switches: 0,
            switched: Vec::new(),
            process_random: random.fork(),
            fault_random: random.fork(),
            load_random: random.fork(),
            disk_random: random.fork(),
            policy_random: random.fork(),
            client_random: random.fork(),
            plan,
        }
    }

    pub(crate) fn at(&mut self, delay: Duration, event: Event) {
        self.queue.push(self.now.after(delay), event);
    }

    /// Runs until `end`, or until a checker fails.
    pub(crate) fn run_until(&mut self, end: Moment) {
        while self.failure.is_none() && self.queue.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Runs until `is_done` holds, asked after every event; false if it does not hold within
    /// `bound`.
    pub(crate) fn run_while(&mut self, bound: Duration, is_done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(bound);
        while self.failure.is_none() {
            if is_done(self) {
                return true;
            }
            if self.queue.next_at().is_none_or(|at| at > end) {
                self.now = self.now.max(end);
                return false;
            }
            self.step();
        }
        false
    }

    pub(crate) fn step(&mut self) {
        let Some((at, event)) = self.queue.pop() else { return };
        self.now = self.now.max(at);
        if self.queue.pushed() > MAX_EVENTS {
            self.fail("liveness", format!("more than {MAX_EVENTS} events: something loops"));
            return;
        }
        self.dispatch(event);
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Arrive(packet) => self.on_arrive(*packet),
            Event::Changed { peer, incarnation } => self.on_changed(peer, incarnation),
            Event::Client { client } => self.on_client(client),
            Event::ClientFault => self.on_client_fault(),
            Event::Deadline { op } => self.on_deadline(op),
            Event::Dial { one, other } => self.on_dial(one, other),
            Event::Disk { peer, incarnation } => self.on_disk(peer, incarnation),
            Event::Fault => self.on_fault(),
            Event::Strike { fault, peer } => self.strike(fault, Some(peer)),
            Event::Hastened { op, to } => self.on_hastened(op, to),
            Event::Issue { op } => self.on_issue(op),
            Event::Merge { peer, incarnation } => self.on_merge_timer(peer, incarnation),
            Event::Policy => self.on_policy_timer(),
            Event::Operator => self.on_operator(),
            Event::Retry { op } => self.on_retry(op),
            Event::Open { connection, end } => self.on_open(connection, end),
            Event::Silence { connection, end } => self.on_silence(connection, end),
            Event::Tick { peer, incarnation } => self.on_tick(peer, incarnation),
            Event::Undo { undo, healed } => {
                if healed == self.healed {
                    self.undo(undo);
                }
            }
        }
    }

    /// Shows something to whoever looks on.
    pub(crate) fn see(&mut self, seen: &Seen<'_>) {
        let Some(mut watch) = self.watch.take() else { return };
        let result = watch.see(self, seen);
        self.watch = Some(watch);
        if let Err(failure) = result {
            self.failure.get_or_insert(failure);
        }
    }

    /// Lets whoever looks on look at the end.
    pub(crate) fn finish(&mut self) {
        let Some(mut watch) = self.watch.take() else { return };
        let result = watch.finish(self);
        self.watch = Some(watch);
        if let Err(failure) = result {
            self.failure.get_or_insert(failure);
        }
    }

    pub(crate) fn fail(&mut self, checker: &'static str, what: String) {
        self.failure.get_or_insert(Failure { checker, what });
    }

    /// Notes something in the trace; the text is only made if somebody reads it.
    pub(crate) fn note(
        &mut self,
        peer: usize,
        numbers: &[u64],
        text: impl FnOnce(&Self) -> String,
    ) {
        let text = self.trace.is_read().then(|| text(self));
        self.trace.add(self.now, peer, numbers, text);
    }
}

/// The parts of a world that others may look at.
impl World {
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn now(&self) -> Moment {
        self.now
    }

    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    pub(crate) fn stranded(&self) -> &[Stranded] {
        &self.stranded
    }

    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub(crate) fn keys(&self) -> &[Bytes] {
        &self.keys
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn contact(&self) -> &Contact {
        &self.contact
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }
}
