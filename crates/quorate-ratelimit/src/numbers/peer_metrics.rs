//! Metrics of a peer and its group.

use quorate::internal::wire::PROTOCOL_VERSION;
use quorate::transport::Certificate;
use quorate::{
    CallTimes, Connections, Link, PeerName, PeerRole, PeerStats, SiteCondition, SiteMode,
    SiteStatus, Status, StorageState, Turns,
};

use crate::numbers::metric::{Metric, MetricKind, in_seconds};

/// Returns the numbers of a status: how things are.
pub(crate) fn of_status(status: &Status) -> Vec<Metric> {
    let mut metrics = vec![of_build()];
    metrics.extend(of_group(status));
    metrics.extend(of_site(status.site.as_ref()));
    metrics.extend(of_room(status));
    metrics.extend(of_connections(&status.connections));
    metrics.extend(of_turns(&status.turns));
    metrics
}

/// Returns the numbers of what a peer has done.
pub(crate) fn of_stats(stats: &PeerStats) -> Vec<Metric> {
    let mut metrics = of_peer(stats);
    metrics.extend(of_units(stats));
    metrics.push(histogram(
        "quorate_call_seconds",
        "How long calls took that were not decided at once by this peer.",
        &stats.call_times,
    ));
    metrics.push(histogram(
        "quorate_forwarded_seconds",
        "How long calls took that were sent to the primary.",
        &stats.forwarded_times,
    ));
    metrics
}

fn of_group(status: &Status) -> Vec<Metric> {
    let reached = status.members.iter().filter(|member| is_reached(status, &member.name)).count();
    let is_primary = status.role == PeerRole::Primary;
    let stale = status.monitor.as_ref().map_or(0, |monitor| monitor.stale.len());
    vec![
        Metric::gauge("quorate_is_primary", "Whether this peer is the primary.", is_primary.into()),
        Metric::gauge(
            "quorate_has_primary",
            "Whether this peer has heard of a primary within the failure timeout.",
            status.primary.is_some().into(),
        ),
        Metric::gauge(
            "quorate_has_quorum",
            "Whether this peer reaches a majority of the members.",
            status.quorum.into(),
        ),
        Metric::gauge(
            "quorate_generation",
            "The newest founding known.",
            status.generation.founding(),
        ),
        Metric::gauge("quorate_term", "The newest reign known.", status.term.0),
        Metric::gauge("quorate_members", "Members, reachable or not.", status.size as u64),
        Metric::gauge(
            "quorate_reachable_members",
            "Members that this peer is connected to, and itself if it is one.",
            reached as u64,
        ),
        Metric::gauge(
            "quorate_spare_members",
            "Live members that may fail before those that are left are no majority.",
            status.spare as u64,
        ),
        Metric::gauge(
            "quorate_stale_members",
            "Members that were silent for the grace of the monitor.",
            stale as u64,
        ),
        lag_of(status),
        Metric::gauge(
            "quorate_is_counted",
            "Whether this start of this peer counts as a member.",
            status.is_counted.into(),
        ),
        Metric::gauge(
            "quorate_catching_up_cells",
            "Cells that are still to come, while this peer is brought up to date.",
            status.catching_up.map_or(0, |up| up.total.saturating_sub(up.received)),
        ),
        Metric::gauge(
            "quorate_unacknowledged_units",
            "Units that would be lost if this peer died now.",
            status.unacknowledged_units,
        ),
        Metric::gauge(
            "quorate_overlay_units",
            "Units decided here alone and not yet merged.",
            status.overlay_units,
        ),
        Metric::gauge(
            "quorate_refusals",
            "Peers that are refused, here or there.",
            status.refusals.len() as u64,
        ),
        Metric::gauge(
            "quorate_storage_failed",
            "Whether storage takes nothing any more.",
            (status.storage_state == StorageState::Failed).into(),
        ),
        certificates_of(status),
    ]
}

/// What a site can be to its group, by the words of the status.
const MODES: [(SiteMode, &str); 3] = [
    (SiteMode::Active, "active"),
    (SiteMode::Passive, "passive"),
    (SiteMode::Standalone, "standalone"),
];

/// How a site can be, by the words of the status.
const STATES: [(SiteCondition, &str); 8] = [
    (SiteCondition::Ready, "Ready"),
    (SiteCondition::Warning, "Warning"),
    (SiteCondition::Pending, "Pending"),
    (SiteCondition::PeerNotReachable, "PeerNotReachable"),
    (SiteCondition::PGStateSetupBlocked, "PGStateSetupBlocked"),
    (SiteCondition::BlockedWarmStandbyConversion, "BlockedWarmStandbyConversion"),
    (SiteCondition::ReadyForPromotion, "ReadyForPromotion"),
    (SiteCondition::PromotionBlocked, "PromotionBlocked"),
];

/// Without samples at a peer that stands at no site.
fn of_site(site: Option<&SiteStatus>) -> Vec<Metric> {
    let gauge = |name, help| Metric::new(name, MetricKind::Gauge, help);
    let mut epoch = gauge(
        "quorate_site_epoch",
        "The site epoch of the state here: it grows when another site begins to decide.",
    );
    let mut mode = gauge("quorate_site_mode", "Whether this site is that to its group.");
    let mut state = gauge("quorate_site_state", "Whether this site is so.");
    let mut rpo_time = gauge(
        "quorate_site_rpo_seconds",
        "At the primary: for how long something has not been held by most of the other site.",
    );
    let mut rpo_units = gauge(
        "quorate_site_rpo_units",
        "At the primary: units that would be lost if the other site were promoted now, at most.",
    );
    let mut behind = gauge(
        "quorate_site_behind_seconds",
        "At the site that follows: by how much its state is before the primary's last word.",
    );
    if let Some(site) = site {
        epoch = epoch.with([], site.epoch);
        for (known, word) in MODES {
            mode = mode.with([("mode", word)], (site.mode == known).into());
        }
        for (known, word) in STATES {
            state = state.with([("state", word)], (site.state == known).into());
        }
        let with_time = |metric: Metric, ms: Option<u64>| match ms {
            Some(ms) => metric.with_time([], ms.saturating_mul(1_000)),
            None => metric,
        };
        rpo_time = with_time(rpo_time, site.rpo_ms);
        behind = with_time(behind, site.behind_ms);
        rpo_units =
            site.rpo_units.into_iter().fold(rpo_units, |metric, units| metric.with([], units));
    }
    vec![epoch, mode, state, rpo_time, rpo_units, behind]
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

/// One sample for each member that is known to show a certificate, this peer included.
fn certificates_of(status: &Status) -> Metric {
    let metric = Metric::new(
        "quorate_certificate_expiry_timestamp_seconds",
        MetricKind::Gauge,
        "The last moment of a member's certificate, in seconds since the Unix epoch.",
    );
    let others = status.peers.iter().filter(|peer| peer.is_member);
    let others = others.map(|peer| (&peer.name, &peer.certificate));
    let shown = others.chain([(&status.name, &status.certificate)]);
    shown.fold(metric, |metric, (peer, certificate)| match certificate {
        Some(Certificate { not_after_ms, .. }) => {
            metric.with([("peer", peer.as_str())], not_after_ms / 1000)
        }
        None => metric,
    })
}

/// The build of this peer, as labels.
fn of_build() -> Metric {
    let wire = PROTOCOL_VERSION.to_string();
    Metric::new(
        "quorate_build_info",
        MetricKind::Gauge,
        "The version of the library, and the newest of the protocol that it speaks; always 1.",
    )
    .with([("version", env!("CARGO_PKG_VERSION")), ("wire", &*wire)], 1)
}

fn of_room(status: &Status) -> Vec<Metric> {
    vec![
        Metric::gauge("quorate_cells", "Cells held.", status.cells as u64),
        Metric::gauge("quorate_max_cells", "The most made here.", status.max_cells as u64),
        Metric::gauge("quorate_store_bytes", "Memory of the cells.", status.bytes as u64),
        Metric::gauge(
            "quorate_max_store_bytes",
            "The most taken for cells made here.",
            status.max_bytes as u64,
        ),
    ]
}

fn of_connections(connections: &Connections) -> Vec<Metric> {
    vec![
        Metric::gauge("quorate_connections", "Connections that came in.", connections.open as u64),
        Metric::gauge(
            "quorate_max_connections",
            "The most that are let in.",
            connections.max as u64,
        ),
        Metric::gauge(
            "quorate_guest_connections",
            "Connections of clients, and of others that are no members.",
            connections.guests as u64,
        ),
        Metric::gauge(
            "quorate_max_guest_connections",
            "The most of these that are let in.",
            connections.max_guests as u64,
        ),
        Metric::gauge(
            "quorate_handshakes",
            "Connections whose handshake is not over.",
            connections.handshakes as u64,
        ),
        Metric::gauge(
            "quorate_max_handshakes",
            "The most of these that are let in.",
            connections.max_handshakes as u64,
        ),
        Metric::gauge(
            "quorate_buffered_bytes",
            "Bytes that wait for guests, or that they have sent a part of.",
            connections.buffered_bytes as u64,
        ),
        Metric::gauge(
            "quorate_max_buffered_bytes",
            "Beyond this, guests that hold much are closed.",
            connections.max_buffered_bytes as u64,
        ),
    ]
}

fn of_turns(turns: &Turns) -> Vec<Metric> {
    let longest =
        |name, help, micros| Metric::new(name, MetricKind::Gauge, help).with_time([], micros);
    vec![
        longest(
            "quorate_longest_turn_seconds",
            "The longest turn of the event loop since the start.",
            turns.longest_us,
        ),
        longest(
            "quorate_recent_longest_turn_seconds",
            "The longest turn of the event loop in the last one to two minutes.",
            turns.recent_longest_us,
        ),
    ]
}

fn of_peer(stats: &PeerStats) -> Vec<Metric> {
    vec![
        Metric::counter(
            "quorate_forwarded_calls_total",
            "Calls sent to the primary.",
            stats.forwarded,
        ),
        Metric::counter(
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
        Metric::counter(
            "quorate_campaigns_total",
            "Elections that this peer stood for.",
            stats.campaigns,
        ),
        Metric::counter(
            "quorate_primary_changes_total",
            "Times that the primary was another than before, or none.",
            stats.primary_changes,
        ),
        Metric::counter(
            "quorate_quorum_losses_total",
            "Times that this peer, as primary, lost its majority.",
            stats.quorum_losses,
        ),
        Metric::counter("quorate_links_made_total", "Links made to peers.", stats.links_made),
        Metric::counter("quorate_links_lost_total", "Links lost to peers.", stats.links_lost),
        Metric::counter(
            "quorate_sent_pieces_total",
            "Pieces of changes sent to other peers.",
            stats.pieces_sent,
        ),
        Metric::counter(
            "quorate_sent_bytes_total",
            "Bytes of cells in them.",
            stats.piece_bytes_sent,
        ),
        Metric::counter(
            "quorate_paused_reads_total",
            "Times that a connection was not read for a while.",
            stats.reads_paused,
        ),
        Metric::counter(
            "quorate_turned_away_connections_total",
            "Connections that were not let in.",
            stats.turned_away,
        ),
        Metric::counter(
            "quorate_failed_accepts_total",
            "Times that the system gave no connection that was to be accepted.",
            stats.accepts_failed,
        ),
        Metric::counter(
            "quorate_omitted_events_total",
            "Events not told, for peers that are no members caused too many.",
            stats.events_omitted,
        ),
        Metric::counter(
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

/// Units that no longer count, or count again, by what became of them.
fn of_units(stats: &PeerStats) -> Vec<Metric> {
    vec![
        Metric::new(
            "quorate_lost_units_total",
            MetricKind::Counter,
            "Units of an old primary that were given up, exactly, or may have been, at most.",
        )
        .with([("certainty", "exact")], stats.units_lost)
        .with([("certainty", "at_most")], stats.units_lost_at_most),
        Metric::counter(
            "quorate_merged_units_total",
            "Units decided here alone that were merged.",
            stats.units_merged,
        ),
        Metric::new(
            "quorate_discarded_units_total",
            MetricKind::Counter,
            "Units decided here alone that were dropped, by why.",
        )
        .with([("reason", "outdated")], stats.units_outdated)
        .with([("reason", "settings")], stats.units_discarded)
        .with([("reason", "refused")], stats.units_refused),
    ]
}

/// A histogram of times.
fn histogram(name: &'static str, help: &'static str, times: &CallTimes) -> Metric {
    let mut metric = Metric::new(name, MetricKind::Histogram, help);
    // Each part of a histogram counts those below it too.
    let mut count: u64 = 0;
    for (bound, calls) in CallTimes::BOUNDS_US.iter().zip(times.counts) {
        count = count.saturating_add(calls);
        let bound = in_seconds(*bound).to_string();
        metric = metric.part("_bucket", [("le", &*bound)], count as f64);
    }
    let all = count.saturating_add(times.longer) as f64;
    let metric = metric.part("_bucket", [("le", "+Inf")], all);
    metric.part("_sum", [], in_seconds(times.sum_us)).part("_count", [], all)
}
