//! Metrics for a monitoring system: numbers with names and labels, none of which is ever a key.
//!
//! The names are listed in docs/operations.md. They follow the conventions of Prometheus.

use quorate::{
    CallTimes, Connections, GroupConfig, Link, PeerName, PeerRole, PeerStats, Status, StorageState,
    Turns,
};

use crate::numbers::counters::Counts;
use crate::numbers::stats::Stats;

/// A number that is measured, with all its values.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::RateLimiter;
///
/// fn print(limiter: &RateLimiter) {
///     for metric in limiter.metrics() {
///         for sample in &metric.samples {
///             let name = format!("{}{}", metric.name, sample.suffix);
///             println!("{name} {:?} {}", sample.labels, sample.value);
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name: small letters and `_`, beginning with `quorate_`, units at the end.
    pub name: &'static str,
    /// Its meaning, in one line.
    pub help: &'static str,
    /// Its kind: whether it may become less.
    pub kind: MetricKind,
    /// Its values: one without labels, or one for each set of labels.
    pub samples: Vec<Sample>,
}

/// The kinds of metrics: a number may become less, or not.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::MetricKind;
/// assert_ne!(MetricKind::Counter, MetricKind::Gauge);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows, from 0 at the start of the peer or limiter.
    Counter,
    /// It comes and goes.
    Gauge,
    /// The distribution of a quantity, as Prometheus has it: each sample says by [`Sample::suffix`]
    /// whether it is a `_bucket`, the number of values up to the bound in its label `le`, or the
    /// `_sum` or `_count` of all. Each of them only grows.
    Histogram,
}

/// One value of a [`Metric`].
///
/// # Examples
///
/// See [`Metric`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// The ending of the metric's name: nothing, but for those of a histogram.
    pub suffix: &'static str,
    /// Labels by name: names of limits and of peers, and words that are always the same; never
    /// keys.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: u64,
}

impl Metric {
    fn new(name: &'static str, kind: MetricKind, help: &'static str) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    fn with<const N: usize>(mut self, labels: [(&'static str, &str); N], value: u64) -> Self {
        let labels = labels.map(|(name, value)| (name, value.to_owned())).to_vec();
        self.samples.push(Sample { suffix: "", labels, value });
        self
    }

    fn part<const N: usize>(
        mut self,
        suffix: &'static str,
        labels: [(&'static str, &str); N],
        value: u64,
    ) -> Self {
        self = self.with(labels, value);
        if let Some(sample) = self.samples.last_mut() {
            sample.suffix = suffix;
        }
        self
    }
}

/// The sources of the metrics of a limiter.
pub(crate) struct Sources {
    pub(crate) stats: Stats,
    /// The number of times that the group's limits were changed.
    pub(crate) revision: u64,
    /// Limits that are others here than in the group.
    pub(crate) differing: usize,
    /// Limits that are used here and that the group has not.
    pub(crate) missing: usize,
    pub(crate) status: Status,
    pub(crate) peer: PeerStats,
}

impl Sources {
    /// Returns the numbers of all sources; where the group was given a name, each has it as a
    /// label.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut metrics = of_limits(&self.stats);
        metrics.push(gauge(
            "quorate_missing_limits",
            "Limits that are used here and that the group has not.",
            self.missing as u64,
        ));
        metrics.push(gauge(
            "quorate_limits_revision",
            "How often the limits were changed that this peer decides by.",
            self.revision,
        ));
        metrics.push(gauge(
            "quorate_differing_limits",
            "Limits that are others in this peer's code than in the group.",
            self.differing as u64,
        ));
        metrics.extend(of_group(&self.status));
        metrics.extend(of_room(&self.status));
        metrics.extend(of_connections(&self.status.connections));
        metrics.extend(of_turns(&self.status.turns));
        metrics.extend(of_peer(&self.peer));
        metrics.push(of_calls(&self.peer.call_times));
        // A name that nobody gave would tell no group from another.
        if self.status.group != GroupConfig::default().group {
            let samples = metrics.iter_mut().flat_map(|metric| &mut metric.samples);
            samples.for_each(|sample| sample.labels.push(("group", self.status.group.clone())));
        }
        metrics
    }
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Metric {
    Metric::new(name, MetricKind::Counter, help).with([], value)
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Metric {
    Metric::new(name, MetricKind::Gauge, help).with([], value)
}

fn of_limits(stats: &Stats) -> Vec<Metric> {
    let by_limit = |name, help| Metric::new(name, MetricKind::Counter, help);
    let mut decisions = by_limit("quorate_decisions_total", "Decisions by limit and outcome.");
    let mut local =
        by_limit("quorate_local_decisions_total", "Of these, made by this peer without a primary.");
    let mut units = by_limit(
        "quorate_granted_units_total",
        "Units taken; of reservations what was used of them.",
    );
    let mut reserved =
        by_limit("quorate_reserved_units_total", "Units taken for reservations, at full.");
    let mut refunded = by_limit("quorate_refunded_units_total", "Units given back by refunds.");
    let mut errors =
        by_limit("quorate_errors_total", "Calls that were not decided, by what was wrong.");
    let mut missing = by_limit(
        "quorate_missing_limit_calls_total",
        "Calls of a limit that is used here and that the group has not.",
    );
    for (limit, counts) in &stats.limits {
        for (outcome, count) in outcomes(counts) {
            decisions = decisions.with([("limit", limit), ("outcome", outcome)], count);
        }
        local = local.with([("limit", limit)], counts.local);
        units = units.with([("limit", limit)], counts.granted);
        missing = missing.with([("limit", limit)], counts.errors.missing_limit);
        reserved = reserved.with([("limit", limit)], counts.reserved);
        refunded = refunded.with([("limit", limit)], counts.refunded);
    }
    // Some calls name no limit, or several.
    for (kind, count) in stats.totals.errors.by_kind() {
        errors = errors.with([("kind", kind)], count);
    }
    vec![decisions, local, units, reserved, refunded, errors, missing]
}

fn of_calls(times: &CallTimes) -> Metric {
    let mut metric = Metric::new(
        "quorate_call_microseconds",
        MetricKind::Histogram,
        "How long calls took that were not decided at once by this peer.",
    );
    // Each part of a histogram counts those below it too.
    let mut count: u64 = 0;
    for (bound, calls) in CallTimes::BOUNDS_US.iter().zip(times.counts) {
        count = count.saturating_add(calls);
        metric = metric.part("_bucket", [("le", &*bound.to_string())], count);
    }
    count = count.saturating_add(times.longer);
    metric.part("_bucket", [("le", "+Inf")], count).part("_sum", [], times.sum_us).part(
        "_count",
        [],
        count,
    )
}

fn outcomes(counts: &Counts) -> [(&'static str, u64); 4] {
    [
        ("allowed", counts.allowed),
        ("denied", counts.denied),
        ("shadowed", counts.shadowed),
        ("uncounted", counts.uncounted),
    ]
}

fn of_group(status: &Status) -> Vec<Metric> {
    let reached = status.members.iter().filter(|member| is_reached(status, &member.name)).count();
    let is_primary = status.role == PeerRole::Primary;
    vec![
        gauge("quorate_is_primary", "Whether this peer is the primary.", is_primary.into()),
        gauge(
            "quorate_has_primary",
            "Whether this peer has heard of a primary within the failure timeout.",
            status.primary.is_some().into(),
        ),
        gauge(
            "quorate_has_quorum",
            "Whether this peer reaches a majority of the members.",
            status.quorum.into(),
        ),
        gauge("quorate_generation", "The newest founding known.", status.generation.0),
        gauge("quorate_term", "The newest reign known.", status.term.0),
        gauge("quorate_members", "Members, reachable or not.", status.size as u64),
        gauge(
            "quorate_reachable_members",
            "Members that this peer is connected to, and itself if it is one.",
            reached as u64,
        ),
        lag_of(status),
        gauge(
            "quorate_is_counted",
            "Whether this start of this peer counts as a member.",
            status.is_counted.into(),
        ),
        gauge(
            "quorate_catching_up_cells",
            "Cells that are still to come, while this peer is brought up to date.",
            status.catching_up.map_or(0, |up| up.total.saturating_sub(up.received)),
        ),
        gauge(
            "quorate_unacknowledged_units",
            "Units that would be lost if this peer died now.",
            status.unacknowledged_units,
        ),
        gauge(
            "quorate_overlay_units",
            "Units decided here alone and not yet merged.",
            status.overlay_units,
        ),
        gauge(
            "quorate_refusals",
            "Peers that are refused, here or there.",
            status.refusals.len() as u64,
        ),
        gauge(
            "quorate_storage_failed",
            "Whether storage takes nothing any more.",
            (status.storage_state == StorageState::Failed).into(),
        ),
        certificate_of(status),
    ]
}

/// Returns true if this peer is of that name, or connected to the one that is.
fn is_reached(status: &Status, name: &PeerName) -> bool {
    let mut links = status.peers.iter().filter(|peer| peer.link == Link::Up);
    *name == status.name || links.any(|peer| peer.name == *name)
}

/// One sample for each member whose lag is known, this peer included.
fn lag_of(status: &Status) -> Metric {
    let help = "How many cuts a member's state is behind the primary's.";
    let others = status.peers.iter().filter(|peer| peer.is_member);
    let own = status.lag.filter(|_| status.is_counted).map(|lag| (&status.name, lag));
    let known = others.filter_map(|peer| peer.lag.map(|lag| (&peer.name, lag))).chain(own);
    known.fold(Metric::new("quorate_lag", MetricKind::Gauge, help), |metric, (peer, lag)| {
        metric.with([("peer", peer.as_str())], lag)
    })
}

/// No sample where no certificate is shown.
fn certificate_of(status: &Status) -> Metric {
    let end = Metric::new(
        "quorate_certificate_end_seconds",
        MetricKind::Gauge,
        "The last moment of this peer's certificate, in seconds since the Unix epoch.",
    );
    match &status.certificate {
        Some(certificate) => end.with([], certificate.not_after_ms / 1000),
        None => end,
    }
}

fn of_room(status: &Status) -> Vec<Metric> {
    vec![
        gauge("quorate_cells", "Cells held.", status.cells as u64),
        gauge("quorate_max_cells", "The most made here.", status.max_cells as u64),
        gauge("quorate_store_bytes", "Memory of the cells.", status.bytes as u64),
        gauge(
            "quorate_max_store_bytes",
            "The most taken for cells made here.",
            status.max_bytes as u64,
        ),
    ]
}

fn of_connections(connections: &Connections) -> Vec<Metric> {
    vec![
        gauge("quorate_connections", "Connections that came in.", connections.open as u64),
        gauge("quorate_max_connections", "The most that are let in.", connections.max as u64),
        gauge(
            "quorate_guest_connections",
            "Connections of clients, and of others that are no members.",
            connections.guests as u64,
        ),
        gauge(
            "quorate_max_guest_connections",
            "The most of these that are let in.",
            connections.max_guests as u64,
        ),
        gauge(
            "quorate_handshakes",
            "Connections whose handshake is not over.",
            connections.handshakes as u64,
        ),
        gauge(
            "quorate_max_handshakes",
            "The most of these that are let in.",
            connections.max_handshakes as u64,
        ),
        gauge(
            "quorate_buffered_bytes",
            "Bytes that wait for guests, or that they have sent a part of.",
            connections.buffered_bytes as u64,
        ),
        gauge(
            "quorate_max_buffered_bytes",
            "Beyond this, guests that hold much are closed.",
            connections.max_buffered_bytes as u64,
        ),
    ]
}

fn of_turns(turns: &Turns) -> Vec<Metric> {
    vec![
        gauge(
            "quorate_longest_turn_microseconds",
            "The longest turn of the event loop since the start.",
            turns.longest_us,
        ),
        gauge(
            "quorate_recent_longest_turn_microseconds",
            "The longest turn of the event loop in the last one to two minutes.",
            turns.recent_longest_us,
        ),
    ]
}

fn of_peer(stats: &PeerStats) -> Vec<Metric> {
    vec![
        counter("quorate_forwarded_calls_total", "Calls sent to the primary.", stats.forwarded),
        counter(
            "quorate_served_calls_total",
            "Calls of other peers taken up as primary.",
            stats.served,
        ),
        Metric::new(
            "quorate_refused_calls_total",
            MetricKind::Counter,
            "Calls refused here, by the bound that was reached.",
        )
        .with([("bound", "room")], stats.refused_for_room)
        .with([("bound", "max_waiting_calls")], stats.refused_for_waiting),
        counter("quorate_campaigns_total", "Elections that this peer stood for.", stats.campaigns),
        counter(
            "quorate_primary_changes_total",
            "Times that the primary was another than before, or none.",
            stats.primary_changes,
        ),
        counter(
            "quorate_quorum_losses_total",
            "Times that this peer, as primary, lost its majority.",
            stats.quorum_losses,
        ),
        counter("quorate_links_made_total", "Links made to peers.", stats.links_made),
        counter("quorate_links_lost_total", "Links lost to peers.", stats.links_lost),
        counter(
            "quorate_sent_pieces_total",
            "Pieces of changes sent to other peers.",
            stats.pieces_sent,
        ),
        counter("quorate_sent_bytes_total", "Bytes of cells in them.", stats.piece_bytes_sent),
        counter(
            "quorate_paused_reads_total",
            "Times that a connection was not read for a while.",
            stats.reads_paused,
        ),
        counter(
            "quorate_turned_away_connections_total",
            "Connections that were not let in.",
            stats.turned_away,
        ),
        counter(
            "quorate_failed_accepts_total",
            "Times that the system gave no connection that was to be accepted.",
            stats.accepts_failed,
        ),
        counter(
            "quorate_omitted_events_total",
            "Events not told, for peers that are no members caused too many.",
            stats.events_omitted,
        ),
        counter(
            "quorate_dropped_messages_total",
            "Messages dropped because too much waited for their receiver.",
            stats.messages_dropped,
        ),
        Metric::new(
            "quorate_closed_connections_total",
            MetricKind::Counter,
            "Open connections closed here, by why.",
        )
        .with([("reason", "silent")], stats.closed_silent)
        .with([("reason", "not_taking")], stats.closed_not_taking)
        .with([("reason", "unfinished")], stats.closed_unfinished)
        .with([("reason", "garbled")], stats.closed_garbled)
        .with([("reason", "crowded")], stats.closed_crowded),
    ]
}
