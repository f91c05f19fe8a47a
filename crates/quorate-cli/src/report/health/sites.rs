//! Whether one of two sites decides, and the other follows it.

use crate::report::finding::{Code, Finding, Severity};
use crate::report::health::Seen;
use crate::report::site::Site;

impl Seen<'_> {
    /// Returns true if there is a primary, and it decides nothing: its site has given that up, or
    /// was down and waits for the other one.
    pub(super) fn has_idle_primary(&self) -> bool {
        let site = self.best.site.as_ref();
        site.is_some_and(|site| site.is_sealed() || self.is_unconfirmed(site))
    }

    fn is_unconfirmed(&self, site: &Site) -> bool {
        self.best.primary.is_some() && site.mode == "active" && site.is_undecided()
    }

    /// Why nobody decides, where that is a matter of the sites.
    pub(super) fn no_site(&self) -> Option<Finding> {
        let site = self.best.site.as_ref()?;
        let Site { name, other, reason, .. } = site;
        let has_primary = self.best.primary.is_some();
        let advice = match &*site.mode {
            _ if site.is_sealed() => {
                "quorate site promote, with a peer of the site that is to decide".to_owned()
            }
            "active" if self.is_unconfirmed(site) => format!(
                "bring a peer of {other} into reach; if {other} is lost: quorate site promote \
                 --force"
            ),
            "passive" if !has_primary => format!(
                "bring a peer of {other} into reach; if {other} is lost, have it stopped or cut \
                 off, and: quorate site promote --force"
            ),
            "standalone" if !has_primary && self.best.group_id.is_none() => {
                format!("quorate site activate, if {name} is the one that is to decide")
            }
            _ => return None,
        };
        let text = format!("nobody decides: {reason}");
        Some(Finding::new(Severity::Critical, Code::NoPrimary, text).advice(advice))
    }

    /// Says that the other site does not follow as it should.
    pub(super) fn site(&self) -> Option<Finding> {
        let site = self.best.site.as_ref().filter(|site| !site.is_ready())?;
        // Where nobody decides, that is told.
        self.decider()?;
        let severity = match &*site.mode {
            "standalone" => Severity::Notice,
            _ => Severity::Warning,
        };
        let text = format!("site {} is not ready: {}", site.name, site.reason);
        Some(Finding::new(severity, Code::SiteNotReady, text).advice("quorate site shows more"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::door::paper::healthy;
    use crate::report::health::Health;
    use crate::report::health::tests::found;

    fn status(mode: &str, phase: &str, state: &str) -> Value {
        let mut status = healthy();
        status["site"] = json!({
            "site": "east", "other": "west", "mode": mode, "phase": phase, "state": state,
            "reason": "that is why",
        });
        status
    }

    #[test]
    fn a_primary_that_may_not_decide_is_none() {
        for (mode, phase, state, advice) in [
            ("passive", "progressing to passive", "BlockedWarmStandbyConversion", "site promote,"),
            ("passive", "passive", "ReadyForPromotion", "site promote,"),
            ("active", "progressing to active", "Warning", "site promote --force"),
        ] {
            let findings = found(&[status(mode, phase, state)]);
            let told = (findings[0].code, &*findings[0].text);
            assert_eq!(told, (Code::NoPrimary, "nobody decides: that is why"));
            assert!(findings[0].advice.as_ref().is_some_and(|it| it.contains(advice)), "{state}");
            assert_eq!(Health::of(&findings), Health::NoPrimary);
        }
    }

    #[test]
    fn whoever_hears_of_no_site_that_decides_is_told_which_to_tell() {
        for (mode, state, advice) in [
            ("standalone", "Pending", "quorate site activate, if east"),
            ("passive", "PeerNotReachable", "if west is lost"),
        ] {
            let mut status = status(mode, mode, state);
            status["primary"] = Value::Null;
            status["group_id"] = Value::Null;
            let finding = found(&[status]).swap_remove(0);
            assert_eq!(finding.code, Code::NoPrimary);
            assert!(finding.advice.is_some_and(|it| it.contains(advice)), "{mode}");
        }
    }

    #[test]
    fn a_site_that_nobody_follows_is_told_while_it_decides() {
        let findings = found(&[status("active", "active", "PeerNotReachable")]);
        let told = (findings[0].severity, &*findings[0].text);
        assert_eq!(told, (Severity::Warning, "site east is not ready: that is why"));
        assert_eq!(Health::of(&findings), Health::Degraded);
        let findings = found(&[status("standalone", "standalone", "Pending")]);
        assert_eq!(Health::of(&findings), Health::Healthy, "it has one site");
        assert_eq!(found(&[status("active", "active", "Ready")]), []);
    }
}
