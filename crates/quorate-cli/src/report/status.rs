//! The status of a peer, as far as the commands look at it.

use serde_json::Value;

use crate::report::document::Document;
use crate::report::peer::{Certificate, Other, Refused};
use crate::report::site::Site;
use crate::text::units::percent;

/// What a peer says of itself and of its group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) group_id: Option<String>,
    /// This start of the peer.
    pub(crate) incarnation: Option<String>,
    pub(crate) role: String,
    /// Not told by peers of an older version.
    pub(crate) priority: Option<u64>,
    pub(crate) generation: Option<u64>,
    pub(crate) term: Option<u64>,
    pub(crate) sequence: Option<u64>,
    pub(crate) primary: Option<String>,
    pub(crate) has_quorum: bool,
    pub(crate) members: Vec<Member>,
    pub(crate) spare: Option<u64>,
    pub(crate) has_failed_storage: bool,
    pub(crate) storage_error: Option<String>,
    pub(crate) tls: Option<String>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) lag: Option<u64>,
    pub(crate) is_counted: Option<bool>,
    pub(crate) unacknowledged_units: Option<u64>,
    pub(crate) cells: Option<u64>,
    pub(crate) max_cells: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) fill: Option<String>,
    pub(crate) waits_for: Vec<String>,
    pub(crate) monitor: Option<Monitor>,
    pub(crate) lost: Option<Lost>,
    /// Its site, of two; not told by peers of an older version.
    pub(crate) site: Option<Site>,
    pub(crate) others: Vec<Other>,
    pub(crate) refusals: Vec<Refused>,
    /// Limits that are others here than in the group.
    pub(crate) differing_limits: Vec<String>,
}

/// A member, by the list of the peer that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) address: Option<String>,
    pub(crate) silent_ms: Option<u64>,
    pub(crate) is_stale: bool,
}

/// How the group looks after its members by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Monitor {
    /// The members that it is to have; `None` or 0 if nobody is forgotten by itself.
    pub(crate) size: Option<u64>,
    pub(crate) grace_ms: Option<u64>,
    pub(crate) paused_until_ms: Option<u64>,
    pub(crate) live: Option<u64>,
    pub(crate) spare: Option<u64>,
    pub(crate) stale: Vec<String>,
    /// Joiners that are not counted in before a member has gone.
    pub(crate) waiting: Vec<String>,
    pub(crate) blocked: Option<String>,
}

/// What a peer knows that reaches no majority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) waiting_for: Vec<String>,
    /// Who would stand first.
    pub(crate) best: Option<String>,
    /// When the state of the peer that says this was made, in milliseconds since the Unix epoch.
    pub(crate) as_of_ms: Option<u64>,
    /// The reason why that peer would refuse `force-primary`; `None` if it would not.
    pub(crate) why_no_force: Option<String>,
}

impl Status {
    pub(crate) fn read(value: &Value) -> Self {
        let status = Document::of(value);
        let text = |key| status.text(key);
        let number = |key| status.number(key);
        Self {
            name: text("name").unwrap_or_default(),
            group: text("group").unwrap_or_default(),
            group_id: text("group_id"),
            incarnation: text("incarnation"),
            role: text("role").unwrap_or_default(),
            priority: number("priority"),
            generation: number("generation"),
            term: number("term"),
            sequence: status.at("position").number("sequence").or_else(|| number("position")),
            primary: text("primary"),
            has_quorum: status.flag("quorum").unwrap_or_default(),
            members: status.list("members").map(Member::read).collect(),
            spare: number("spare"),
            has_failed_storage: text("storage_state").as_deref() == Some("failed"),
            storage_error: text("storage_error"),
            tls: text("tls"),
            certificate: Certificate::read(status.at("certificate")),
            lag: number("lag"),
            is_counted: status.flag("is_counted"),
            unacknowledged_units: number("unacknowledged_units"),
            cells: number("cells"),
            max_cells: number("max_cells"),
            bytes: number("bytes"),
            max_bytes: number("max_bytes"),
            fill: text("fill"),
            waits_for: status.texts("waits_for"),
            monitor: Monitor::read(status.at("monitor")),
            lost: Lost::read(status.at("lost")),
            site: Site::read(status.at("site")),
            others: status.list("peers").map(Other::read).collect(),
            refusals: status.list("refusals").map(Refused::read).collect(),
            differing_limits: status.at("limits").texts("differing"),
        }
    }

    /// Returns true if this peer decides for the group.
    pub(crate) fn decides(&self) -> bool {
        self.role == "primary" && self.has_quorum
    }

    /// Returns false of a peer of another group than that other one: of one that has the same name,
    /// and was founded by itself.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        let ids = self.group_id.as_ref().zip(other.group_id.as_ref());
        ids.is_none_or(|(one, other)| one == other)
    }

    /// The sentence that two groups of one name decide, each by one of its peers.
    pub(crate) fn two_groups(&self, other: &Self) -> String {
        let named = |status: &Self| {
            format!("{} (group id {})", status.name, status.group_id.as_deref().unwrap_or("-"))
        };
        format!("two groups of this name decide: {} and {}", named(self), named(other))
    }

    /// Returns true if the group has counted this peer out.
    pub(crate) fn is_removed(&self) -> bool {
        self.role == "removed"
    }

    /// Returns true if, as this peer sees it, somebody decides for the group.
    pub(crate) fn has_primary(&self) -> bool {
        self.primary.is_some() && self.has_quorum && !self.is_removed()
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    pub(crate) fn other(&self, name: &str) -> Option<&Other> {
        self.others.iter().find(|other| other.name == name)
    }

    /// Where a peer is reached, as far as this one knows.
    pub(crate) fn address_of(&self, name: &str) -> Option<&str> {
        let of_member = self.member(name).and_then(|member| member.address.as_deref());
        let of_other = || self.other(name).and_then(|other| other.address.as_deref());
        of_member.or_else(of_other).filter(|address| !address.is_empty())
    }

    /// Returns true if a member is connected to this peer, or is this peer.
    pub(crate) fn is_here(&self, member: &Member) -> bool {
        let is_linked = || self.other(&member.name).and_then(|other| other.is_linked);
        member.name == self.name || is_linked().unwrap_or_default()
    }

    /// The members that are here, whether they count yet or not.
    pub(crate) fn here(&self) -> usize {
        self.members.iter().filter(|member| self.is_here(member)).count()
    }

    /// Returns true if a member is here and counts.
    pub(crate) fn counts(&self, member: &Member) -> bool {
        let is_counted = match member.name == self.name {
            true => self.is_counted,
            false => self.other(&member.name).and_then(|other| other.is_member),
        };
        self.is_here(member) && is_counted.unwrap_or(true)
    }

    /// How many members more may fail before there is no majority; counted here if the peer is too
    /// old to say.
    pub(crate) fn spare(&self) -> u64 {
        self.spare.or_else(|| self.monitor.as_ref()?.spare).unwrap_or_else(|| {
            let counting = self.members.iter().filter(|member| self.counts(member)).count();
            let majority = self.members.len() / 2 + 1;
            counting.saturating_sub(majority) as u64
        })
    }

    /// The share of its room that the store takes, in percent, by the bound that is nearer.
    pub(crate) fn fill_percent(&self) -> Option<u64> {
        let of = |part: Option<u64>, whole: Option<u64>| percent(part?, whole?);
        of(self.cells, self.max_cells).max(of(self.bytes, self.max_bytes))
    }
}

impl Member {
    fn read(member: Document<'_>) -> Self {
        Self {
            name: member.text("name").unwrap_or_default(),
            address: member.text("address").filter(|address| !address.is_empty()),
            silent_ms: member.number("silent_ms"),
            is_stale: member.flag("is_stale").unwrap_or_default(),
        }
    }
}

impl Monitor {
    pub(crate) fn read(monitor: Document<'_>) -> Option<Self> {
        monitor.is_there().then(|| Self {
            size: monitor.number("size").filter(|size| *size > 0),
            grace_ms: monitor.number("grace_ms"),
            paused_until_ms: monitor.number("paused_until_ms").filter(|until| *until > 0),
            live: monitor.number("live"),
            spare: monitor.number("spare"),
            stale: monitor.texts("stale"),
            waiting: monitor.texts("waiting"),
            blocked: monitor.text("blocked"),
        })
    }
}

impl Lost {
    fn read(lost: Document<'_>) -> Option<Self> {
        lost.is_there().then(|| Self {
            waiting_for: lost.texts("waiting_for"),
            best: lost.text("best"),
            as_of_ms: lost.number("as_of_ms"),
            why_no_force: lost.text("would_force"),
        })
    }
}
