//! What a peer says of two sites, as far as the commands look at it.

use crate::report::document::Document;

/// The site of a peer, and the other one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) other: String,
    pub(crate) epoch: Option<u64>,
    pub(crate) mode: String,
    pub(crate) phase: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    /// Peers of the site that follows, at the one that decides.
    pub(crate) standby: Vec<Standby>,
    pub(crate) last_promotion: Option<Promotion>,
    /// Since the primary was last heard, at the site that follows.
    pub(crate) silent_ms: Option<u64>,
    /// Cuts that the peer is behind, at the site that follows.
    pub(crate) lag: Option<u64>,
    /// When the state was made that is held at the site that follows.
    pub(crate) as_of_ms: Option<u64>,
    /// By how much that was before the last word of the primary.
    pub(crate) behind_ms: Option<u64>,
    /// What the other site does not hold, at the primary of the one that decides.
    pub(crate) rpo_ms: Option<u64>,
    pub(crate) rpo_units: Option<u64>,
}

/// A peer of the site that follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standby {
    pub(crate) name: String,
    pub(crate) is_linked: bool,
    pub(crate) is_listed: bool,
    pub(crate) lag: Option<u64>,
}

/// How a site came to decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Promotion {
    pub(crate) is_forced: bool,
    pub(crate) as_of_ms: Option<u64>,
    /// How long it took, and from the last word of the primary before it until then.
    pub(crate) took_ms: Option<u64>,
    pub(crate) outage_ms: Option<u64>,
    /// Units that former primaries of the other site gave up when they came back.
    pub(crate) lost_units: Option<u64>,
    pub(crate) is_lost_exact: bool,
}

impl Site {
    /// Reads what a peer says; `None` of one that stands at no site, or knows of none.
    pub(crate) fn read(site: Document<'_>) -> Option<Self> {
        let text = |key| site.text(key).unwrap_or_default();
        Some(Self {
            name: site.text("site")?,
            other: text("other"),
            epoch: site.number("epoch"),
            mode: text("mode"),
            phase: text("phase"),
            state: text("state"),
            reason: text("reason"),
            standby: site.list("standby").map(Standby::read).collect(),
            last_promotion: Promotion::read(site.at("last_promotion")),
            silent_ms: site.number("silent_ms"),
            lag: site.number("lag"),
            as_of_ms: site.number("as_of_ms"),
            behind_ms: site.number("behind_ms"),
            rpo_ms: site.number("rpo_ms"),
            rpo_units: site.number("rpo_units"),
        })
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == "Ready"
    }

    pub(crate) fn is_passive(&self) -> bool {
        self.mode == "passive"
    }

    /// Returns true if one of the two has given up deciding, and neither was promoted yet.
    pub(crate) fn is_sealed(&self) -> bool {
        let sealed = ["BlockedWarmStandbyConversion", "ReadyForPromotion", "PromotionBlocked"];
        sealed.contains(&&*self.state)
    }

    /// Returns true if it is this peer's site that has given up deciding.
    pub(crate) fn has_given_up(&self) -> bool {
        self.state == "BlockedWarmStandbyConversion"
    }

    /// Returns true if, as this peer says, nobody decides at either site.
    pub(crate) fn is_undecided(&self) -> bool {
        self.is_sealed() || self.phase == "progressing to active"
    }

    /// The site that decides when the two have changed places.
    pub(crate) fn next(&self) -> &str {
        if self.is_passive() != self.has_given_up() { &self.name } else { &self.other }
    }
}

impl Standby {
    fn read(peer: Document<'_>) -> Self {
        Self {
            name: peer.text("name").unwrap_or_default(),
            is_linked: peer.text("link").as_deref() == Some("up"),
            is_listed: peer.flag("is_listed").unwrap_or_default(),
            lag: peer.number("lag"),
        }
    }
}

impl Promotion {
    fn read(promotion: Document<'_>) -> Option<Self> {
        let is_forced = promotion.flag("forced")?;
        Some(Self {
            is_forced,
            as_of_ms: promotion.number("as_of_ms"),
            took_ms: promotion.number("took_ms"),
            outage_ms: promotion.number("outage_ms"),
            lost_units: promotion.number("lost_units"),
            is_lost_exact: promotion.flag("lost_exact").unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_stands_at_no_site_has_none() {
        for document in [json!(null), json!({}), json!({"mode": "standalone", "site": null})] {
            assert_eq!(Site::read(Document::of(&document)), None);
        }
    }

    #[test]
    fn when_the_two_change_places_the_one_that_follows_decides() {
        let site = |mode: &str, state: &str| {
            let site = json!({"site": "east", "other": "west", "mode": mode, "state": state});
            Site::read(Document::of(&site)).expect("it stands at one")
        };
        for (mode, state, next, is_undecided) in [
            ("active", "Ready", "west", false),
            ("passive", "Ready", "east", false),
            ("passive", "ReadyForPromotion", "east", true),
            ("passive", "BlockedWarmStandbyConversion", "west", true),
        ] {
            let site = site(mode, state);
            assert_eq!((site.next(), site.is_undecided()), (next, is_undecided), "{state}");
        }
    }
}
