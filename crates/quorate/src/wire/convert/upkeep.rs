//! How a group looks after its members, to and from its generated twins.

use std::time::Duration;

use crate::base::id::GroupTime;
use crate::base::told::millis;
use crate::config::{Monitor, MonitorChange};
use crate::protocol::message::{ArrangeOutcome, Arrangement, Message};
use crate::state::Upkeep;
use crate::wire::bounds::{self, MAX_LISTED, required};
use crate::wire::error::WireError;
use crate::wire::generated as proto;
use crate::wire::generated::arrange::What;

type Read<T> = Result<T, WireError>;

impl From<&Upkeep> for proto::Upkeep {
    fn from(upkeep: &Upkeep) -> Self {
        let (size, grace_ms) = upkeep.monitor.map_or((0, 0), |monitor| numbers(&monitor));
        let paused_until = upkeep.paused_until.map_or(0, |until| until.0);
        Self { revision: upkeep.revision, size, grace_ms, paused_until }
    }
}

/// The size of a monitor, and its grace in milliseconds: 0 is the default.
fn numbers(monitor: &Monitor) -> (u32, u64) {
    let size = u32::try_from(monitor.size()).unwrap_or(u32::MAX);
    (size, monitor.own_grace().map_or(0, |grace| millis(grace).max(1)))
}

impl From<&MonitorChange> for proto::MonitorChange {
    fn from(change: &MonitorChange) -> Self {
        let (kind, (size, grace_ms), pause_ms) = match change {
            MonitorChange::Set(monitor) => {
                (proto::MonitorChangeKind::MonitorSet, numbers(monitor), 0)
            }
            MonitorChange::Off => (proto::MonitorChangeKind::MonitorOff, (0, 0), 0),
            MonitorChange::Pause(pause) => {
                (proto::MonitorChangeKind::MonitorPause, (0, 0), millis(*pause))
            }
            MonitorChange::Resume => (proto::MonitorChangeKind::MonitorResume, (0, 0), 0),
        };
        Self { kind: kind.into(), size, grace_ms, pause_ms }
    }
}

pub(in crate::wire::convert) fn arranged(request: u64, outcome: ArrangeOutcome) -> proto::Arranged {
    let (outcome, revision) = match outcome {
        ArrangeOutcome::Arranged { revision } => (proto::ArrangeOutcome::ArrangeArranged, revision),
        ArrangeOutcome::NotAllowed => (proto::ArrangeOutcome::ArrangeNotAllowed, 0),
        ArrangeOutcome::OldVersion => (proto::ArrangeOutcome::ArrangeOldVersion, 0),
        ArrangeOutcome::NoSite => (proto::ArrangeOutcome::ArrangeNoSite, 0),
        ArrangeOutcome::OtherDecides => (proto::ArrangeOutcome::ArrangeOtherDecides, 0),
        ArrangeOutcome::OtherHolds => (proto::ArrangeOutcome::ArrangeOtherHolds, 0),
        ArrangeOutcome::NotVerified => (proto::ArrangeOutcome::ArrangeNotVerified, 0),
        ArrangeOutcome::Sealed => (proto::ArrangeOutcome::ArrangeSealed, 0),
    };
    proto::Arranged { request, outcome: outcome.into(), revision }
}

/// A request to arrange something, from its generated twin.
pub(in crate::wire::convert) fn arrange(arrange: proto::Arrange) -> Read<Message> {
    let site_epoch = bounds::site_epoch(arrange.site_epoch)?;
    let change = match required("what is to be arranged", arrange.what)? {
        What::Monitor(change) => Arrangement::Monitor(monitor_change(&change)?),
        What::Site(change) => match proto::SiteChange::try_from(change) {
            Ok(proto::SiteChange::SiteActivate) => Arrangement::Activate,
            Ok(proto::SiteChange::SiteDemote) => Arrangement::Demote { site_epoch },
            Ok(proto::SiteChange::SiteSwitch) => Arrangement::SwitchSites { site_epoch },
            Ok(proto::SiteChange::SiteUnspecified) | Err(_) => {
                return Err(WireError::Missing { field: "what is to become of the site" });
            }
        },
    };
    Ok(Message::Arrange { request: arrange.request, change })
}

/// A request to arrange something, for its generated twin.
pub(in crate::wire::convert) fn asked(request: u64, change: &Arrangement) -> proto::Arrange {
    let (what, site_epoch) = match change {
        Arrangement::Monitor(change) => (What::Monitor(change.into()), 0),
        Arrangement::Activate => (What::Site(proto::SiteChange::SiteActivate.into()), 0),
        Arrangement::Demote { site_epoch } => {
            (What::Site(proto::SiteChange::SiteDemote.into()), *site_epoch)
        }
        Arrangement::SwitchSites { site_epoch } => {
            (What::Site(proto::SiteChange::SiteSwitch.into()), *site_epoch)
        }
    };
    proto::Arrange { request, what: Some(what), site_epoch: bounds::short(site_epoch) }
}

fn monitor_change(change: &proto::MonitorChange) -> Read<MonitorChange> {
    Ok(match change.kind() {
        proto::MonitorChangeKind::MonitorUnspecified => {
            return Err(WireError::Missing { field: "kind of a change" });
        }
        proto::MonitorChangeKind::MonitorSet => {
            let size = u64::from(change.size);
            bounds::number::<u64>("size", size, 1, MAX_LISTED as u64)?;
            let monitor = monitor(change.size, change.grace_ms)?;
            MonitorChange::Set(required("monitor", monitor)?)
        }
        proto::MonitorChangeKind::MonitorOff => MonitorChange::Off,
        proto::MonitorChangeKind::MonitorPause => {
            let most = millis(Monitor::MAX_PAUSE);
            let pause = bounds::number("pause", change.pause_ms, 1, most)?;
            MonitorChange::Pause(Duration::from_millis(pause))
        }
        proto::MonitorChangeKind::MonitorResume => MonitorChange::Resume,
    })
}

/// A monitor; of no members, none.
fn monitor(size: u32, grace_ms: u64) -> Read<Option<Monitor>> {
    let size: usize = bounds::number("size", size.into(), 0, MAX_LISTED as u64)?;
    let grace_ms = bounds::number("grace", grace_ms, 0, millis(Monitor::MAX_GRACE))?;
    let monitor = Monitor::new(size);
    Ok(match (size, grace_ms) {
        (0, _) => None,
        (_, 0) => Some(monitor),
        (_, grace) => Some(monitor.grace(Duration::from_millis(grace))),
    })
}

/// How a group looks after its members, from its generated twin.
pub(in crate::wire::convert) fn upkeep(upkeep: Option<proto::Upkeep>) -> Read<Upkeep> {
    let Some(upkeep) = upkeep else { return Ok(Upkeep::default()) };
    let until = bounds::clock("end of a pause", upkeep.paused_until)?;
    Ok(Upkeep {
        revision: upkeep.revision,
        monitor: monitor(upkeep.size, upkeep.grace_ms)?,
        paused_until: Some(until).filter(|until| *until > GroupTime(0)),
    })
}

/// What came of a request, from its generated twin.
pub(in crate::wire::convert) fn arrange_outcome(arranged: &proto::Arranged) -> Read<Message> {
    let outcome = match arranged.outcome() {
        proto::ArrangeOutcome::ArrangeUnspecified => {
            return Err(WireError::Missing { field: "outcome" });
        }
        proto::ArrangeOutcome::ArrangeArranged => {
            ArrangeOutcome::Arranged { revision: arranged.revision }
        }
        proto::ArrangeOutcome::ArrangeNotAllowed => ArrangeOutcome::NotAllowed,
        proto::ArrangeOutcome::ArrangeOldVersion => ArrangeOutcome::OldVersion,
        proto::ArrangeOutcome::ArrangeNoSite => ArrangeOutcome::NoSite,
        proto::ArrangeOutcome::ArrangeOtherDecides => ArrangeOutcome::OtherDecides,
        proto::ArrangeOutcome::ArrangeOtherHolds => ArrangeOutcome::OtherHolds,
        proto::ArrangeOutcome::ArrangeNotVerified => ArrangeOutcome::NotVerified,
        proto::ArrangeOutcome::ArrangeSealed => ArrangeOutcome::Sealed,
    };
    Ok(Message::Arranged { request: arranged.request, outcome })
}
