//! Where calls go at present, as the data path reads it and as waiting callers watch it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::base::error::NoPrimaryReason;
use crate::base::id::{Ballot, GroupId, GroupTime, Time};
use crate::driver::links::connection::Connection;
use crate::protocol::io::Route;
use crate::session::routes::{RouteKind, Routes};

/// Reasons as codes, which the data path reads; 8 is kept for another to come. The first one is
/// told until there is another.
const REASONS: [(u8, NoPrimaryReason); 16] = [
    (0, NoPrimaryReason::NoQuorum),
    (1, NoPrimaryReason::Electing),
    (2, NoPrimaryReason::LeaseEnded),
    (3, NoPrimaryReason::Refused),
    (4, NoPrimaryReason::CountedOut),
    (5, NoPrimaryReason::SitePassive),
    (6, NoPrimaryReason::SiteSealed),
    (7, NoPrimaryReason::SiteUnconfirmed),
    (9, NoPrimaryReason::SitePending),
    (16, NoPrimaryReason::NotReached),
    (17, NoPrimaryReason::NoCandidate),
    (18, NoPrimaryReason::Founding),
    (19, NoPrimaryReason::NotCounted),
    (20, NoPrimaryReason::Removed),
    (21, NoPrimaryReason::Incomplete),
    (22, NoPrimaryReason::NotConnected),
];

/// Written by the event loop, read by every call.
#[derive(Debug)]
pub(in crate::driver) struct Routing {
    kind: AtomicU8,
    /// The data connection to the primary, if there is one.
    connection: RwLock<Option<Arc<Connection>>>,
    /// Counts changes, of the route or the connection; waiting callers look again.
    version: watch::Sender<u64>,
    /// The reign that the route names, for those that do not need to be fast.
    newest_reign: RwLock<Ballot>,
    group_id: GroupIdCell,
    /// Why there is no primary, while there is none.
    reason: AtomicU8,
    /// When there last was one, or a connection to it.
    alone_since: AtomicU64,
    /// Newest steady group time seen, minus the clock's reading then.
    group_time_offset: AtomicI64,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.identity.fmt(f)
    }
}

impl Routing {
    pub(in crate::driver) fn new(time: Time, group_time: GroupTime) -> Self {
        let routing = Self {
            kind: AtomicU8::new(RouteKind::Nowhere as u8),
            connection: RwLock::new(None),
            version: watch::Sender::new(0),
            newest_reign: RwLock::new(Ballot::NONE),
            group_id: GroupIdCell::default(),
            reason: AtomicU8::new(0),
            alone_since: AtomicU64::new(time.0),
            group_time_offset: AtomicI64::new(0),
        };
        routing.set_group_time(time, group_time);
        routing
    }

    /// The data connection to the primary.
    #[inline]
    pub(in crate::driver) fn connection(&self) -> Option<Arc<Connection>> {
        self.connection.read().clone()
    }

    /// Sets where calls go.
    pub(in crate::driver) fn set_route(&self, route: &Route, now: Time) {
        if *route == Route::Nowhere && self.kind() != RouteKind::Nowhere {
            self.alone_since.store(now.0, Ordering::Relaxed);
        }
        // The reign before the kind: whoever finds that calls are decided here finds its reign.
        *self.newest_reign.write() = route.newest_reign();
        self.kind.store(route.kind() as u8, Ordering::Release);
        self.version.send_modify(|version| *version += 1);
    }

    /// Sets the connection that calls for another peer take.
    pub(in crate::driver) fn set_connection(&self, connection: Option<Arc<Connection>>, now: Time) {
        let mut current = self.connection.write();
        let is_same = match (&*current, &connection) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            if connection.is_none() && self.kind() == RouteKind::There {
                self.alone_since.store(now.0, Ordering::Relaxed);
            }
            *current = connection;
            drop(current);
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// Sees changes from now on.
    pub(in crate::driver) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Has waiting callers look again.
    pub(in crate::driver) fn wake_all(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Returns when this peer last had a primary, or a connection to it.
    pub(in crate::driver) fn alone_since(&self) -> Time {
        Time(self.alone_since.load(Ordering::Relaxed))
    }

    pub(in crate::driver) fn group_id(&self) -> Option<GroupId> {
        self.group_id.read()
    }

    pub(in crate::driver) fn set_group_id(&self, group_id: Option<GroupId>) {
        self.group_id.write(group_id);
    }

    /// Returns the reason why there is no primary, while there is none.
    pub(in crate::driver) fn reason(&self) -> NoPrimaryReason {
        let code = self.reason.load(Ordering::Relaxed);
        let reason = REASONS.iter().find(|(known, _)| *known == code);
        reason.map_or(NoPrimaryReason::NoQuorum, |(_, reason)| *reason)
    }

    /// Sets the reason why there is no primary; one without a code reads as `NoQuorum`.
    pub(in crate::driver) fn set_reason(&self, reason: NoPrimaryReason) {
        let code = REASONS.iter().find(|(_, known)| *known == reason);
        self.reason.store(code.map_or(0, |(code, _)| *code), Ordering::Relaxed);
    }

    /// Steady group time at `time`, as far as it can be known without the primary.
    pub(in crate::driver) fn group_time(&self, time: Time) -> GroupTime {
        GroupTime(time.0.wrapping_add_signed(self.group_time_offset.load(Ordering::Relaxed)))
    }

    /// Notes that steady group time was seen to be `group_time` at `time`.
    pub(in crate::driver) fn set_group_time(&self, time: Time, group_time: GroupTime) {
        let offset = group_time.0.wrapping_sub(time.0) as i64;
        self.group_time_offset.store(offset, Ordering::Relaxed);
    }
}

impl Routes for Routing {
    #[inline]
    fn kind(&self) -> RouteKind {
        RouteKind::ALL[usize::from(self.kind.load(Ordering::Acquire)) % RouteKind::ALL.len()]
    }

    fn newest_reign(&self) -> Ballot {
        *self.newest_reign.read()
    }
}

/// A group id that every answer reads and almost nobody writes: 128 bits without a lock.
///
/// One writer. A reader that finds `version` odd or changed has come between and reads again.
#[derive(Debug, Default)]
struct GroupIdCell {
    version: AtomicU64,
    is_some: AtomicU8,
    high: AtomicU64,
    low: AtomicU64,
}

impl GroupIdCell {
    fn read(&self) -> Option<GroupId> {
        loop {
            let before = self.version.load(Ordering::SeqCst);
            let is_some = self.is_some.load(Ordering::SeqCst) != 0;
            let high = self.high.load(Ordering::SeqCst);
            let low = self.low.load(Ordering::SeqCst);
            if before.is_multiple_of(2) && self.version.load(Ordering::SeqCst) == before {
                let id = GroupId((u128::from(high) << 64) | u128::from(low));
                return is_some.then_some(id);
            }
            std::hint::spin_loop();
        }
    }

    fn write(&self, id: Option<GroupId>) {
        if self.read() == id {
            return;
        }
        let GroupId(bits) = id.unwrap_or(GroupId(0));
        self.version.fetch_add(1, Ordering::SeqCst);
        self.is_some.store(id.is_some().into(), Ordering::SeqCst);
        self.high.store((bits >> 64) as u64, Ordering::SeqCst);
        self.low.store(bits as u64, Ordering::SeqCst);
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_id_is_read_as_it_was_written() {
        let cell = GroupIdCell::default();
        assert_eq!(cell.read(), None);
        let id = GroupId(u128::MAX - 5);
        cell.write(Some(id));
        assert_eq!(cell.read(), Some(id));
        cell.write(None);
        assert_eq!(cell.read(), None);
    }

    #[test]
    fn a_reason_is_read_as_it_was_written_and_no_two_have_one_code() {
        let routing = Routing::new(Time(0), GroupTime(0));
        for (code, reason) in REASONS {
            assert_ne!(code, 8, "that is kept");
            routing.set_reason(reason);
            assert_eq!(routing.reason(), reason);
        }
        routing.set_reason(NoPrimaryReason::ShutDown);
        assert_eq!(routing.reason(), NoPrimaryReason::NoQuorum);
    }

    #[test]
    fn group_time_goes_on_from_what_was_seen_last() {
        let routing = Routing::new(Time(100), GroupTime(5_000));
        assert_eq!(routing.group_time(Time(150)), GroupTime(5_050));
    }
}
