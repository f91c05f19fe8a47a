//! Faults of the other members, as a peer without a primary tells them.

use crate::base::event::RefusedBy;
use crate::base::id::{PeerName, Time};
use crate::base::told::{difference, listed, shortened};
use crate::driver::links::roster::{NAME, STRANGER};
use crate::driver::report::peer_status::Link;
use crate::driver::report::status::{MemberStatus, Status};

/// Longest value of a setting that is told, in characters.
const MAX_VALUE: usize = 40;
/// Most members that are named.
const MAX_NAMED: usize = 7;

/// The wait of a peer for a primary, and what it has said of that.
#[derive(Debug, Default)]
pub(in crate::driver) struct Waiting {
    pub(in crate::driver) has_begun: bool,
    pub(in crate::driver) since: Option<Time>,
    pub(in crate::driver) told: Option<Time>,
}

impl Status {
    fn is_linked(&self, name: &PeerName) -> bool {
        self.peers.iter().any(|peer| peer.name == *name && peer.link == Link::Up)
    }

    /// The faults of the other members as a clause: who is not connected, and who is refused
    /// because of what. Empty, if all are there.
    pub(crate) fn missing(&self) -> String {
        let others = self.members.iter().filter(|member| member.name != self.name);
        let mut absent = Vec::new();
        let mut refused = Vec::new();
        for member in others.clone().filter(|member| !self.is_linked(&member.name)) {
            let name = &member.name;
            match self.refusals.iter().rev().find(|refusal| refusal.peer == name.as_str()) {
                Some(refusal) => {
                    let field = &refusal.field;
                    let by = refusal.by;
                    let ours = shortened(&refusal.ours, MAX_VALUE);
                    let theirs = shortened(&refusal.theirs, MAX_VALUE);
                    let what = match by {
                        RefusedBy::Us => format!("{name} is refused"),
                        RefusedBy::Them => format!("{name} refuses this peer"),
                    };
                    refused.push(match field.as_str() {
                        "certificate" | "peer" | STRANGER | NAME => {
                            format!("{what} ({})", difference(field, &ours, &theirs))
                        }
                        _ => format!("{what} ({field}: {ours} here, {theirs} there)"),
                    });
                }
                None => absent.push(self.unreached(member)),
            }
        }
        let mut clauses = Vec::new();
        if !absent.is_empty() {
            let verb = if absent.len() == 1 { "is" } else { "are" };
            clauses.push(format!("{} {verb} not connected", first_of(absent)));
        }
        clauses.append(&mut refused);
        if self.members.is_empty() && self.peers.iter().all(|peer| peer.link == Link::Down) {
            let found = "no member has been found yet at the addresses given";
            let tried = self.contacts.iter().map(|contact| contact.link_error.to_string());
            let tried: Vec<String> = tried.collect();
            clauses.push(match tried.is_empty() {
                true => found.to_owned(),
                false => format!("{found} ({})", tried.join("; ")),
            });
        }
        clauses.join(", ")
    }

    /// A member that is not connected, with what came of the last try, or where it should be.
    fn unreached(&self, member: &MemberStatus) -> String {
        let name = &member.name;
        let known = self.peers.iter().find(|peer| peer.name == *name);
        match known.and_then(|peer| peer.link_error.as_ref()) {
            Some(why) => format!("{name} ({why})"),
            None if member.address.is_empty() => name.to_string(),
            None => format!("{name} ({})", member.address),
        }
    }

    /// The clause behind a reason.
    pub(crate) fn with_missing(&self, reason: impl std::fmt::Display) -> String {
        match self.missing() {
            missing if missing.is_empty() => reason.to_string(),
            missing => format!("{reason}; {missing}"),
        }
    }
}

/// The first of these names in a row; nothing, if there are none.
pub(in crate::driver) fn first_of(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    if more > 0 {
        names.truncate(MAX_NAMED);
        names.push(format!("{more} more"));
    }
    if names.is_empty() { String::new() } else { listed(names.iter().map(String::as_str)) }
}
