//! The connections that are open, to which start of which peer.
//!
//! Every member dials every other on all three lanes, and a client every member, so there are up to
//! six connections between two peers. All of them belong to one incarnation: as long as one is
//! open, or being opened, another incarnation of that name is refused as a duplicate.
//!
//! One that was dialed for calls is none of those. It is read on the embedder's runtime, which may
//! not run: nobody there may notice that it has ended, and the name is not to be held for that
//! long. So it goes with the link.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::base::id::{Incarnation, PeerName, PeerStart, Time};
use crate::driver::links::connection::Connection;
use crate::protocol::io::{CALLS_VERSION, LinkEnd};
use crate::protocol::message::Lane;
use crate::transport::{Certificate, Protection};

/// The links to other peers, and names kept for those that are being made.
#[derive(Debug)]
pub(in crate::driver) struct Registry {
    links: Mutex<BTreeMap<PeerName, Link>>,
    /// Counts changes; the event loop looks again when it has grown.
    version: AtomicU64,
    /// The version for those who wait for it to change.
    changes: watch::Sender<u64>,
    /// Counts links that have come up.
    ups: AtomicU64,
    /// Tells the event loop.
    attention: Arc<Notify>,
    /// Tells newcomers that wait for an older incarnation's connections to close.
    released: Notify,
    /// Peers that have said that they end, since the event loop last asked.
    goodbyes: Mutex<BTreeSet<PeerStart>>,
}

#[derive(Debug, Default)]
struct Link {
    incarnation: Option<Incarnation>,
    /// Handshakes under way that have been let through.
    reserved: usize,
    open: Vec<Arc<Connection>>,
    /// Those dialed for calls.
    for_calls: Vec<Arc<Connection>>,
    /// The number of the last time that it came up, counted over all links.
    ups: u64,
    heard: Arc<AtomicU64>,
}

/// A link that is up, as the event loop compares it with what it knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::driver) struct LinkUp {
    pub(in crate::driver) end: LinkEnd,
    /// Grows with every time that a link comes up.
    pub(in crate::driver) number: u64,
}

impl Link {
    fn is_up(&self) -> bool {
        [Lane::Control, Lane::Data]
            .into_iter()
            .all(|lane| self.open.iter().any(|connection| connection.identity.lane == lane))
    }

    /// Returns true if nothing has come over its control lane since then.
    fn is_silent_since(&self, then: Time) -> bool {
        self.heard.load(Ordering::Relaxed) < then.0
    }

    /// All of its connections.
    fn all(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.open.iter().chain(&self.for_calls)
    }

    fn remove(&mut self, connection: &Arc<Connection>) {
        for list in [&mut self.open, &mut self.for_calls] {
            list.retain(|open| !Arc::ptr_eq(open, connection));
        }
    }
}

/// Frees the name of a link that nothing holds; clients come and go under new ones. The link, if it
/// has gone.
fn forget_if_unused(links: &mut BTreeMap<PeerName, Link>, peer: &PeerName) -> Option<Link> {
    let link = links.get(peer)?;
    let is_unused = link.reserved == 0 && link.open.is_empty();
    if is_unused { links.remove(peer) } else { None }
}

impl Registry {
    pub(in crate::driver) fn new(attention: Arc<Notify>) -> Self {
        Self {
            links: Mutex::default(),
            version: AtomicU64::new(0),
            changes: watch::Sender::new(0),
            ups: AtomicU64::new(0),
            attention,
            released: Notify::new(),
            goodbyes: Mutex::default(),
        }
    }

    /// Lets a handshake with this incarnation go on, unless another one of the name is linked:
    /// waits for up to `patience` for that one's connections to close, for a restarted peer may be
    /// back before its end is noticed.
    ///
    /// # Errors
    ///
    /// The incarnation that holds the name.
    pub(in crate::driver) async fn reserve(
        self: &Arc<Self>,
        peer: &PeerName,
        incarnation: Incarnation,
        patience: Duration,
    ) -> Result<Reservation, Incarnation> {
        let mut holder = incarnation;
        let waiting = async {
            loop {
                let mut released = std::pin::pin!(self.released.notified());
                released.as_mut().enable();
                match self.try_reserve(peer, incarnation) {
                    Ok(reservation) => return reservation,
                    Err(other) => holder = other,
                }
                released.await;
            }
        };
        let reserved = tokio::time::timeout(patience, waiting).await;
        reserved.map_err(|_| holder)
    }

    fn try_reserve(
        self: &Arc<Self>,
        peer: &PeerName,
        incarnation: Incarnation,
    ) -> Result<Reservation, Incarnation> {
        let mut links = self.links.lock();
        let link = links.entry(peer.clone()).or_default();
        match link.incarnation {
            Some(holder) if holder != incarnation => Err(holder),
            _ => {
                link.incarnation = Some(incarnation);
                link.reserved += 1;
                Ok(Reservation { registry: self.clone(), peer: peer.clone() })
            }
        }
    }

    /// The time when something last came over the control lane of the link, shared with its
    /// connections.
    pub(in crate::driver) fn heard(&self, peer: &PeerName) -> Arc<AtomicU64> {
        self.links.lock().get(peer).map(|link| link.heard.clone()).unwrap_or_default()
    }

    /// Returns true if this incarnation holds its name.
    pub(in crate::driver) fn is_held_by(&self, peer: &PeerName, incarnation: Incarnation) -> bool {
        let links = self.links.lock();
        links.get(peer).is_some_and(|link| link.incarnation == Some(incarnation))
    }

    /// Adds an open connection that was dialed for calls, as long as there is a link to that
    /// incarnation; the guard removes it, and so does the end of the link.
    pub(in crate::driver) fn open_for_calls(
        self: &Arc<Self>,
        connection: Arc<Connection>,
    ) -> Option<Opened> {
        let identity = &connection.identity;
        let replaced = {
            let mut links = self.links.lock();
            let link = links.get_mut(&identity.peer)?;
            // The link may be another one by now, to the same incarnation or not.
            let is_same = link.incarnation == Some(identity.end.incarnation);
            if !is_same || !connection.is_of_link(&link.heard) {
                return None;
            }
            std::mem::replace(&mut link.for_calls, vec![connection.clone()])
        };
        for connection in replaced {
            connection.close();
        }
        self.changed();
        Some(Opened { registry: self.clone(), connection })
    }

    /// Closes a connection. One for calls is open no more from here on, whenever its task runs
    /// again.
    pub(in crate::driver) fn close(&self, connection: &Arc<Connection>) {
        if connection.carries_own_calls() {
            if let Some(link) = self.links.lock().get_mut(&connection.identity.peer) {
                link.remove(connection);
            }
            self.changed();
        }
        connection.close();
    }

    /// Closes the connections to a start of a peer.
    pub(in crate::driver) fn unlink(&self, start: &PeerStart) {
        let open = match self.links.lock().get(&start.name) {
            Some(link) if link.incarnation == Some(start.incarnation) => link.open.clone(),
            _ => return,
        };
        for connection in open {
            connection.close();
        }
    }

    /// A link has gone: so have its connections for calls, and another incarnation may come.
    fn end(&self, link: Option<Link>) {
        let Some(link) = link else { return };
        for connection in link.for_calls {
            connection.close();
        }
        self.released.notify_waiters();
    }

    /// Adds an open connection; the guard removes it. An older one of the same peer, lane and
    /// direction is closed: its other end has given it up.
    pub(in crate::driver) fn open(
        self: &Arc<Self>,
        reservation: Reservation,
        connection: Arc<Connection>,
        now: Time,
    ) -> Opened {
        let mut replaced = Vec::new();
        {
            let mut links = self.links.lock();
            let link = links.entry(reservation.peer.clone()).or_default();
            let identity = &connection.identity;
            for open in &link.open {
                let is_same_place = open.identity.lane == identity.lane
                    && open.identity.is_dialed == identity.is_dialed;
                if is_same_place {
                    replaced.push(open.clone());
                }
            }
            link.heard.fetch_max(now.0, Ordering::Relaxed);
            let was_up = link.is_up();
            link.open.push(connection.clone());
            if !was_up && link.is_up() {
                link.ups = self.ups.fetch_add(1, Ordering::Relaxed) + 1;
            }
        }
        drop(reservation);
        for connection in replaced {
            connection.close();
        }
        self.changed();
        Opened { registry: self.clone(), connection }
    }

    /// The connection of a lane to this incarnation that messages take: the one dialed here, else
    /// one that was accepted.
    pub(in crate::driver) fn pick(
        &self,
        peer: &PeerName,
        incarnation: Incarnation,
        lane: Lane,
    ) -> Option<Arc<Connection>> {
        let links = self.links.lock();
        let link = links.get(peer).filter(|link| link.incarnation == Some(incarnation))?;
        let of_lane = || link.open.iter().filter(|open| open.identity.lane == lane);
        of_lane().find(|open| open.identity.is_dialed).or_else(|| of_lane().next()).cloned()
    }

    /// All links that are up.
    pub(in crate::driver) fn up(&self) -> BTreeMap<PeerName, LinkUp> {
        let links = self.links.lock();
        let up = links.iter().filter(|(_, link)| link.is_up()).filter_map(|(name, link)| {
            // What it says of itself last, if that has changed.
            let end = link.open.last()?.identity.end.clone();
            let up = LinkUp { end, number: link.ups };
            Some((name.clone(), up))
        });
        up.collect()
    }

    /// Returns true if a peer is linked.
    pub(in crate::driver) fn is_linked(&self, peer: &PeerName) -> bool {
        self.links.lock().get(peer).is_some_and(Link::is_up)
    }

    /// The protection of the least protected connection to a peer, and
    /// the certificate that it has shown last.
    pub(in crate::driver) fn security(
        &self,
        peer: &PeerName,
    ) -> (Option<Protection>, Option<Certificate>) {
        let links = self.links.lock();
        let link = links.get(peer);
        let all = link.into_iter().flat_map(Link::all);
        let protection = all.map(|open| open.identity.protection).min();
        let open = link.map(|link| &link.open[..]).unwrap_or_default();
        let certificate = open.iter().rev().find_map(|open| open.identity.certificate.clone());
        (protection, certificate)
    }

    /// Notes that the process at the other end of a connection has said that it ends.
    pub(in crate::driver) fn note_goodbye(&self, peer: &PeerName, incarnation: Incarnation) {
        self.goodbyes.lock().insert(PeerStart::new(peer.clone(), incarnation));
    }

    /// Peers that have said that they end, since this was last asked. They are noted before the
    /// connections of the link go.
    pub(in crate::driver) fn take_goodbyes(&self) -> BTreeSet<PeerStart> {
        std::mem::take(&mut self.goodbyes.lock())
    }

    /// All open connections.
    pub(in crate::driver) fn all(&self) -> Vec<Arc<Connection>> {
        self.links.lock().values().flat_map(Link::all).cloned().collect()
    }

    /// Connections of links over whose control lane nothing has come since `before`.
    pub(in crate::driver) fn silent(&self, before: Time) -> Vec<Arc<Connection>> {
        let links = self.links.lock();
        let silent = links.values().filter(|link| link.is_silent_since(before));
        silent.flat_map(Link::all).cloned().collect()
    }

    /// Counts changes.
    pub(in crate::driver) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn changed(&self) {
        let version = self.version.fetch_add(1, Ordering::AcqRel) + 1;
        self.attention.notify_one();
        self.changes.send_replace(version);
    }

    /// Sees changes from now on, and the present as one.
    pub(in crate::driver) fn watch(&self) -> watch::Receiver<u64> {
        let mut changes = self.changes.subscribe();
        changes.mark_changed();
        changes
    }

    /// Returns true if a peer is linked, and calls to it may have a lane of their own.
    pub(in crate::driver) fn takes_calls(&self, peer: &PeerName) -> bool {
        let links = self.links.lock();
        let link = links.get(peer).filter(|link| link.is_up());
        let last = link.and_then(|link| link.open.last());
        last.is_some_and(|open| open.identity.end.version >= CALLS_VERSION)
    }

    /// The connection that calls to this incarnation take: the one that was dialed for them, unless
    /// nobody attends to it; else that of the data lane.
    pub(in crate::driver) fn pick_for_calls(
        &self,
        peer: &PeerName,
        incarnation: Incarnation,
    ) -> Option<Arc<Connection>> {
        let own = {
            let links = self.links.lock();
            let link = links.get(peer).filter(|link| link.incarnation == Some(incarnation));
            let open = link.map(|link| &link.for_calls[..]).unwrap_or_default();
            open.iter().find(|open| open.is_attended()).cloned()
        };
        own.or_else(|| self.pick(peer, incarnation, Lane::Data))
    }
}

/// Keeps a name for a handshake under way.
#[derive(Debug)]
pub(in crate::driver) struct Reservation {
    registry: Arc<Registry>,
    peer: PeerName,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut links = self.registry.links.lock();
        let Some(link) = links.get_mut(&self.peer) else { return };
        link.reserved -= 1;
        let gone = forget_if_unused(&mut links, &self.peer);
        drop(links);
        self.registry.end(gone);
    }
}

/// Keeps a connection in the registry until it is dropped, and closes it then.
#[derive(Debug)]
pub(in crate::driver) struct Opened {
    registry: Arc<Registry>,
    connection: Arc<Connection>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        let peer = &self.connection.identity.peer;
        let gone = {
            let mut links = self.registry.links.lock();
            if let Some(link) = links.get_mut(peer) {
                link.remove(&self.connection);
            }
            forget_if_unused(&mut links, peer)
        };
        self.connection.close();
        self.registry.end(gone);
        self.registry.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Bounds;
    use crate::driver::links::buffered::Buffered;
    use crate::driver::links::connection::Identity;
    use crate::session::budget::Budget;

    const OLD: Incarnation = Incarnation(1);
    const NEW: Incarnation = Incarnation(2);

    fn registry() -> Arc<Registry> {
        Arc::new(Registry::new(Arc::default()))
    }

    /// A connection that was dialed to a start of `b`.
    fn connection(registry: &Registry, incarnation: Incarnation, lane: Lane) -> Arc<Connection> {
        let identity = Identity {
            peer: "b".into(),
            end: LinkEnd::member(incarnation),
            lane,
            is_dialed: true,
            address: "b:1".into(),
            protection: Protection::Plain,
            certificate: None,
        };
        let bounds = Bounds::default();
        let writer = Box::new(tokio::io::sink());
        let heard = registry.heard(&identity.peer);
        let budget = Arc::new(Budget::new(1));
        let buffered = Arc::new(Buffered::new(&bounds));
        Arc::new(Connection::new(identity, writer, heard, &bounds, &budget, &buffered))
    }

    fn link(registry: &Arc<Registry>, incarnation: Incarnation) -> [Opened; 2] {
        [Lane::Control, Lane::Data].map(|lane| {
            let reserved = registry.try_reserve(&"b".into(), incarnation).expect("it is free");
            registry.open(reserved, connection(registry, incarnation, lane), Time(1))
        })
    }

    /// The task of a connection for calls may never run again; what it holds is not dropped then.
    #[test]
    fn a_name_is_free_when_its_link_has_gone_whatever_is_open_for_calls() {
        let registry = registry();
        let lanes = link(&registry, OLD);
        let for_calls = connection(&registry, OLD, Lane::Calls);
        let held = registry.open_for_calls(for_calls.clone()).expect("it is linked");
        let picked = |incarnation| registry.pick_for_calls(&"b".into(), incarnation);
        assert!(picked(OLD).is_some_and(|picked| Arc::ptr_eq(&picked, &for_calls)));
        assert!(registry.try_reserve(&"b".into(), NEW).is_err(), "the old one is linked");
        drop(lanes);
        assert!(for_calls.lock().outbox.is_closed(), "whoever waits for replies is told");
        let lanes = link(&registry, NEW);
        assert_eq!(registry.all().len(), 2);
        assert_eq!(registry.silent(Time(1_000)).len(), 2, "it is not closed time and again");
        assert!(picked(NEW).is_some_and(|picked| picked.identity.lane == Lane::Data));
        drop(held);
        assert_eq!(registry.all().len(), 2);
        drop(lanes);
        assert!(registry.links.lock().is_empty());
    }

    #[test]
    fn a_connection_for_calls_needs_a_link_to_the_same_start() {
        let registry = registry();
        assert!(registry.open_for_calls(connection(&registry, OLD, Lane::Calls)).is_none());
        assert!(registry.links.lock().is_empty(), "nothing is kept of it");
        let of_none = connection(&registry, OLD, Lane::Calls);
        let _lanes = link(&registry, OLD);
        assert!(registry.open_for_calls(of_none).is_none(), "it was of a link before this one");
        assert!(registry.open_for_calls(connection(&registry, NEW, Lane::Calls)).is_none());
        let for_calls = connection(&registry, OLD, Lane::Calls);
        let held = registry.open_for_calls(for_calls.clone()).expect("it is linked");
        registry.close(&for_calls);
        assert_eq!(registry.all().len(), 2, "it is open no more");
        drop(held);
    }
}
