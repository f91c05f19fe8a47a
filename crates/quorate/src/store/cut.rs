//! Exact cuts while operations go on.
//!
//! A cut moves the sequence word to a round number: operations before it have smaller sequences,
//! operations after it larger ones. Each shard is then taken as it was at that moment. An
//! operation after the end that finds its shard not yet taken saves what it is about to overwrite.

use bytes::Bytes;
use parking_lot::MutexGuard;

use super::cell::KeyRef;
use super::gather::Gather;
use super::past_cuts::PastCut;
use super::{Maintenance, Store};
use crate::base::bug::{self, Point};
use crate::base::id::{GroupTime, Lead, Position, Sequence};
use crate::record::Records;
use crate::state::{BatchEnd, Meta};

/// The changes up to an exact cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The cut.
    pub end: Position,
    /// Its group time, by the steady clock: not before that of any operation in it.
    pub group_time: GroupTime,
    /// How far the calendar is ahead of that: no less than for any operation in it.
    pub lead: Lead,
    /// Cells that had expired by then may be missing; no later than the group time.
    pub expired_before: GroupTime,
    /// Units decided in this reign up to the cut, exactly; 0 where this peer does not reign.
    pub units: u128,
    /// The changes; `None` if they are larger than asked for.
    pub records: Option<Records>,
}

impl Cut {
    /// The end of a batch of these changes.
    pub fn batch_end(&self, meta: Option<Meta>) -> BatchEnd {
        let Self { end: position, group_time, lead, expired_before, .. } = *self;
        BatchEnd { position, group_time, lead, expired_before, meta: meta.map(Box::new) }
    }
}

/// A cut under way; closed by [`Store::close_cut`].
pub(super) struct Opened {
    /// Number of the cut.
    pub(super) number: u64,
    pub(super) end: u64,
    pub(super) group_time: GroupTime,
    pub(super) lead: Lead,
}

impl Store {
    /// Returns true if anything changed after the last cut.
    pub fn has_changed_since_cut(&self) -> bool {
        self.sequence_word.is_changed()
    }

    /// Takes everything changed after `since` up to an exact cut, and the cells of `repair`
    /// whether they changed or not.
    ///
    /// Where this peer reigns, the cut is a new one if anything was decided since the last.
    /// Elsewhere it is the position held. A record without a value says that the cell is absent.
    /// Keys of `repair` carry their namespace.
    pub fn cut(
        &self,
        group_time: GroupTime,
        since: Sequence,
        repair: &[Bytes],
        max_bytes: usize,
    ) -> Cut {
        let mut maintenance = self.maintenance.lock();
        if maintenance.is_reigning {
            self.sequence_word.clear_changed();
        }
        let opened = self.open_cut(&mut maintenance, group_time);
        let mut gather = Gather::new(since.0, opened.end, max_bytes);
        let mut repairs: Vec<_> =
            repair.iter().filter_map(|key| Some((self.place(KeyRef::split(key)?), key))).collect();
        repairs.sort_by_key(|(place, _)| place.shard);

        let mut units = 0;
        let mut repairs = repairs.as_slice();
        for (number, lane) in self.shards.iter().enumerate() {
            let own = repairs.partition_point(|(place, _)| place.shard as usize <= number);
            let (mine, rest) = repairs.split_at(own);
            repairs = rest;
            bug::at(Point::BetweenShards);
            let mut shard = lane.0.lock();
            units += shard.units_at(opened.number);
            gather.take(&shard, opened.number, mine);
            shard.close(opened.number);
        }
        self.close_cut(&mut maintenance, &opened, units);
        self.end_cut(&maintenance, &opened, units, gather)
    }

    /// A cut that has been closed.
    pub(super) fn end_cut(
        &self,
        maintenance: &Maintenance,
        opened: &Opened,
        units: u128,
        gather: Gather,
    ) -> Cut {
        let group_time = opened.group_time;
        Cut {
            end: self.position(),
            group_time,
            lead: opened.lead,
            expired_before: self.expired_before(&maintenance.sweep, group_time),
            units: if maintenance.is_reigning { units } else { 0 },
            records: gather.finish(),
        }
    }

    /// Fixes the end of a cut. From here to [`Store::close_cut`] operations save for it.
    pub(super) fn open_cut(&self, maintenance: &mut Maintenance, group_time: GroupTime) -> Opened {
        if !maintenance.is_reigning {
            let held = self.last_cut.lock();
            let (end, group_time) = (held.position.sequence.0, held.group_time);
            return Opened { number: 0, end, group_time, lead: held.lead };
        }
        let last_end = maintenance.last_end;
        let end = self.sequence_word.end_epoch(last_end, |end| {
            // A number of its own for every attempt: what was saved for one is void for the next.
            maintenance.cuts += 1;
            self.opened.open(maintenance.cuts, end);
        });
        // After the word has moved: the operations before it have published their group times.
        let (group_time, lead) = if end == last_end {
            let held = self.last_cut.lock();
            (held.group_time, held.lead)
        } else {
            (self.authority.advance_clock(group_time), self.authority.lead())
        };
        Opened { number: maintenance.cuts, end, group_time, lead }
    }

    /// Ends a cut that every shard has been taken for; it is the position held from now on.
    pub(super) fn close_cut(&self, maintenance: &mut Maintenance, opened: &Opened, units: u128) {
        if !maintenance.is_reigning {
            return;
        }
        self.opened.close();
        if opened.end == maintenance.last_end {
            return;
        }
        maintenance.last_end = opened.end;
        let expired_before = self.expired_before(&maintenance.sweep, opened.group_time);
        maintenance.sweep.note_told(expired_before);
        let mut past_cuts = self.past_cuts.lock();
        let units = past_cuts.units_before() + units;
        past_cuts.push(PastCut { sequence: opened.end, units, group_time: opened.group_time });
        drop(past_cuts);
        let mut held = self.last_cut.lock();
        held.position = self.position_of(opened.end);
        held.group_time = opened.group_time;
        held.lead = opened.lead;
    }

    /// Makes the position held cover everything decided so far.
    /// Returns the units of the reign.
    pub(super) fn advance(&self, maintenance: &mut MutexGuard<'_, Maintenance>) -> u128 {
        let group_time = self.authority.clock();
        let opened = self.open_cut(maintenance, group_time);
        let mut units = 0;
        for lane in &self.shards {
            let mut shard = lane.0.lock();
            units += shard.units_at(opened.number);
            shard.close(opened.number);
        }
        self.close_cut(maintenance, &opened, units);
        units
    }
}
