//! What a peer says of the two sites.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::base::id::{GroupTime, PeerName};
use crate::base::told::{millis, whole};
use crate::driver::report::peer_status::{Link, PeerStatus};
use crate::protocol::{Backed, MAX_LAG, PeerRole, SiteView};
use crate::state::Promoted;
use crate::store::Store;

/// What a peer says of its site and the other one ([docs/sites.md]).
///
/// [docs/sites.md]: https://github.com/quorate/quorate/blob/main/docs/sites.md
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SiteStatus {
    /// The site of this peer.
    pub site: String,
    /// The other one.
    pub other: String,
    /// The site epoch of the state held here: it grows when another site begins to decide.
    pub epoch: u64,
    /// What this site is to the group.
    pub mode: SiteMode,
    /// How far it is with that.
    pub phase: SitePhase,
    /// How it is, in one word.
    pub state: SiteCondition,
    /// That in a sentence.
    pub reason: String,
    /// Peers of the site that follows, at the site that decides: those listed, and others that are
    /// linked.
    pub standby: Vec<SitePeer>,
    /// How the active site came to decide; `None` if no other one did before it.
    pub last_promotion: Option<LastPromotion>,
    /// At the primary of the site that decides: for how long something that was decided has not
    /// been held by most of the peers that are listed of the other one, in milliseconds, at most; 0
    /// if they hold everything, and `None` elsewhere, and while nobody is listed or it is not known
    /// that most of them hold anything of this reign. It is what would be lost if this site were,
    /// and the other one promoted.
    pub rpo_ms: Option<u64>,
    /// That in units, at most; as far as this reign goes.
    pub rpo_units: Option<u64>,
    /// At the site that follows: when the state held here was made, by the calendar, in
    /// milliseconds since the Unix epoch: what was decided until then it holds. `None` before there
    /// is one.
    pub as_of_ms: Option<u64>,
    /// At the site that follows: by how much that is before the last word of the primary, in
    /// milliseconds, as group time goes here; 0 if this peer held then what the primary did, and
    /// `None` if no primary is known. What was decided since that word (`silent_ms`) comes on top.
    pub behind_ms: Option<u64>,
    /// At the site that follows: how long ago the primary was last heard, in milliseconds; `None`
    /// if none is known.
    pub silent_ms: Option<u64>,
    /// At the site that follows: the number of cuts that the state here is behind the primary's;
    /// `None` if that is not known.
    pub lag: Option<u64>,
    /// What the other site holds, to tell what it does not at any time.
    #[serde(skip)]
    backed: Option<Backed>,
}

/// How a site came to decide.
///
/// What is measured is known to the peer that was promoted, in the site epoch that it began. What
/// former primaries tell another peer, which decides there later, is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastPromotion {
    /// The site epoch that began.
    pub epoch: u64,
    /// When it began, by the calendar, in milliseconds since the Unix epoch.
    pub at_ms: Option<u64>,
    /// For how long the promotion was under way until decisions were possible, in milliseconds.
    pub took_ms: Option<u64>,
    /// From the last word of the primary before it until then, in milliseconds.
    pub outage_ms: Option<u64>,
    /// Units that former primaries of the other site had decided and gave up when they came back;
    /// `None` before one has.
    pub lost_units: Option<u64>,
    /// Whether they are exact, or a bound.
    pub lost_exact: Option<bool>,
    /// Whether that was without a word of the other site.
    pub forced: bool,
    /// When the state was made that it began from, by the calendar, in milliseconds since the Unix
    /// epoch: what was decided until then is kept.
    pub as_of_ms: u64,
}

/// What a site is to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SiteMode {
    /// Its members decide.
    Active,
    /// It follows the other one.
    Passive,
    /// The group has one site, or this peer knows of no group yet.
    Standalone,
}

/// How far a site is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum SitePhase {
    /// It is to decide, and does not yet.
    #[serde(rename = "progressing to active")]
    ToActive,
    /// It decides, and not all of its members are there.
    #[serde(rename = "progressing to active (ready for traffic)")]
    ToActiveReady,
    /// It decides.
    #[serde(rename = "active")]
    Active,
    /// It is to follow, and holds nothing yet.
    #[serde(rename = "progressing to passive")]
    ToPassive,
    /// It follows.
    #[serde(rename = "passive")]
    Passive,
    /// Neither.
    #[serde(rename = "standalone")]
    Standalone,
}

/// How a site is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum SiteCondition {
    /// It holds, or feeds, what it is to.
    Ready,
    /// It works, and something is to be looked at.
    Warning,
    /// It waits: for a state, or for being told which site decides.
    Pending,
    /// No peer of the other site is linked.
    PeerNotReachable,
    /// It decides, and no peer of the other site has introduced itself yet.
    PGStateSetupBlocked,
    /// It has given up deciding, and the other one was not promoted yet.
    BlockedWarmStandbyConversion,
    /// The other site has given up deciding, and this one can be promoted without a loss.
    ReadyForPromotion,
    /// The other site has given up deciding, or this one was to be promoted, and it is not, or
    /// cannot be.
    PromotionBlocked,
}

/// A peer of the site that follows, as one of the site that decides sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SitePeer {
    /// Its name.
    pub name: PeerName,
    /// Whether it is linked.
    pub link: Link,
    /// Whether it is listed: it has held all that was committed.
    pub is_listed: bool,
    /// The number of cuts that its state is behind; `None` if that is not known.
    pub lag: Option<u64>,
}

/// What a peer sees of itself that its site depends on.
#[derive(Debug)]
pub(super) struct Seen {
    /// It holds no state.
    pub(super) is_blank: bool,
    /// All members count.
    pub(super) is_whole: bool,
    /// It is being brought up to date.
    pub(super) is_copying: bool,
    /// It is the primary.
    pub(super) is_primary: bool,
    /// It holds what its primary does, but for what is under way.
    pub(super) is_current: bool,
    /// Cuts that it is behind the primary.
    pub(super) lag: Option<u64>,
    /// By how much the site that follows may be behind, in milliseconds.
    pub(super) warn_after_ms: u64,
    /// It knows a primary that it hears.
    pub(super) is_led: bool,
    /// That one stands at the other site.
    pub(super) is_across: bool,
    /// The time that it is to the group, by its steady clock.
    pub(super) group_time: GroupTime,
}

impl SiteStatus {
    /// The status of the sites at a peer that stands at one.
    pub(super) fn new(
        view: &SiteView,
        peers: &[PeerStatus],
        seen: &Seen,
        silent_ms: Option<u64>,
        store: &Store,
    ) -> Self {
        let standby = if view.is_passive { Vec::new() } else { standby_of(view, peers) };
        let mode = match &view.active {
            Some(_) if view.is_passive || view.is_sealed => SiteMode::Passive,
            Some(_) => SiteMode::Active,
            None => SiteMode::Standalone,
        };
        let backed = view.backed.filter(|_| mode == SiteMode::Active);
        let rpo = backed.map(|backed| at_risk(&backed, store, seen.group_time));
        let behind_ms = behind(view, seen, silent_ms).filter(|_| mode == SiteMode::Passive);
        let (state, reason) = match mode {
            SiteMode::Active => active(view, &standby, seen, rpo.map(|(ms, _)| ms)),
            SiteMode::Passive => passive(view, seen, behind_ms),
            SiteMode::Standalone => standalone(view, seen),
        };
        let is_passive = mode == SiteMode::Passive;
        let as_of = view.as_of.filter(|_| is_passive);
        Self {
            site: view.name.clone(),
            other: view.other.clone(),
            epoch: view.site_epoch,
            mode,
            phase: phase(mode, view, seen),
            state,
            reason,
            standby,
            last_promotion: view.promoted.map(|promoted| LastPromotion::new(promoted, view)),
            rpo_ms: rpo.map(|(ms, _)| ms),
            rpo_units: rpo.map(|(_, units)| units),
            as_of_ms: as_of.map(|(_, calendar)| calendar.as_millis()),
            behind_ms,
            silent_ms: silent_ms.filter(|_| is_passive),
            lag: seen.lag.filter(|_| is_passive),
            backed,
        }
    }

    /// Says what the other site does not hold as of now.
    pub(super) fn refresh(&mut self, store: &Store, group_time: GroupTime) {
        let rpo = self.backed.map(|backed| at_risk(&backed, store, group_time));
        self.rpo_ms = rpo.map(|(ms, _)| ms);
        self.rpo_units = rpo.map(|(_, units)| units);
    }

    /// Nothing is decided here any more, or heard of whoever decides.
    pub(super) fn end(&mut self) {
        (self.rpo_ms, self.rpo_units, self.behind_ms, self.lag) = (None, None, None, None);
    }
}

impl LastPromotion {
    fn new(promoted: Promoted, view: &SiteView) -> Self {
        let here = view.promoted_here;
        let lost = here.and_then(|here| here.lost);
        Self {
            epoch: view.site_epoch,
            at_ms: here.map(|here| here.at.as_millis()),
            took_ms: here.map(|here| millis(here.took)),
            outage_ms: here.and_then(|here| here.outage).map(millis),
            lost_units: lost.map(|lost| lost.units),
            lost_exact: lost.map(|lost| !lost.is_at_most),
            forced: promoted.is_forced,
            as_of_ms: promoted.as_of.as_millis(),
        }
    }
}

/// What the other site does not hold: by time, in milliseconds, and by units.
fn at_risk(backed: &Backed, store: &Store, group_time: GroupTime) -> (u64, u64) {
    let is_newest = store.position().sequence <= backed.sequence;
    let is_held = is_newest && !store.has_changed_since_cut();
    let units = store.units_past(backed.units);
    let ms = match is_held && units == 0 {
        true => 0,
        // Whatever is not held is at risk, however short that has been.
        false => nanos_between(backed.as_of, group_time).div_ceil(1_000_000).max(1),
    };
    (ms, units)
}

/// By how much the state here was behind when the primary was last heard.
fn behind(view: &SiteView, seen: &Seen, silent_ms: Option<u64>) -> Option<u64> {
    let (steady, _) = view.as_of.filter(|_| view.is_passive)?;
    let by_state = nanos_between(steady, seen.group_time) / 1_000_000;
    let by_state = by_state.saturating_sub(silent_ms?);
    // While nothing was decided the state was no older than it could be.
    Some(view.out_of_step.map_or(by_state, |out_of_step| by_state.min(millis(out_of_step))))
}

fn nanos_between(from: GroupTime, to: GroupTime) -> u64 {
    to.0.saturating_sub(from.0)
}

fn standby_of(view: &SiteView, peers: &[PeerStatus]) -> Vec<SitePeer> {
    // Whose name alone is known was not met since another site decided.
    let is_listed = |name: &PeerName| {
        let mut listed = view.standby.iter().filter(|member| member.id.is_some());
        listed.any(|member| member.name == *name)
    };
    let mut standby: Vec<SitePeer> = peers
        .iter()
        .filter(|peer| peer.role == PeerRole::Standby || is_listed(&peer.name))
        .map(|peer| SitePeer {
            name: peer.name.clone(),
            link: peer.link,
            is_listed: is_listed(&peer.name),
            lag: peer.lag,
        })
        .collect();
    let is_told = |name: &PeerName| peers.iter().any(|peer| peer.name == *name);
    let unmet = view.standby.iter().filter(|member| !is_told(&member.name));
    standby.extend(unmet.map(|member| SitePeer {
        name: member.name.clone(),
        link: Link::Down,
        is_listed: member.id.is_some(),
        lag: None,
    }));
    standby.sort_by(|one, other| one.name.cmp(&other.name));
    standby
}

fn phase(mode: SiteMode, view: &SiteView, seen: &Seen) -> SitePhase {
    match mode {
        SiteMode::Active if view.is_unsure() => SitePhase::ToActive,
        SiteMode::Active if !seen.is_led => SitePhase::ToActive,
        SiteMode::Active if !seen.is_whole => SitePhase::ToActiveReady,
        SiteMode::Active => SitePhase::Active,
        // Demoted, or fenced, and not caught up with whoever decides next.
        SiteMode::Passive if view.is_raised || view.is_promoting => SitePhase::ToActive,
        SiteMode::Passive if view.is_own_seal() => SitePhase::ToPassive,
        SiteMode::Passive => SitePhase::Passive,
        // A copy is under way.
        SiteMode::Standalone if seen.is_blank && seen.is_led && seen.is_across => {
            SitePhase::ToPassive
        }
        SiteMode::Standalone if seen.is_blank && seen.is_led => SitePhase::ToActive,
        SiteMode::Standalone => SitePhase::Standalone,
    }
}

fn told(ms: u64) -> impl fmt::Display {
    whole(Duration::from_millis(ms))
}

fn active(
    view: &SiteView,
    standby: &[SitePeer],
    seen: &Seen,
    rpo_ms: Option<u64>,
) -> (SiteCondition, String) {
    let SiteView { name, other, .. } = view;
    let listed = view.standby.len();
    if !seen.is_led {
        let why = format!("{name} is to decide, and has no primary that is heard here");
        return (SiteCondition::Warning, why);
    }
    if view.is_unsure() {
        let why = format!(
            "{name} was down: it decides when {other} says that it was not promoted meanwhile, or \
             when {name} is promoted by force"
        );
        return (SiteCondition::Warning, why);
    }
    let up = standby.iter().filter(|peer| peer.link == Link::Up);
    // How far each of them is behind under load says little: the primary knows for how long.
    let in_step = up.clone().filter(|peer| {
        let is_known = rpo_ms.is_some() || !seen.is_primary;
        let is_near = is_known || peer.lag.is_none_or(|lag| lag <= MAX_LAG);
        peer.is_listed && is_near
    });
    let (up, in_step) = (up.count(), in_step.count());
    if listed == 0 && up == 0 {
        let why = format!("{name} decides, and no peer of {other} has introduced itself yet");
        return (SiteCondition::PGStateSetupBlocked, why);
    }
    if up == 0 {
        let why = format!("no peer of {other} is linked: what is decided is not kept there");
        return (SiteCondition::PeerNotReachable, why);
    }
    if seen.is_primary && rpo_ms.is_none() && listed > 0 {
        let why =
            format!("{other} has not taken up what was decided since {name} has this primary");
        return (SiteCondition::Warning, why);
    }
    if in_step <= listed / 2 {
        let why = format!("{in_step} of {listed} peers of {other} hold what was decided");
        return (SiteCondition::Warning, why);
    }
    if let Some(behind) = rpo_ms.filter(|rpo_ms| *rpo_ms > seen.warn_after_ms) {
        let why = format!("most of {other} lack what was decided in the last {}", told(behind));
        return (SiteCondition::Warning, why);
    }
    (SiteCondition::Ready, format!("{in_step} of {listed} peers of {other} follow"))
}

fn passive(view: &SiteView, seen: &Seen, behind_ms: Option<u64>) -> (SiteCondition, String) {
    let SiteView { name, other, .. } = view;
    let blocked = view.not_promoted.as_ref().map(ToString::to_string);
    if view.is_own_seal() {
        let why = format!("{name} has given up deciding: promote {other}, or {name} again");
        return (SiteCondition::BlockedWarmStandbyConversion, why);
    }
    if view.is_raised || view.is_promoting {
        let why = format!(
            "{name} was to be promoted and does not decide yet: promote it once more, or {other}"
        );
        return (SiteCondition::PromotionBlocked, why);
    }
    if view.is_sealed {
        return match blocked {
            None => {
                let why = format!("{other} has given up deciding: {name} can be promoted");
                (SiteCondition::ReadyForPromotion, why)
            }
            Some(why) => (SiteCondition::PromotionBlocked, why),
        };
    }
    if !seen.is_led {
        let why = format!("no primary of {other} is heard: the state here may be behind");
        return (SiteCondition::PeerNotReachable, why);
    }
    if seen.is_copying || !seen.is_current {
        let why = format!("the state here is being brought up to that of {other}");
        return (SiteCondition::Warning, why);
    }
    if let Some(behind) = behind_ms.filter(|behind_ms| *behind_ms > seen.warn_after_ms) {
        let why = format!("the state here is {} behind that of {other}", told(behind));
        return (SiteCondition::Warning, why);
    }
    (SiteCondition::Ready, format!("this peer holds what {other} has decided"))
}

fn standalone(view: &SiteView, seen: &Seen) -> (SiteCondition, String) {
    let SiteView { name, other, .. } = view;
    let why = match (seen.is_blank, seen.is_led) {
        (true, true) => "the state of the group is being copied".to_owned(),
        (true, false) => format!("it waits until {other} is met and decides, or {name} is told to"),
        (false, _) => format!("this group has one site: tell {name} to decide for two"),
    };
    (SiteCondition::Pending, why)
}

impl SiteView {
    /// Returns true if this peer's site may have been down while the other one was promoted.
    fn is_unsure(&self) -> bool {
        !self.is_confirmed && !self.standby.is_empty()
    }

    /// Returns true if it is this peer's site that has given up deciding, and no other decides yet.
    fn is_own_seal(&self) -> bool {
        self.is_sealed && self.active.as_ref() == Some(&self.name)
    }
}
