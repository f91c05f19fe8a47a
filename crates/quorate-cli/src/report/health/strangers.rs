//! Who is not let in, and who is no part of the group any more.

use std::collections::BTreeSet;

use crate::report::finding::{Code, Finding, Severity};
use crate::report::health::Seen;
use crate::report::peer::Refused;
use crate::text::units::count;

/// Refusals that are told one by one.
const MAX_TOLD: usize = 5;

/// What stands behind the name of a peer that is refused because it was counted out.
const REMOVED: &str = " was removed from the group";

const START_ANEW: &str = "end it, or start it anew to join, with its data set aside (--set-aside \
                          --join in the example)";

impl Seen<'_> {
    /// Peers that run and were counted out: by their own word, or by that of a member.
    pub(super) fn counted_out(&self) -> Vec<Finding> {
        let own = self.all.iter().filter(|status| status.is_removed()).map(|it| &*it.name);
        let refusals = self.all.iter().flat_map(|status| &status.refusals);
        let told = refusals.filter_map(|refusal| removed(refusal));
        let names: BTreeSet<&str> = own.chain(told).collect();
        let finding = |name: &str| {
            let text = format!("{name} was counted out of the group");
            let finding = Finding::new(Severity::Warning, Code::CountedOut, text);
            finding.about(name).advice(START_ANEW)
        };
        names.into_iter().map(finding).collect()
    }

    pub(super) fn refusals(&self) -> Vec<Finding> {
        // Whoever was counted out refuses all of the others, and is refused.
        let heard = self.all.iter().filter(|status| !status.is_removed());
        let refusals = heard.flat_map(|status| &status.refusals);
        let mut told = BTreeSet::new();
        let mut found = Vec::new();
        for refusal in refusals.filter(|refusal| removed(refusal).is_none()) {
            let is_new = told.insert((&refusal.peer, &refusal.field));
            if is_new && told.len() <= MAX_TOLD {
                let Refused { peer, field, ours, theirs } = refusal;
                let text = match &**field {
                    "member" if ours.starts_with("not a member") => {
                        format!("{peer} is refused: it is {ours}")
                    }
                    _ => format!("{peer} is refused: {field} is {theirs}, and {ours} here"),
                };
                let finding = Finding::new(Severity::Warning, Code::Refused, text);
                found.push(finding.about(peer));
            }
        }
        if told.len() > MAX_TOLD {
            let more = told.len() - MAX_TOLD;
            let text = match more {
                1 => "1 more is refused".to_owned(),
                _ => format!("{} more are refused", count(more as u64)),
            };
            found.push(Finding::new(Severity::Warning, Code::Refused, text));
        }
        found
    }
}

/// The peer that a refusal calls counted out: one of the two that refuse each other.
fn removed(refusal: &Refused) -> Option<&str> {
    let texts = [&refusal.ours, &refusal.theirs];
    texts.into_iter().find_map(|text| Some(text.split_once(REMOVED)?.0))
}
