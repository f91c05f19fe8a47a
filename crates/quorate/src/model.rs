//! What is replicated: a model says how an operation changes cells, and knows nothing of peers.

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;

use crate::base::id::{GroupTime, Lead};
use crate::base::policy::Policy;
use crate::config::Mode;

/// Words of a cell's value.
pub const VALUE_WORDS: usize = 3;
/// Words of an item's arguments.
pub const ARGUMENT_WORDS: usize = 2;
/// Words of an answer.
pub const ANSWER_WORDS: usize = 6;
/// Longest key, in bytes, that a model may use.
pub const MAX_KEY_BYTES: usize = 512;
/// Most items of one operation.
pub const MAX_ITEMS: usize = 16;

/// The value of a cell: small, and replaced as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Value {
    /// The model's own words.
    pub words: [u64; VALUE_WORDS],
    /// From this group time on the cell counts as absent, at every peer alike: by the calendar, as
    /// an operation sees it. Where the calendar is put forward the expiry moves with it, for
    /// nothing has been there for longer by that.
    ///
    /// It never moves to an earlier time: of the old expiry and the new one the later is kept. See
    /// [`Model`].
    pub expires: GroupTime,
}

/// One key of an operation and what is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The key, at most [`MAX_KEY_BYTES`] long.
    pub key: &'a [u8],
    /// The model's own arguments (an amount, flags).
    pub args: [u64; ARGUMENT_WORDS],
}

/// A cell as an operation sees it: its value, and whether the operation replaced it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    value: Option<Value>,
    changed: bool,
    /// Cells that what was asked about would need: this one, and others beside it.
    asked: u8,
}

impl Cell {
    /// A cell before an operation; `None` if absent or expired.
    pub fn new(value: Option<Value>) -> Self {
        Self { value, changed: false, asked: 0 }
    }

    /// The current value; `None` if absent or expired.
    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }

    /// Replaces the value.
    pub fn set(&mut self, value: Value) {
        self.value = Some(value);
        self.changed = true;
    }

    /// Says that an operation which only asks was told yes, and that the one it asks about would
    /// set this cell, and make so many new ones beside it, with keys of up to 21 bytes. If there is
    /// no room for them it is refused as that one would be.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate::Cell;
    ///
    /// let mut cell = Cell::new(None);
    /// cell.ask(0);
    /// assert!(!cell.is_changed() && cell.asked() == 1);
    /// ```
    pub fn ask(&mut self, beside: u8) {
        self.asked = beside.saturating_add(1);
    }

    /// Returns the number of cells that [`Cell::ask`] was called for, this one and those beside it;
    /// 0 if it was not.
    pub fn asked(&self) -> u8 {
        self.asked
    }

    /// Returns true if [`Cell::set`] was called.
    pub fn is_changed(&self) -> bool {
        self.changed
    }
}

/// When something is decided, by the two clocks of a group.
///
/// The *calendar* follows the wall clocks of a majority: where they are put forward it jumps. The
/// *steady* clock never jumps, and never runs faster than the primary's own: what is held for
/// somebody lapses by it, for a clock that is put right is no time that has passed. It shows an
/// earlier time than the calendar, or the same, and the distance never shrinks.
///
/// # Examples
///
/// ```
/// use quorate::{DecideContext, GroupTime, Lead};
///
/// // The calendar was put forward by 45 when the steady clock showed 900.
/// let context = DecideContext::new(GroupTime(955), Lead { nanos: 45, jumped: GroupTime(900) });
/// assert_eq!(context.now(), GroupTime(1_000));
/// assert_eq!(context.by_calendar(GroupTime(960)), GroupTime(1_005));
/// // Since then it has shown no earlier time than this, and no later one.
/// assert_eq!(context.calendar_at(GroupTime(925)), Some((GroupTime(967), GroupTime(970))));
/// assert_eq!(context.calendar_at(GroupTime(899)), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecideContext {
    steady: GroupTime,
    lead: Lead,
}

impl DecideContext {
    /// The moment at which the steady clock shows this.
    #[inline]
    pub const fn new(steady: GroupTime, lead: Lead) -> Self {
        Self { steady, lead }
    }

    /// A moment at which both clocks show the same: they have never been apart.
    pub const fn at(now: GroupTime) -> Self {
        Self { steady: now, lead: Lead { nanos: 0, jumped: GroupTime(0) } }
    }

    /// Returns what the calendar shows.
    #[inline]
    pub fn now(self) -> GroupTime {
        self.lead.by_calendar(self.steady)
    }

    /// Returns what the steady clock shows.
    #[inline]
    pub const fn steady(self) -> GroupTime {
        self.steady
    }

    /// Returns what the calendar will show when the steady clock shows `steady`, if it is not put
    /// forward meanwhile; never, of never. For [`Value::expires`].
    #[inline]
    pub fn by_calendar(self, steady: GroupTime) -> GroupTime {
        if steady == GroupTime::MAX { steady } else { self.lead.by_calendar(steady) }
    }

    /// The earliest and the latest that the calendar may have shown when the steady clock showed
    /// this, which has passed; `None` if it has jumped since.
    pub fn calendar_at(self, steady: GroupTime) -> Option<(GroupTime, GroupTime)> {
        const STEER_DIVISOR: u64 = 10;
        if steady < self.lead.jumped {
            return None;
        }
        let latest = self.lead.by_calendar(steady);
        let grown = self.steady.0.saturating_sub(steady.0) / STEER_DIVISOR;
        Some((GroupTime(latest.0.saturating_sub(grown.min(self.lead.nanos))), latest))
    }

    /// Returns what the steady clock shows when the calendar shows `now`; never, of never. The
    /// other way round than [`DecideContext::by_calendar`].
    #[inline]
    pub fn by_steady(self, now: GroupTime) -> GroupTime {
        if now == GroupTime::MAX {
            return now;
        }
        GroupTime(now.0.saturating_sub(self.lead.nanos))
    }
}

/// What an operation decided, in the model's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The model's own verdict (for a limit: denied, allowed, unknown limit, ..).
    pub code: u8,
    /// Units that this operation took: what is lost if the change is lost.
    pub units: u64,
    /// The model's own words (limit, remaining, ..).
    pub words: [u64; ANSWER_WORDS],
}

/// What a peer decided alone about one key, to be merged later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// The model's own words.
    pub words: [u64; VALUE_WORDS],
    /// Units taken locally.
    pub units: u64,
}

/// How operations change cells.
///
/// All methods are pure functions of their arguments: no clock, no randomness, no floating point,
/// so that every peer computes the same. They run while shards are locked and must be short.
///
/// # Expiry
///
/// A cell stays until the latest expiry that it was ever given since it was made, even if a value
/// set later would expire earlier. That a cell has expired is not replicated: each peer removes it
/// by itself when group time has come. A peer that has missed a change must therefore be able to
/// tell from the older value it holds that the cell has gone, which it could not if the change had
/// moved the expiry to an earlier time. A model that is done with a cell early says so in its
/// words.
pub trait Model: Any + Send + Sync {
    /// Decides one operation on `cells`, which stand for `items` in the same order.
    ///
    /// Either all needed cells are set or none: the change is replicated whole. A denial leaves
    /// all cells as they are.
    fn decide(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer;

    /// Decides one operation, given both clocks of the group. By itself it hands [`Model::decide`]
    /// what the calendar shows.
    fn decide_at(&self, context: DecideContext, items: &[Item<'_>], cells: &mut [Cell]) -> Answer {
        self.decide(items, cells, context.now())
    }

    /// What a peer without a primary does with this operation: refuse it, or decide it alone.
    /// `mode` is the group's.
    ///
    /// Where it is decided alone in a strict group, the promises of strict mode do not hold for it.
    fn mode_of(&self, items: &[Item<'_>], mode: Mode) -> Mode {
        let _ = items;
        mode
    }

    /// Returns true if any peer of a group in this mode may decide anything alone, or may have
    /// before the policy was changed: whoever is cut off goes on by the one that it has. Where none
    /// may, nobody is taken at its word that it did: what it wants to have merged is refused, for
    /// good.
    fn may_decide_alone(&self, mode: Mode) -> bool {
        mode == Mode::Relaxed
    }

    /// Decides one operation at a peer without a primary, on cells as that peer knows them: what
    /// the group has replicated, or what was decided alone since.
    fn decide_alone(&self, items: &[Item<'_>], cells: &mut [Cell], now: GroupTime) -> Answer {
        self.decide(items, cells, now)
    }

    /// Decides one operation alone, given both clocks of the group.
    fn decide_alone_at(
        &self,
        context: DecideContext,
        items: &[Item<'_>],
        cells: &mut [Cell],
    ) -> Answer {
        self.decide_alone(items, cells, context.now())
    }

    /// Returns true if the operation of this answer, which changed nothing, might be answered
    /// otherwise if it came by `time` later. It is decided once more then, by a reading of the
    /// clock that does not lag.
    ///
    /// What is decided by a single cell is decided by a cheap reading of the clock at first, which
    /// lags by a few milliseconds: somebody who was told to wait, and has waited as long, would be
    /// early by as much. A model for which time does not matter says no.
    fn may_differ_within(&self, answer: &Answer, time: Duration) -> bool {
        let _ = (answer, time);
        true
    }

    /// Adds to `delta` what a local decision did to one key: `before` and `after` are the value of
    /// its cell around it. Called once per changed cell.
    fn accumulate(&self, item: &Item<'_>, before: Option<&Value>, after: &Value, delta: &mut Delta);

    /// Applies what a peer decided alone to the group's cell; returns the units that were counted.
    ///
    /// The rest (a window that has closed meanwhile, what is beyond a limit) is dropped. The order
    /// of merges must not matter.
    fn merge(&self, key: &[u8], delta: &Delta, cell: &mut Cell, now: GroupTime) -> u64;

    /// Applies what a peer decided alone, given both clocks of the group.
    fn merge_at(&self, context: DecideContext, key: &[u8], delta: &Delta, cell: &mut Cell) -> u64 {
        self.merge(key, delta, cell, context.now())
    }

    /// What the group is to decide by after `request`; `None` if that changes nothing. Asked of the
    /// primary's model, whatever the bytes of a request mean to it.
    ///
    /// It is asked in the primary's event loop, and heartbeats wait meanwhile: it must end within
    /// some milliseconds whatever it is given, so look at sizes and numbers first.
    ///
    /// # Errors
    ///
    /// Why not, as a sentence for whoever asked, if the model does not take the change.
    fn change_policy(
        &self,
        policy: &Policy,
        request: &[u8],
        now: GroupTime,
    ) -> Result<Option<Bytes>, String> {
        let _ = (policy, request, now);
        Err("what this group decides by cannot be changed while it runs".to_owned())
    }

    /// Decides by this policy from now on; by what it was made with at revision 0. It is called
    /// before anything is decided by the state that the policy is part of, and while other threads
    /// decide; in the event loop of each peer, so it must not take long either.
    ///
    /// # Errors
    ///
    /// Why not, as a sentence, if it cannot; it goes on with what it had.
    fn set_policy(&self, policy: &Policy) -> Result<(), String> {
        let _ = policy;
        Ok(())
    }

    /// Settings of the model that all peers should share, as (field, value), each field once.
    ///
    /// They may differ while they are rolled out from peer to peer: a difference refuses nothing,
    /// and is named by an event and in the status of both peers. Asked for once, when a peer is
    /// started; at most 16, each of at most 1,024 bytes, its field included. Where there is more to
    /// say, let the value be a hash of it.
    fn settings(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
