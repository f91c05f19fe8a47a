//! Whether somebody decides, and whether that one may fail.

use std::collections::BTreeSet;

use crate::report::finding::{Code, Finding, Severity};
use crate::report::health::Seen;
use crate::report::status::{Lost, Member, Status};
use crate::text::units::{are, counted, listed, moment};

impl Seen<'_> {
    /// The member that decides, as far as that can be seen. A peer goes on naming a primary that
    /// has died for as long as a failure takes to be agreed on, and nobody decides in that time.
    pub(crate) fn decider(&self) -> Option<&str> {
        let primary = self.best.primary.as_deref().filter(|_| self.best.has_primary())?;
        let is_there = !self.is_gone(primary) && self.has_majority();
        (is_there && !self.has_idle_primary()).then_some(primary)
    }

    /// Returns true if a peer does not answer, and those that do say that it is not connected to
    /// them. One that hands over as planned is connected until it has.
    fn is_gone(&self, name: &str) -> bool {
        let said = |status: &&Status| status.other(name).and_then(|other| other.is_linked);
        let mut links = self.all.iter().filter_map(said).peekable();
        !self.answers(name) && links.peek().is_some() && links.all(|is_linked| !is_linked)
    }

    fn answers(&self, name: &str) -> bool {
        self.all.iter().any(|status| status.name == name)
    }

    /// Returns false of a member that neither answers nor is connected to the one that speaks for
    /// the group.
    fn is_in_reach(&self, member: &Member) -> bool {
        let other = self.best.other(&member.name);
        let is_linked = other.and_then(|other| other.is_linked);
        self.answers(&member.name) || is_linked.unwrap_or_else(|| self.best.has_primary())
    }

    fn in_reach(&self) -> usize {
        self.best.members.iter().filter(|member| self.is_in_reach(member)).count()
    }

    /// Returns true if most members answer, or are connected to the one that speaks for the group.
    fn has_majority(&self) -> bool {
        let size = self.best.members.len();
        size == 0 || self.in_reach() > size / 2
    }

    /// The members, and how many of them may fail.
    pub(crate) fn size_told(&self, between: &str) -> String {
        let size = counted(self.best.members.len() as u64, "member");
        let may_fail = match (self.decider(), self.best.spare()) {
            (None, _) if self.has_majority() => return size,
            (None, _) => "a majority is not here".to_owned(),
            (Some(_), 0) => "none may fail".to_owned(),
            (Some(_), spare) => format!("{spare} more may fail"),
        };
        format!("{size}{between} {may_fail}")
    }

    /// Who decides; of nobody, who did before.
    pub(crate) fn primary_told(&self) -> String {
        match (self.decider(), &self.best.primary) {
            (Some(primary), _) => primary.to_owned(),
            (None, Some(gone)) if self.is_gone(gone) => format!("nobody ({gone} is not connected)"),
            (None, _) => "nobody".to_owned(),
        }
    }

    pub(super) fn primacy(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        found.extend(self.two_primaries());
        found.extend(self.two_groups());
        match self.decider() {
            None => found.push(self.no_primary()),
            Some(_) => found.extend(self.no_spare()),
        }
        found
    }

    fn two_primaries(&self) -> Option<Finding> {
        let deciding: BTreeSet<&str> =
            self.all.iter().filter(|status| status.decides()).map(|it| &*it.name).collect();
        let names: Vec<&str> = deciding.into_iter().collect();
        let text = format!("{} decide at the same time", names.join(" and "));
        let finding = Finding::new(Severity::Critical, Code::TwoPrimaries, text);
        let finding = finding.advice("stop all of them but the one whose members reach each other");
        (names.len() > 1).then_some(finding)
    }

    fn two_groups(&self) -> Option<Finding> {
        let stray = self.strays.iter().find(|status| status.decides())?;
        let text = self.best.two_groups(stray);
        let finding = Finding::new(Severity::Critical, Code::TwoPrimaries, text);
        Some(finding.advice(
            "stop the one that is not meant, and start its peers anew to join, with their data \
             set aside",
        ))
        .filter(|_| self.best.decides())
    }

    /// Says that fewer may fail than should.
    fn no_spare(&self) -> Option<Finding> {
        let best = self.best;
        let spare = best.spare();
        let size = best.members.len();
        // One or two never have any to spare: that is how they were meant, or what is left.
        let wanted = self.thresholds.min_spare.unwrap_or_else(|| u64::from(size >= 3));
        if spare >= wanted {
            return none_of_few(size);
        }
        let may_fail = match spare {
            0 => "no member more may fail".to_owned(),
            1 => "only 1 member more may fail".to_owned(),
            spare => format!("only {spare} members more may fail"),
        };
        let finding = |why: String| {
            Finding::new(Severity::Warning, Code::NoSpare, format!("{may_fail}{why}"))
        };
        let here = best.here();
        let behind: Vec<&str> = best.members.iter().filter_map(|it| self.behind(it)).collect();
        Some(match &behind[..] {
            _ if here < size => finding(format!(": {here} of {size} are here"))
                .advice("bring the missing ones back, or have new peers join in their place"),
            [] => finding(format!(", of {size}")).advice("have more peers join"),
            behind => finding(format!(": {} {} not up to date", listed(behind), are(behind.len()))),
        })
    }

    /// The name of a member that is here and does not keep up, or has yet to be counted in.
    fn behind<'a>(&self, member: &'a Member) -> Option<&'a str> {
        let other = self.best.other(&member.name);
        let is_behind = other.is_some_and(|other| other.is_current == Some(false));
        (is_behind || !self.best.counts(member)).then_some(&*member.name)
    }

    fn no_primary(&self) -> Finding {
        let best = self.best;
        let finding = |text: String| Finding::new(Severity::Critical, Code::NoPrimary, text);
        if let Some(finding) = self.no_site() {
            return finding;
        }
        if let Some(gone) = best.primary.as_deref().filter(|_| best.has_primary()) {
            return match self.has_majority() {
                true => finding(format!(
                    "nobody decides: the primary {gone} is not connected: a new one is elected \
                     within the failure timeout"
                ))
                .about(gone),
                false => self.minority(),
            };
        }
        if let Some(finding) = self.unfounded() {
            return finding;
        }
        if let Some(lost) = &best.lost {
            // Of its own state, and of whether it could be forced, each peer speaks for itself.
            let speaks = |status: &&&Status| Some(&status.name) == lost.best.as_ref();
            let at_best = self.all.iter().find(speaks).and_then(|status| status.lost.as_ref());
            return lost_quorum(lost, at_best);
        }
        if !best.waits_for.is_empty() {
            let waiting = &best.waits_for;
            let text =
                format!("nobody decides: {} {} waited for", listed(waiting), are(waiting.len()));
            return finding(text).advice(
                "bring them back; if they are gone for good, quorate found forms the group without \
                 them, and what only they hold is lost",
            );
        }
        match self.has_majority() {
            true => finding("nobody decides: an election has not ended".to_owned())
                .advice("wait for some seconds"),
            false => self.minority(),
        }
    }

    /// Of a group that has yet to begin.
    fn unfounded(&self) -> Option<Finding> {
        let is_new = |status: &&Status| {
            status.group_id.is_none() && status.generation.unwrap_or_default() == 0
        };
        let size = self.best.members.len();
        if size == 0 || !self.all.iter().all(is_new) {
            return None;
        }
        let missing: Vec<&str> = self.missing();
        let text = match &missing[..] {
            [] => "nobody decides: the group is being founded".to_owned(),
            missing => format!(
                "nobody decides: the group is not founded yet: {} {} waited for",
                listed(missing),
                are(missing.len())
            ),
        };
        let advice = match (&missing[..], &self.best.waits_for[..]) {
            ([], _) => "wait for some seconds",
            // A majority begins by itself, unless its settings say otherwise.
            (_, []) => {
                "start all of them, and it begins at once; a majority begins without the others by \
                 itself when the failure timeout has passed, and before that by: quorate found"
            }
            _ => {
                "start all of them: by their settings no majority begins by itself; quorate found \
                 has one begin without the others"
            }
        };
        Some(Finding::new(Severity::Critical, Code::NoPrimary, text).advice(advice))
    }

    /// Says that those in reach are too few, and who is not.
    fn minority(&self) -> Finding {
        let size = self.best.members.len();
        let missing = self.missing();
        let text = format!(
            "nobody decides: {} of {size} members {} in reach, which is no majority: {} {} missing",
            self.in_reach(),
            are(self.in_reach()),
            listed(&missing),
            are(missing.len())
        );
        Finding::new(Severity::Critical, Code::NoPrimary, text).advice("bring them back")
    }

    fn missing(&self) -> Vec<&str> {
        let missing = self.best.members.iter().filter(|member| !self.is_in_reach(member));
        missing.map(|member| &*member.name).collect()
    }
}

/// Says of one or two members that none may fail, which is no fault of theirs.
fn none_of_few(size: usize) -> Option<Finding> {
    let (text, advice) = match size {
        1 => ("no member may fail: there is only one", "have two more join"),
        2 => ("no member may fail: two decide only together", "have a third join"),
        _ => return None,
    };
    Some(Finding::new(Severity::Notice, Code::NoSpare, text).advice(advice))
}

fn lost_quorum(lost: &Lost, at_best: Option<&Lost>) -> Finding {
    let Lost { waiting_for, best, .. } = lost;
    let waiting = waiting_for.join(", ");
    let as_of_ms = at_best.and_then(|lost| lost.as_of_ms);
    let as_of = as_of_ms.map(|ms| format!(", as of {}", moment(ms))).unwrap_or_default();
    let most = best.as_ref().map(|best| format!("; {best} has the most{as_of}"));
    let advice = match (best, at_best.map(|lost| &lost.why_no_force)) {
        (Some(best), Some(None)) => format!(
            "bring one of them back; if they are gone for good: quorate force-primary {best} \
             --gone {}",
            waiting_for.join(",")
        ),
        (Some(best), Some(Some(why))) => {
            format!("bring one of them back; force-primary {best} would be refused: {why}")
        }
        _ => "bring one of them back".to_owned(),
    };
    let text = format!("nobody decides: waits for {waiting}{}", most.unwrap_or_default());
    Finding::new(Severity::Critical, Code::NoPrimary, text).advice(advice)
}

#[cfg(test)]
mod tests;
