//! What a peer says of the two sites.

use serde::Serialize;

use crate::base::id::PeerName;
use crate::driver::report::peer_status::{Link, PeerStatus};
use crate::protocol::{MAX_LAG, PeerRole, SiteView};

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
    /// At the site that follows: how long ago the primary was last heard, in milliseconds; `None`
    /// if none is known.
    pub silent_ms: Option<u64>,
    /// At the site that follows: the number of cuts that the state here is behind the primary's;
    /// `None` if that is not known.
    pub lag: Option<u64>,
}

/// How a site came to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastPromotion {
    /// The site epoch that began.
    pub epoch: u64,
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
    /// Cuts that it is behind the primary.
    pub(super) lag: Option<u64>,
    /// It knows a primary that it hears.
    pub(super) is_led: bool,
    /// That one stands at the other site.
    pub(super) is_across: bool,
}

impl SiteStatus {
    /// The status of the sites at a peer that stands at one.
    pub(super) fn new(
        view: &SiteView,
        peers: &[PeerStatus],
        seen: &Seen,
        silent_ms: Option<u64>,
    ) -> Self {
        let standby = if view.is_passive { Vec::new() } else { standby_of(view, peers) };
        let mode = match &view.active {
            Some(_) if view.is_passive || view.is_sealed => SiteMode::Passive,
            Some(_) => SiteMode::Active,
            None => SiteMode::Standalone,
        };
        let (state, reason) = match mode {
            SiteMode::Active => active(view, &standby, seen),
            SiteMode::Passive => passive(view, seen),
            SiteMode::Standalone => standalone(view, seen),
        };
        let is_passive = mode == SiteMode::Passive;
        Self {
            site: view.name.clone(),
            other: view.other.clone(),
            epoch: view.site_epoch,
            mode,
            phase: phase(mode, view, seen),
            state,
            reason,
            standby,
            last_promotion: view.promoted.map(|promoted| LastPromotion {
                epoch: view.site_epoch,
                forced: promoted.is_forced,
                as_of_ms: promoted.as_of.as_millis(),
            }),
            silent_ms: silent_ms.filter(|_| is_passive),
            lag: seen.lag.filter(|_| is_passive),
        }
    }
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

fn active(view: &SiteView, standby: &[SitePeer], seen: &Seen) -> (SiteCondition, String) {
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
    let in_step = up.clone().filter(|peer| {
        let is_near = peer.lag.is_none_or(|lag| lag <= MAX_LAG);
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
    if in_step <= listed / 2 {
        let why = format!("{in_step} of {listed} peers of {other} hold what was decided");
        return (SiteCondition::Warning, why);
    }
    (SiteCondition::Ready, format!("{in_step} of {listed} peers of {other} follow"))
}

fn passive(view: &SiteView, seen: &Seen) -> (SiteCondition, String) {
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
    if seen.is_copying || seen.lag.is_none_or(|lag| lag > MAX_LAG) {
        let why = format!("the state here is being brought up to that of {other}");
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
