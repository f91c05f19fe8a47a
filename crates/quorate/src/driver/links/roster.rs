//! The members and their addresses: what the tasks that dial, and the handshake,
//! know of the group (docs/protocol.md, section 7).
//!
//! | where a name and its address come from | of what use it is |
//! |---|---|
//! | the membership that this peer holds | these are the members, once there is one |
//! | what members have told a joiner or client | the same, for a peer that holds none |
//! | the settings | the members before any of that is known; addresses always |
//! | an address of a peer whose name was not known | as told by its `Hello` |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::base::id::{Member, PeerKind, PeerName, Position};
use crate::config::{PeerConfig, Site};
use crate::driver::links::origin::ip;
use crate::driver::links::settings::Difference;
use crate::protocol::{Applicant, Objection, Standing};
use crate::state::Membership;
use crate::transport::{Claim, host};
use crate::wire::{Hello, MAX_LISTED};

/// The field of a refusal that is about who a peer is, and not about its settings.
pub(in crate::driver) const STRANGER: &str = "member";
/// The field of a refusal of a name that differs from that of a member in capitals only. It says
/// nothing of whoever has that name, unlike [`STRANGER`]: nobody was counted out.
pub(in crate::driver) const NAME: &str = "name";
/// The field of a refusal over the sites that two peers stand at.
pub(in crate::driver) const SITE: &str = "site";

/// See the module's documentation.
#[derive(Debug)]
pub(in crate::driver) struct Roster {
    me: PeerName,
    kind: PeerKind,
    site: Option<Site>,
    configured: BTreeMap<PeerName, String>,
    known: RwLock<Known>,
    /// Counts changes.
    changes: AtomicU64,
    /// The count for those who wait for it to change.
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Known {
    membership: Membership,
    /// The list that members have told, and the membership that it was from.
    told: (Position, Vec<Member>),
    introduced: BTreeMap<PeerName, String>,
    /// The places where members were met: the hosts of addresses that have names, and of those that
    /// dial from elsewhere.
    met: BTreeMap<PeerName, String>,
    /// Peers of the other site that were linked.
    across: BTreeSet<PeerName>,
}

impl Known {
    fn has_state(&self) -> bool {
        !self.membership.voters.is_empty()
    }

    /// The members that are known by more than settings.
    fn members(&self) -> impl Iterator<Item = &Member> {
        let Membership { voters, next, .. } = &self.membership;
        // The address of a member that is reached elsewhere from now on is the later one.
        let held = next.iter().flatten().chain(voters);
        let told = self.told.1.iter().filter(|_| voters.is_empty());
        held.chain(told)
    }
}

impl Roster {
    /// `configured` are the members of the settings, with their addresses.
    pub(in crate::driver) fn new(
        peer: &PeerConfig,
        configured: BTreeMap<PeerName, String>,
    ) -> Self {
        let me = peer.name.clone();
        let kind = peer.kind;
        let site = peer.site.clone();
        let known = RwLock::default();
        let changes = AtomicU64::new(0);
        let version = watch::Sender::new(0);
        Self { me, kind, site, configured, known, changes, version }
    }

    /// Sees changes from now on, and the present as one.
    pub(in crate::driver) fn watch(&self) -> watch::Receiver<u64> {
        let mut version = self.version.subscribe();
        version.mark_changed();
        version
    }

    /// Counts changes: while it is the same nothing else here is another.
    #[inline]
    pub(in crate::driver) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.version.send_modify(|version| *version += 1);
    }

    /// Takes up the membership that this peer holds.
    pub(in crate::driver) fn set_membership(&self, membership: &Membership) {
        if self.known.read().membership != *membership {
            self.known.write().membership = membership.clone();
            self.changed();
        }
    }

    /// A member has told a joiner or client of the members.
    pub(in crate::driver) fn set_told(&self, stamp: Position, members: &[Member]) {
        let is_older = stamp < self.known.read().told.0;
        if !is_older && !members.is_empty() {
            self.known.write().told = (stamp, members.to_vec());
            self.changed();
        }
    }

    /// The name of the peer at an address, as it says itself. Whoever was there before is not.
    pub(in crate::driver) fn introduce(&self, peer: &PeerName, address: &str) {
        let is_news = {
            let introduced = &mut self.known.write().introduced;
            introduced.retain(|name, at| name == peer || at != address);
            let last = introduced.insert(peer.clone(), address.to_owned());
            last.as_deref() != Some(address)
        };
        if is_news {
            self.changed();
        }
    }

    /// Returns true if this peer holds the state of a group.
    pub(in crate::driver) fn has_state(&self) -> bool {
        self.known.read().has_state()
    }

    /// The members, this peer included if it is one, as far as this peer knows.
    pub(in crate::driver) fn members(&self) -> BTreeSet<PeerName> {
        let known = self.known.read();
        let mut names: BTreeSet<PeerName> = known.members().map(|m| m.name.clone()).collect();
        if names.is_empty() {
            names.extend(self.configured.keys().chain(known.introduced.keys()).cloned());
        }
        names
    }

    /// Returns true if a member goes by this name, or one of the settings does.
    pub(in crate::driver) fn is_known(&self, name: &str) -> bool {
        let known = self.known.read();
        let mut members = known.members();
        members.any(|member| member.name.as_str() == name)
            || self.configured.keys().any(|configured| configured.as_str() == name)
    }

    /// Returns true if a member goes by this name, by the membership; by the settings as long as
    /// none is known.
    pub(in crate::driver) fn is_member(&self, peer: &PeerName) -> bool {
        let known = self.known.read();
        let mut members = known.members().peekable();
        match members.peek() {
            Some(_) => members.any(|member| member.name == *peer),
            None => self.configured.contains_key(peer),
        }
    }

    /// A member was met at an address, and it was sure to be it: it was dialed there, or has proved
    /// who it is.
    pub(in crate::driver) fn meet(&self, peer: &PeerName, address: &str) {
        if self.is_known(peer.as_str()) {
            self.known.write().met.insert(peer.clone(), host(address).to_owned());
        }
    }

    /// Returns true if a peer is known to be at the host of an address.
    pub(in crate::driver) fn is_at(&self, peer: &PeerName, address: &str) -> bool {
        let met = self.known.read().met.get(peer).cloned();
        self.addresses(peer).iter().chain(&met).any(|known| is_same_host(known, address))
    }

    /// Returns true if an address is one of a member.
    pub(in crate::driver) fn is_member_at(&self, address: &str) -> bool {
        let known = self.known.read();
        let told = known.members().map(|member| &member.address);
        let mut all = told.chain(self.configured.values()).chain(known.met.values());
        all.any(|member| is_same_host(member, address))
    }

    /// The claim of a peer that gives this name, and says that it is this to the group.
    pub(in crate::driver) fn claim<'a>(&self, peer: &'a PeerName, kind: PeerKind) -> Claim<'a> {
        match kind {
            PeerKind::Client => Claim::Client(peer),
            PeerKind::Member | PeerKind::Joiner if self.is_known(peer.as_str()) => {
                Claim::Member(peer)
            }
            PeerKind::Member | PeerKind::Joiner => Claim::Joiner(peer),
        }
    }

    /// The members that this peer dials: all others, unless it was counted out itself. One without
    /// a state tries those of its settings as well: what it was told may be long ago.
    pub(in crate::driver) fn dialed(&self) -> BTreeSet<PeerName> {
        if self.known.read().membership.has_removed_name(&self.me) {
            return BTreeSet::new();
        }
        let mut names = self.members();
        let known = self.known.read();
        if !known.has_state() {
            names.extend(self.configured.keys().chain(known.introduced.keys()).cloned());
        }
        if self.site.is_some() {
            let listed = known.membership.standby().iter().map(|member| &member.name);
            names.extend(listed.chain(known.introduced.keys()).cloned());
        }
        names.remove(&self.me);
        names
    }

    /// The addresses at which a peer may be reached, the likeliest first. Its own word, where it
    /// gave it, goes before the settings of this peer, and those before what others say.
    ///
    /// A peer of the other site is reached where a pattern says, and nowhere else: its own word may
    /// be of a network that is not the one here.
    pub(in crate::driver) fn addresses(&self, peer: &PeerName) -> Vec<String> {
        let known = self.known.read();
        let across = self.site.as_ref().filter(|_| self.is_of_other_site(&known, peer));
        let by_name = across.map(|site| site.addresses_of(peer)).unwrap_or_default();
        if !by_name.is_empty() {
            return by_name;
        }
        let of = |mut list: std::slice::Iter<'_, Member>| {
            list.find(|m| m.name == *peer).map(|m| m.address.clone())
        };
        let next = known.membership.next.as_deref().unwrap_or_default();
        let candidates = [
            of(next.iter()),
            of(known.membership.voters.iter()),
            of(known.membership.standby().iter()),
            self.configured.get(peer).cloned(),
            of(known.told.1.iter()),
            known.introduced.get(peer).cloned(),
        ];
        let mut addresses: Vec<String> = Vec::new();
        for address in candidates.into_iter().flatten() {
            if !address.is_empty() && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// Returns true if a peer is known to be of the other site.
    fn is_of_other_site(&self, known: &Known, peer: &PeerName) -> bool {
        let Some(site) = &self.site else { return false };
        if known.across.contains(peer) {
            return true;
        }
        let has = |list: &[Member]| list.iter().any(|member| member.name == *peer);
        let list = &known.membership;
        match &list.site {
            Some(sites) if sites.active == site.name() => has(list.standby()),
            Some(_) => has(&list.voters) || list.next.as_deref().is_some_and(has),
            // Of its own site a member that holds nothing knows those of its settings.
            None => {
                let is_blank = self.kind == PeerKind::Member && !known.has_state();
                is_blank && !self.configured.contains_key(peer)
            }
        }
    }

    /// The addresses at which the members are reached, as far as this peer knows.
    pub(in crate::driver) fn places(&self) -> BTreeMap<PeerName, String> {
        let members = self.members();
        members.into_iter().map(|name| (name.clone(), self.address(&name))).collect()
    }

    /// The address at which a peer is reached, for people to read; empty if that is not known.
    pub(in crate::driver) fn address(&self, peer: &PeerName) -> String {
        self.addresses(peer).into_iter().next().unwrap_or_default()
    }

    /// The members with their addresses, for a peer that does not know them; `None` from a peer
    /// that holds no membership.
    pub(in crate::driver) fn to_tell(&self) -> Option<(Position, Vec<Member>)> {
        let membership = self.known.read().membership.clone();
        let listed = membership.next.as_ref().unwrap_or(&membership.voters).iter();
        let tell =
            |member: &Member| Member { address: self.address(&member.name), ..member.clone() };
        let members: Vec<Member> = listed.take(MAX_LISTED).map(tell).collect();
        (!members.is_empty()).then_some((membership.stamp, members))
    }

    /// Returns true if this peer knows who the members are by more than its settings.
    pub(in crate::driver) fn knows_members(&self) -> bool {
        let known = self.known.read();
        known.members().next().is_some()
    }

    /// The members as others have told a peer without a membership.
    pub(in crate::driver) fn told(&self) -> Vec<Member> {
        let known = self.known.read();
        if known.has_state() { Vec::new() } else { known.told.1.clone() }
    }

    /// Returns true if the lists of members in the settings of two peers must be equal: where both
    /// found by them.
    pub(in crate::driver) fn compares_lists(&self, hello: &Hello) -> bool {
        let is_founder = self.kind == PeerKind::Member && !self.has_state();
        let is_here = !self.is_across(hello);
        is_founder && is_here && hello.kind == PeerKind::Member && !hello.has_state
    }

    /// Returns true if a peer says that it stands at the other site.
    pub(in crate::driver) fn is_across(&self, hello: &Hello) -> bool {
        self.site.as_ref().is_some_and(|site| site.other_name() == hello.site)
    }

    /// A peer of the other site is linked.
    pub(in crate::driver) fn meet_across(&self, hello: &Hello) {
        if self.is_across(hello) {
            self.known.write().across.insert(hello.peer.clone());
        }
    }

    /// Forgets all of the other site but those that are linked.
    pub(in crate::driver) fn keep_across(&self, is_linked: impl Fn(&PeerName) -> bool) {
        if !self.known.read().across.is_empty() {
            self.known.write().across.retain(is_linked);
        }
    }

    /// Returns true if a peer of the other site goes by this name.
    pub(in crate::driver) fn stands_across(&self, peer: &PeerName) -> bool {
        self.known.read().across.contains(peer)
    }

    /// The difference in the sites of two peers that keeps them apart, if there is one.
    pub(in crate::driver) fn site_difference(&self, hello: &Hello) -> Option<Difference> {
        if [self.kind, hello.kind].contains(&PeerKind::Client) {
            return None;
        }
        let known = self.known.read();
        let theirs = match hello.site.as_str() {
            "" => "none",
            site => site,
        };
        if let Some(sites) = &known.membership.site {
            let is_member = known.membership.has(&hello.peer) && hello.site == sites.standby;
            let is_one = sites.has(&hello.site) && !is_member;
            let ours = format!("{} or {}", sites.active, sites.standby);
            return (!is_one).then(|| Difference::new(SITE, ours, theirs));
        }
        let site = self.site.as_ref()?;
        // A group of one site takes up what is set at its members, one after the other.
        let is_here = hello.site.is_empty() || hello.site == site.name();
        let is_across = self.is_across(hello) && !known.has_state();
        let ours = match known.has_state() {
            true => format!("{}, which is not told yet to be one of two", site.name()),
            false => format!("{} or {}", site.name(), site.other_name()),
        };
        (!is_here && !is_across).then(|| Difference::new(SITE, ours, theirs))
    }

    /// A member by the settings whose name differs from this one in capitals only, as long as this
    /// peer holds no list.
    fn alike<'a>(&'a self, known: &Known, peer: &PeerName) -> Option<&'a PeerName> {
        if known.has_state() || self.configured.contains_key(peer) {
            return None;
        }
        self.configured.keys().find(|member| peer.differs_only_in_case(member))
    }

    /// Returns true if a newer generation of this peer's history, which stands at `own`, has passed
    /// it over.
    pub(in crate::driver) fn is_overtaken_by(&self, own: &Standing, hello: &Hello) -> bool {
        let Hello { peer, id, kind, standing, .. } = hello;
        let site = &hello.site;
        let applicant = Applicant { peer, id: *id, kind: *kind, standing, site };
        self.known.read().membership.is_overtaken_by(own, &applicant)
    }

    /// The reason to refuse a peer that would be let in otherwise; `own` is where this peer stands.
    pub(in crate::driver) fn stranger(&self, own: &Standing, hello: &Hello) -> Option<Difference> {
        let known = self.known.read();
        let membership = &known.membership;
        let peer = &hello.peer;
        let refused = |why: &str| Some(Difference::new(STRANGER, why, peer));
        let id = hello.id;
        let kind = hello.kind;
        let standing = &hello.standing;
        let site = &hello.site;
        let applicant = Applicant { peer, id, kind, standing, site };
        if let Some(objection) = membership.objection(own, &applicant) {
            return Some(objection_of(membership, objection, peer));
        }
        if let Some(alike) = self.alike(&known, peer) {
            return Some(Difference::new(NAME, alike_to(alike), peer));
        }
        match (self.kind, hello.kind) {
            (PeerKind::Client, PeerKind::Client) => refused("a client, as this peer is"),
            (PeerKind::Client, _) => None,
            (_, PeerKind::Client) => {
                let is_taken = membership.has(peer)
                    || (!known.has_state() && self.configured.contains_key(peer));
                if is_taken { refused("the name of a member") } else { None }
            }
            _ if known.has_state() || self.is_across(hello) => None,
            (PeerKind::Member, PeerKind::Member) if !hello.has_state => {
                let is_listed = self.configured.contains_key(peer);
                if is_listed { None } else { refused("not a member") }
            }
            // A joiner finds out by those who are members, and they are who bring data to a blank
            // member, whether its list names them or not.
            _ => None,
        }
    }
}

/// Returns true if two addresses are of one host, as far as they say.
fn is_same_host(one: &str, other: &str) -> bool {
    match ip(other) {
        Some(other) => ip(one) == Some(other),
        None => host(one) == host(other),
    }
}

/// The reason for refusing a name that differs from that of a member in capitals only.
fn alike_to(member: &PeerName) -> String {
    format!("{member} is a member: names that differ only in capitals are refused")
}

/// An objection of a list of members to a peer, for people to read.
fn objection_of(list: &Membership, objection: Objection, peer: &PeerName) -> Difference {
    let members = || {
        let names: Vec<&str> = list.names().into_iter().map(PeerName::as_str).collect();
        names.join(",")
    };
    let (field, ours) = match objection {
        Objection::Alike => (NAME, list.alike(peer).map(alike_to).unwrap_or_default()),
        Objection::Removed => (STRANGER, format!("{peer} was removed from the group")),
        Objection::NameRemoved => {
            (STRANGER, format!("{peer} was removed from the group: it may join as a new one"))
        }
        Objection::Stranger => (STRANGER, format!("not a member of {}", members())),
        Objection::Full => {
            ("members", format!("{} (as many as may be: remove one first)", members()))
        }
    };
    Difference::new(field, ours, peer)
}

#[cfg(test)]
mod tests;
