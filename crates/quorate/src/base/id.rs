//! Identities and orders: who a peer is, which reign a change belongs to, and what comes later.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest peer or group name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// The never-reused name of a peer; addresses may change, names may not.
///
/// # Examples
///
/// ```
/// use quorate::PeerName;
/// assert_eq!(PeerName::new("a").to_string(), "a");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PeerName(Arc<str>);

impl PeerName {
    /// Wraps a name; its length and characters are checked where a configuration is built.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if two names differ, and in capitals only. They name two peers, but what is
    /// beside a group may take one for the other: DNS, many file systems, people.
    ///
    /// ```
    /// use quorate::PeerName;
    /// let name = |text| PeerName::new(text);
    /// assert!(name("a").differs_only_in_case(&name("A")));
    /// assert!(!name("a").differs_only_in_case(&name("a")));
    /// ```
    pub fn differs_only_in_case(&self, other: &Self) -> bool {
        self != other && self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl From<&str> for PeerName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for PeerName {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! number {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Number of one primary's reign within a generation.
    Term
}
number! {
    /// Place in the order of all decisions of a generation; dense within a cut, not across cuts.
    Sequence
}

/// One founding of the group, in one site epoch: grows when data had to be given up and the group
/// was formed anew, and when another site begins to decide.
///
/// It is a number of 64 bits: the upper 12 are the site epoch, 0 of a group without sites, the
/// others the founding. So whatever a site founds by itself, for however long, stays below every
/// generation of a later site epoch. For people and in JSON it is the founding; the site epoch is
/// told beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// Low bits that the founding takes.
    const FOUNDING_BITS: u32 = 52;
    /// Random bits of a founding: two in the same second differ.
    const RANDOM_BITS: u32 = 20;
    /// The largest founding that there is: in the year 2106.
    pub(crate) const MAX_FOUNDING: u64 = (1 << Self::FOUNDING_BITS) - 1;

    /// The last site epoch that there is: with a switch a week, in 78 years.
    pub(crate) const MAX_SITE_EPOCH: u64 = (1 << (64 - Self::FOUNDING_BITS)) - 1;

    /// The generation that goes over the wire, and is on disk, as this number.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number that it is over the wire, and on disk.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The part that founding counts in; below 2^52, so that every reader of JSON keeps it.
    pub const fn founding(self) -> u64 {
        self.0 & Self::MAX_FOUNDING
    }

    /// The site epoch: 0 of a group that has never had two sites, 4,095 at most.
    pub const fn site_epoch(self) -> u64 {
        self.0 >> Self::FOUNDING_BITS
    }

    /// The lowest generation of a site epoch, which nothing was ever founded in: above all of the
    /// epochs before it, and below all that is founded in this one.
    pub(crate) const fn first_of(site_epoch: u64) -> Self {
        Self(site_epoch << Self::FOUNDING_BITS)
    }

    /// The smallest founding of a second since the Unix epoch.
    pub(crate) fn founded_at(seconds: u64) -> u64 {
        seconds.saturating_mul(1 << Self::RANDOM_BITS).min(Self::MAX_FOUNDING)
    }

    /// A generation above this one and of the same site epoch, founded at `seconds` since the Unix
    /// epoch; `draw` is random.
    ///
    /// It is made of the wall clock, so that it is above those of members that are not reached too,
    /// unless clocks are far apart; random bits keep two foundings apart. At the last founding that
    /// there is it is this one again.
    pub(crate) fn founded(self, seconds: u64, draw: u64) -> Self {
        let random = draw & ((1 << Self::RANDOM_BITS) - 1);
        let drawn = Self::founded_at(seconds).saturating_add(random);
        let founding = drawn.max(self.founding() + 1 + random).min(Self::MAX_FOUNDING);
        Self((self.site_epoch() << Self::FOUNDING_BITS) | founding)
    }
}

impl Serialize for Generation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.founding())
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.founding().fmt(f)
    }
}

impl Term {
    /// The largest term that there is: at a failover a millisecond, 8,900 years away.
    pub(crate) const MAX: Self = Self((1 << 48) - 1);
}

impl Sequence {
    /// The largest sequence that a peer takes from another: at a cut a millisecond, 2,200 years
    /// away, and as far again from the end of the numbers.
    pub(crate) const MAX_READ: Self = Self((1 << 62) - 1);
}

/// Random id of one start of one peer's process: a restart is a new incarnation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Incarnation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One start of one peer's process: the peer's name, and which start of it is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerStart {
    /// The peer's name.
    pub name: PeerName,
    /// The start.
    pub incarnation: Incarnation,
}

impl PeerStart {
    /// The start `incarnation` of the peer `name`.
    pub fn new(name: impl Into<PeerName>, incarnation: Incarnation) -> Self {
        Self { name: name.into(), incarnation }
    }
}

/// Longest address of a member, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 255;

/// What a member is counted by: of a memory peer its incarnation, for a restart forgets; of a disk
/// peer its storage, which remembers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

impl From<Incarnation> for MemberId {
    fn from(incarnation: Incarnation) -> Self {
        Self(incarnation.0)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Random id of one founding with blank peers; a group keeps it for as long as its data live.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u128);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for GroupId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is voted on: one ballot has at most one primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Ballot {
    /// The founding.
    pub generation: Generation,
    /// The reign within it.
    pub term: Term,
}

impl Ballot {
    /// Before any election.
    pub const NONE: Self = Self { generation: Generation::from_bits(0), term: Term(0) };

    /// The next reign of the same generation; `None` if it has come to the last term there is.
    pub fn next_term(self) -> Option<Self> {
        let term = Term(self.term.0 + 1);
        (term <= Term::MAX).then_some(Self { generation: self.generation, term })
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.term)
    }
}

/// An exact state of the cells: the end of a cut, or the place of one decision in the order.
///
/// Positions compare as (generation, term, sequence); that a larger one contains a smaller one is
/// true of positions of one history only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// Founding and reign in which the last decision up to here was made.
    #[serde(flatten)]
    pub ballot: Ballot,
    /// Place in the order of decisions.
    pub sequence: Sequence,
}

impl Position {
    /// Returns true if a state at this position contains `other`, which is of the same reign.
    pub fn covers(self, other: Self) -> bool {
        self.ballot == other.ballot && self.sequence >= other.sequence
    }

    /// The position of a blank peer.
    pub const BLANK: Self = Self { ballot: Ballot::NONE, sequence: Sequence(0) };

    /// Returns true if nothing was ever decided or received here.
    pub fn is_blank(self) -> bool {
        self == Self::BLANK
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.ballot, self.sequence)
    }
}

/// What a peer is to its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerKind {
    /// One of its members.
    #[default]
    Member,
    /// It asks to become one.
    Joiner,
    /// It uses the group, and neither votes nor holds data.
    Client,
}

/// A member of the group: a name, who votes and holds data under it, and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The peer's name.
    pub name: PeerName,
    /// What it is counted by. `None` stands for a member that has not been met yet: it counts in
    /// the size of the group and never towards a majority.
    pub id: Option<MemberId>,
    /// Where the others reach it; empty if that is for their settings to say.
    pub address: String,
}

impl Member {
    /// Returns true if this is the member of this name that is counted by this id.
    pub(crate) fn is(&self, name: &PeerName, id: MemberId) -> bool {
        self.name == *name && self.id == Some(id)
    }
}

/// A moment of a monotonic clock that counts suspended time, in nanoseconds.
///
/// An argument everywhere, so that a simulator can make any value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The moment `duration` after this one, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// The moment `duration` before this one, saturating.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// The time from `earlier` to this moment; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Group time: nanoseconds since the Unix epoch as the primary stamps them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct GroupTime(pub u64);

impl GroupTime {
    /// Never: the expiry of a cell that stays.
    pub const MAX: Self = Self(u64::MAX);
    /// The latest that a peer takes from another as a time of its clock: in the year 2262.
    pub(crate) const MAX_READ: Self = Self((1 << 63) - 1);

    /// The moment `duration` after this one, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// Whole milliseconds since the Unix epoch.
    pub fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// How far the calendar of a group is ahead of its steady clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lead {
    /// In nanoseconds; it never shrinks.
    pub nanos: u64,
    /// When it last grew by a jump, by the steady clock. Since then it has grown by no more than a
    /// tenth of the time that passed.
    pub jumped: GroupTime,
}

impl Lead {
    /// The time by the calendar when the steady clock shows `steady`.
    #[inline]
    pub fn by_calendar(self, steady: GroupTime) -> GroupTime {
        GroupTime(steady.0.saturating_add(self.nanos))
    }
}

/// One reading of both clocks, handed to the state machine with every input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock: all timeouts and leases.
    pub time: Time,
    /// The wall clock: only ever steers group time.
    pub wall: GroupTime,
}

/// Nanoseconds of a duration, saturating after 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns true if a peer or group may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
