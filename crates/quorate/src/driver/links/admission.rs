//! Admission of connections: how many there are at a time, from everywhere and from one
//! address, and how many of them have not shown yet who they are.
//!
//! A stranger can make a peer hold something only until the handshake is over or its deadline has
//! come; these bounds say how much. Those of one address are a part of those of all, and the part
//! is the smaller the less is left: one host, or a few, however many connections they open, leave
//! room for the others. Some places are for addresses of members only.
//!
//! Who has shown who it is, and is no member, is a guest from then on. Guests never have all
//! places, wherever they come from: what they leave is for members, and for finding out who is one.
//! A guest that is let in has a place for each lane: many that have one lane each would be of no
//! use.
//!
//! Who asks and gives orders is neither: there are a few of them at a time, whoever is connected
//! beside, for that is when an operator is needed.
//!
//! ```text
//!   max_connections
//!   |<-- guests -->|<-- handshakes from anywhere -->|<-- addresses of members -->|
//!                  '----------- members, wherever they come from ---------------'
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::base::id::{PeerName, Time};
use crate::config::{Bounds, MAX_MEMBERS};
use crate::driver::admin::role::Role;
use crate::driver::links::origin::Origin;
use crate::driver::report::journal::LINKS;
use crate::driver::report::pacer::Pacer;

/// The part of what is free that a host may have under way: a quarter of all, if it is the only
/// one.
const PART_OF_FREE: usize = 3;
/// Places that guests leave for handshakes besides: as many as are kept for members, and no more
/// than this part of all.
const PART_FOR_HANDSHAKES: usize = 8;
/// Places that are set aside for a guest, one for each lane.
const LANES: usize = 3;
/// A site may have this many times the connections of a host.
const HOSTS_OF_SITE: usize = 2;
/// Places that are kept for members: each of them takes four at most while it reconnects. No more
/// than a quarter of all.
const FOR_MEMBERS: usize = 4 * MAX_MEMBERS;
/// Connections over which people and tools ask, at most. They take places that are otherwise for
/// handshakes, and at most half of those.
const MAX_ADMINS: usize = 8;
/// Of these, those that whoever may only look leaves for who may act.
const FOR_ACTING: usize = 2;
/// The part of the files that this process may open which connections may take.
const PART_OF_FILES: usize = 2;

/// Counts connections that came in.
#[derive(Debug)]
pub(in crate::driver) struct Admission {
    max: Counts,
    /// Of these, places that only addresses of members get.
    for_members: Counts,
    /// The most that guests have.
    max_guests: usize,
    /// The most of the admin lane.
    max_admins: usize,
    max_per_host: usize,
    state: Mutex<State>,
    /// Says when those that were turned away are told of.
    pacer: Mutex<Pacer>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// All connections.
    open: usize,
    /// Those whose handshake is not over.
    shaking: usize,
    /// Those of guests: their handshake is over.
    guests: usize,
    /// Those of the admin lane: their handshake is over.
    admins: usize,
}

#[derive(Debug, Default)]
struct State {
    all: Counts,
    /// By host, and by site.
    origins: BTreeMap<String, Counts>,
    /// The connections of each guest.
    guests: BTreeMap<PeerName, usize>,
    /// Those that guests have beyond their lanes.
    beyond: usize,
}

/// The bound that a connection would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::driver) enum Full {
    #[error("{max} are open, and more only for members: see max_connections")]
    Connections { max: usize },
    #[error("max_connections_per_address, {max}, are open from there")]
    PerAddress { max: usize },
    #[error("{max} handshakes are under way, and more only for members: see max_handshakes")]
    Handshakes { max: usize },
    #[error("{count} handshakes are under way from there: more than its part of max_handshakes")]
    HandshakesPerAddress { count: usize },
    #[error("{max} of clients and others that are no members are open, and more only for members")]
    Guests { max: usize },
    #[error("{max} of the admin lane are open")]
    Admins { max: usize },
    #[error("{max} of the admin lane are open, and more only for admins")]
    Viewers { max: usize },
}

impl Admission {
    /// Tells of it if fewer connections are let in than is set, for few files may be opened.
    pub(in crate::driver) fn tell_if_few(&self, peer: &PeerName, wanted: usize) {
        let max = self.max.open;
        if max < wanted {
            tracing::warn!(
                target: LINKS, %peer, max, wanted,
                "lets in fewer connections than is set, for this process may open few files"
            );
        }
    }

    /// `files` are those that this process may open, if connections are made of them.
    pub(in crate::driver) fn new(bounds: &Bounds, files: Option<usize>) -> Self {
        let most = files.map_or(usize::MAX, |files| (files / PART_OF_FILES).max(1));
        let open = bounds.max_connections.min(most);
        let shaking = bounds.max_handshakes;
        let max = Counts { open, shaking, ..Counts::default() };
        let kept = |places: usize| FOR_MEMBERS.min(places / 4);
        let for_members =
            Counts { open: kept(max.open), shaking: kept(max.shaking), ..Counts::default() };
        let for_handshakes = FOR_MEMBERS.min(max.open / PART_FOR_HANDSHAKES);
        Self {
            max,
            max_guests: max.open - for_members.open - for_handshakes,
            max_admins: (for_handshakes / 2).clamp(1, MAX_ADMINS),
            for_members,
            max_per_host: bounds.max_connections_per_address,
            state: Mutex::default(),
            pacer: Mutex::default(),
        }
    }

    /// Connections that are open, those of them whose handshake is not over, and those of guests.
    pub(in crate::driver) fn counts(&self) -> [Taken; 3] {
        let now = self.state.lock().all;
        [
            Taken { now: now.open, max: self.max.open },
            Taken { now: now.shaking, max: self.max.shaking },
            Taken { now: now.guests, max: self.max_guests },
        ]
    }

    /// One more was turned away, at `now`; how many since the last telling, if it is time for one.
    pub(in crate::driver) fn count_turned_away(&self, now: Time) -> Option<u64> {
        self.pacer.lock().count(now)
    }

    /// The number by which more may be open, of a host or a site whose bound this is, than guests
    /// may have: who comes from there may be a member.
    fn spare_of(max: usize) -> usize {
        FOR_MEMBERS.min(max / 4)
    }

    /// Counts a connection from `address`, whose handshake begins, until what is returned is
    /// dropped. `is_of_member` says whether a member has that address.
    ///
    /// # Errors
    ///
    /// The bound that it would break. Nothing is counted.
    pub(in crate::driver) fn admit(
        self: &Arc<Self>,
        address: &str,
        is_of_member: bool,
    ) -> Result<Admitted, Full> {
        let origin = Origin::of(address);
        let mut state = self.state.lock();
        let kept = if is_of_member { Counts::default() } else { self.for_members };
        let open = self.max.open - kept.open;
        let shaking = self.max.shaking - kept.shaking;
        // Members that are here already take none of the places for finding out who is one.
        let Counts { shaking: under_way, guests, admins, .. } = state.all;
        if guests + admins + under_way >= open || state.all.open >= self.max.open {
            return Err(Full::Connections { max: open });
        }
        if state.all.shaking >= shaking {
            return Err(Full::Handshakes { max: shaking });
        }
        let [host, site] = state.both(&origin);
        for (there, max) in self.with_bounds(host, site) {
            if there.open >= max + Self::spare_of(max) {
                return Err(Full::PerAddress { max });
            }
        }
        // What others have left is not what a member's part is measured by.
        let taken = if is_of_member { 0 } else { state.all.shaking };
        let free = self.max.shaking - taken;
        // One of each is let in as long as there is any place.
        let is_too_many = |count: usize, part: usize| count > 0 && count * part >= free;
        if is_too_many(host.shaking, PART_OF_FREE) || is_too_many(site.shaking, 1) {
            return Err(Full::HandshakesPerAddress { count: host.shaking.max(site.shaking) });
        }
        state.each(&origin, |counts| {
            counts.open += 1;
            counts.shaking += 1;
        });
        Ok(Admitted { admission: self.clone(), origin, stage: Stage::Shaking })
    }

    /// The bound that a guest would break. One that has a connection may have its other lanes; what
    /// it has beyond those, such as old connections that have not been closed yet, takes what is
    /// left.
    fn full_for(&self, guest: &PeerName, state: &State, origin: &Origin) -> Option<Full> {
        let known = state.guests.get(guest).copied();
        if known.is_some_and(|count| count < LANES) {
            return None;
        }
        let more = if known.is_some() { 1 } else { LANES };
        if state.set_aside() + more > self.max_guests.max(LANES) {
            return Some(Full::Guests { max: self.max_guests });
        }
        let [host, site] = state.both(origin);
        let full =
            self.with_bounds(host, site).into_iter().find(|(there, max)| there.guests >= *max);
        full.map(|(_, max)| Full::PerAddress { max })
    }

    /// The counts of a host and of a site, and how much there may be of each.
    fn with_bounds(&self, host: Counts, site: Counts) -> [(Counts, usize); 2] {
        let max = self.max_per_host;
        [(host, max), (site, max.saturating_mul(HOSTS_OF_SITE))]
    }
}

impl State {
    /// Counts one more connection of a guest.
    fn take(&mut self, guest: &PeerName) {
        let count = self.guests.entry(guest.clone()).or_default();
        self.beyond += usize::from(*count >= LANES);
        *count += 1;
    }

    /// Counts one less.
    fn give(&mut self, guest: &PeerName) {
        let Some(count) = self.guests.get_mut(guest) else { return };
        self.beyond -= usize::from(*count > LANES);
        *count -= 1;
        if *count == 0 {
            self.guests.remove(guest);
        }
    }

    /// Places that guests have, or that are theirs to take: the lanes of each, and what they have
    /// beyond those.
    fn set_aside(&self) -> usize {
        self.guests.len() * LANES + self.beyond
    }

    /// The counts of a host, and of its site.
    fn both(&self, origin: &Origin) -> [Counts; 2] {
        let site = origin.site.as_ref().map(|site| self.of(site)).unwrap_or_default();
        [self.of(&origin.host), site]
    }

    /// The counts of one origin.
    fn of(&self, origin: &str) -> Counts {
        self.origins.get(origin).copied().unwrap_or_default()
    }

    /// Changes the counts of all, and of where a connection comes from.
    fn each(&mut self, origin: &Origin, change: impl Fn(&mut Counts)) {
        change(&mut self.all);
        for name in [Some(&origin.host), origin.site.as_ref()].into_iter().flatten() {
            let counts = self.origins.entry(name.clone()).or_default();
            change(counts);
            if *counts == Counts::default() {
                self.origins.remove(name);
            }
        }
    }
}

/// A number of things, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) struct Taken {
    pub(in crate::driver) now: usize,
    pub(in crate::driver) max: usize,
}

/// A connection that is counted.
#[derive(Debug)]
pub(in crate::driver) struct Admitted {
    admission: Arc<Admission>,
    origin: Origin,
    stage: Stage,
}

/// The thing that a connection is known to be.
#[derive(Debug)]
enum Stage {
    /// Nothing yet: its handshake is not over.
    Shaking,
    /// One of a member, or of nobody any more.
    Plain,
    /// One of this guest.
    Guest(PeerName),
    /// One of the admin lane.
    Admin,
}

impl Stage {
    /// Returns what it counts as, beside being open.
    fn counts(&self) -> Counts {
        match self {
            Self::Shaking => Counts { shaking: 1, ..Counts::default() },
            Self::Plain => Counts::default(),
            Self::Guest(_) => Counts { guests: 1, ..Counts::default() },
            Self::Admin => Counts { admins: 1, ..Counts::default() },
        }
    }
}

impl Admitted {
    /// Notes that it has shown who it is: a member, or this guest, for which there has to be a
    /// place.
    ///
    /// # Errors
    ///
    /// The bound that a guest would break: it is to be closed.
    pub(in crate::driver) fn settle(&mut self, guest: Option<&PeerName>) -> Result<(), Full> {
        if !matches!(self.stage, Stage::Shaking) {
            return Ok(());
        }
        let admission = self.admission.clone();
        let mut state = admission.state.lock();
        let full = guest.and_then(|guest| admission.full_for(guest, &state, &self.origin));
        let stage = match guest.filter(|_| full.is_none()) {
            Some(guest) => {
                state.take(guest);
                Stage::Guest(guest.clone())
            }
            None => Stage::Plain,
        };
        self.become_one(&mut state, stage);
        full.map_or(Ok(()), Err)
    }

    /// Notes that it has shown that it may ask, and whether it may act, for which there has to be a
    /// place.
    ///
    /// # Errors
    ///
    /// The bound that it would break: it is to be closed.
    pub(in crate::driver) fn settle_admin(&mut self, role: Role) -> Result<(), Full> {
        let admission = self.admission.clone();
        let mut state = admission.state.lock();
        let most = admission.max_admins;
        let (max, full): (usize, fn(usize) -> Full) = match role {
            Role::Admin => (most, |max| Full::Admins { max }),
            Role::Viewer => (most.saturating_sub(FOR_ACTING).max(1), |max| Full::Viewers { max }),
        };
        let is_full = state.all.admins >= max;
        self.become_one(&mut state, if is_full { Stage::Plain } else { Stage::Admin });
        if is_full { Err(full(max)) } else { Ok(()) }
    }

    /// Counts it as something else from now on.
    fn become_one(&mut self, state: &mut State, stage: Stage) {
        let before = std::mem::replace(&mut self.stage, stage).counts();
        let after = self.stage.counts();
        state.each(&self.origin, |counts| {
            counts.shaking = counts.shaking + after.shaking - before.shaking;
            counts.guests = counts.guests + after.guests - before.guests;
            counts.admins = counts.admins + after.admins - before.admins;
        });
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let admission = self.admission.clone();
        let mut state = admission.state.lock();
        if let Stage::Guest(guest) = &self.stage {
            state.give(guest);
        }
        self.become_one(&mut state, Stage::Plain);
        state.each(&self.origin, |counts| counts.open -= 1);
    }
}

/// The number of files that this process may open at present; not known on all systems.
pub(in crate::driver) fn files() -> Option<usize> {
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        usize::try_from(limit.current?).ok()
    }
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests;
