//! The reference: every operation decided once more, so that any position can be compared.
//!
//! Each reign starts from a state that some earlier reign had reached (its parent), and goes on
//! with the operations executed in it. Any position is then a state that can be computed, whatever
//! became of it later:
//!
//! ```text
//!   1.1 ──●──●──●──○──○        ○ the tail that nobody adopted
//!               └─ 1.2 ──●──●
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quorate::{
    Answer, Ballot, Cell, DecideContext, Delta, GroupTime, Item, Model, Position, Sequence, Value,
};

use crate::model::SimModel;
use crate::words::call::ProcessId;
use crate::words::merge::{Cells, MergeId};

/// All reigns of a run.
#[derive(Debug, Default)]
pub(crate) struct History {
    reigns: BTreeMap<Ballot, Reign>,
    /// Ballots in the order in which their reigns began: generations are not always in order.
    begun: Vec<Ballot>,
}

impl History {
    pub(crate) fn reign(&self, ballot: Ballot) -> Option<&Reign> {
        self.reigns.get(&ballot)
    }

    pub(crate) fn reigns(&self) -> impl DoubleEndedIterator<Item = (Ballot, &Reign)> {
        self.reigns.iter().map(|(ballot, reign)| (*ballot, reign))
    }

    /// A reign begins with `cells`, taken over at `parent`.
    pub(crate) fn begin(
        &mut self,
        ballot: Ballot,
        primary: ProcessId,
        parent: Option<Position>,
        is_founding: bool,
        cells: Cells,
    ) {
        let before = parent.and_then(|parent| self.reigns.get(&parent.ballot));
        let founding = before.filter(|_| !is_founding).map_or(ballot, |before| before.founding);
        let context = self.context_at(parent);
        let reign = Reign {
            primary,
            parent,
            founding,
            context,
            current: cells.clone(),
            base: cells,
            writes: Vec::new(),
            steps: Vec::new(),
        };
        self.reigns.insert(ballot, reign);
        self.begun.push(ballot);
    }

    /// The reign that began last.
    pub(crate) fn newest(&self) -> Option<Ballot> {
        self.begun.last().copied()
    }

    /// Returns true if a reign was founded blank and nothing was ever decided in it: it may be
    /// forgotten.
    pub(crate) fn came_to_nothing(&self, ballot: Ballot) -> bool {
        self.reigns
            .get(&ballot)
            .is_some_and(|reign| reign.parent.is_none() && reign.steps.is_empty())
    }

    /// Returns true if two reigns belong to the same founding: nothing may be lost between them.
    pub(crate) fn are_kin(&self, one: Ballot, other: Ballot) -> bool {
        let founding = self.founding_of(one);
        founding.is_some() && founding == self.founding_of(other)
    }

    /// The founding that a reign belongs to.
    pub(crate) fn founding_of(&self, ballot: Ballot) -> Option<Ballot> {
        self.reigns.get(&ballot).map(|reign| reign.founding)
    }

    /// Returns true if one reign began before another, whatever their ballots.
    pub(crate) fn began_before(&self, ballot: Ballot, other: Ballot) -> bool {
        let place = |of: Ballot| self.begun.iter().position(|begun| *begun == of);
        place(ballot).zip(place(other)).is_some_and(|(one, other)| one < other)
    }

    /// Returns true if one reign began after another.
    pub(crate) fn is_after(&self, ballot: Ballot, other: Ballot) -> bool {
        // A winner that begins late is no later primary: its term is over.
        self.begun.contains(&ballot) && self.begun.contains(&other) && ballot > other
    }

    /// Group time of the last operation in the state at `parent`.
    fn context_at(&self, parent: Option<Position>) -> DecideContext {
        let blank = DecideContext::at(GroupTime(0));
        let Some(parent) = parent else { return blank };
        let last = self.path(parent).find_map(|end| {
            let steps = &self.reigns.get(&end.ballot)?.steps;
            let kept = steps.partition_point(|step| step.sequence <= end.sequence);
            steps[..kept].last()
        });
        last.map_or(blank, |step| step.context)
    }

    /// The operation once more, on the reference, by the limits of its decider: what its answer and
    /// its cells must be.
    pub(crate) fn decide(
        &mut self,
        model: &SimModel,
        at: Position,
        context: DecideContext,
        items: &[Item<'_>],
    ) -> Result<(Answer, Vec<Option<Value>>), String> {
        let reign = self.open(at, context)?;
        let mut cells: Vec<Cell> =
            items.iter().map(|item| Cell::new(reign.live(item.key, context))).collect();
        let answer = model.decide_at(context, items, &mut cells);
        for (item, cell) in items.iter().zip(&cells) {
            reign.write(at.sequence, Bytes::copy_from_slice(item.key), cell);
        }
        reign.step(at.sequence, answer.units, None);
        let written = items
            .iter()
            .zip(&cells)
            .map(|(item, cell)| match cell.is_changed() {
                true => reign.current.get(item.key).copied(),
                false => cell.value().map(|value| kept(value, context)),
            })
            .collect();
        Ok((answer, written))
    }

    /// The merge once more, on the reference: how many units it must have counted. One that has
    /// changed nothing has no name.
    pub(crate) fn merge(
        &mut self,
        model: &SimModel,
        at: Position,
        context: DecideContext,
        merge: Option<MergeId>,
        entries: &[(Bytes, Delta)],
    ) -> Result<u64, String> {
        let reign = self.open(at, context)?;
        let mut units: u64 = 0;
        for (key, delta) in entries {
            let mut cell = Cell::new(reign.live(key, context));
            units = units.saturating_add(model.merge_at(context, key, delta, &mut cell));
            reign.write(at.sequence, key.clone(), &cell);
        }
        reign.step(at.sequence, units, merge);
        Ok(units)
    }

    fn open(&mut self, at: Position, context: DecideContext) -> Result<&mut Reign, String> {
        let reign = self
            .reigns
            .get_mut(&at.ballot)
            .ok_or_else(|| format!("a decision at {at}, of a reign that never began"))?;
        if let Some(last) = reign.steps.last().filter(|last| last.sequence >= at.sequence) {
            return Err(format!("a decision at {at} after one at {}", last.sequence));
        }
        let is_back = context.steady() < reign.context.steady();
        if is_back || context.now() < reign.context.now() {
            let old = reign.context;
            return Err(format!("group time went back at {at}: from {old:?} to {context:?}"));
        }
        reign.context = context;
        Ok(reign)
    }

    /// Marks an operation as one whose caller was told that it was done.
    pub(crate) fn acknowledge(&mut self, at: Position) {
        let Some(reign) = self.reigns.get_mut(&at.ballot) else { return };
        if let Ok(index) = reign.steps.binary_search_by_key(&at.sequence, |s| s.sequence) {
            reign.steps[index].is_acknowledged = true;
        }
    }

    /// The last decision of a reign whose caller was told that it was done.
    pub(crate) fn last_acknowledged(&self, ballot: Ballot) -> Option<Position> {
        let mut steps = self.reigns.get(&ballot)?.steps.iter().rev();
        let step = steps.find(|step| step.is_acknowledged)?;
        Some(Position { ballot, sequence: step.sequence })
    }

    /// Returns true if the state at `tip` includes what was decided at `at`.
    pub(crate) fn includes(&self, tip: Position, at: Position) -> bool {
        self.path(tip).any(|end| end.ballot == at.ballot && at.sequence <= end.sequence)
    }

    /// The reigns that led to `tip`, newest first, each with the last position taken from it.
    pub(crate) fn path(&self, tip: Position) -> impl Iterator<Item = Position> {
        std::iter::successors(Some(tip), |at| self.reigns.get(&at.ballot)?.parent)
    }

    /// Moves a follower to `position`.
    pub(crate) fn follow(&self, follower: &mut Follower, position: Position) -> Result<(), String> {
        if position.is_blank() {
            *follower = Follower::default();
            return Ok(());
        }
        let reign = self
            .reigns
            .get(&position.ballot)
            .ok_or_else(|| format!("position {position} is of a reign that never began"))?;
        let is_ahead = follower.next > 0
            && reign.writes.get(follower.next - 1).is_none_or(|w| w.sequence > position.sequence);
        if follower.ballot != position.ballot || is_ahead {
            *follower = Follower { ballot: position.ballot, next: 0, cells: reign.base.clone() };
        }
        while let Some(write) = reign.writes.get(follower.next) {
            if write.sequence > position.sequence {
                break;
            }
            follower.cells.insert(write.key.clone(), write.value);
            follower.next += 1;
        }
        Ok(())
    }

    /// The reference's cells at `position`.
    pub(crate) fn cells_at(&self, position: Position) -> Result<Cells, String> {
        let mut follower = Follower::default();
        self.follow(&mut follower, position)?;
        Ok(follower.cells)
    }

    /// Cells of a reign, as it is now, that expire after `time`.
    pub(crate) fn live_cells(&self, ballot: Ballot, time: GroupTime) -> usize {
        let cells = self.reigns.get(&ballot).map(|reign| reign.current.values());
        cells.into_iter().flatten().filter(|value| value.expires > time).count()
    }

    /// The reigns in which a merge was executed.
    pub(crate) fn reigns_of(&self, id: MergeId) -> Vec<Ballot> {
        self.reigns()
            .filter(|(_, reign)| reign.steps.iter().any(|step| step.merge == Some(id)))
            .map(|(ballot, _)| ballot)
            .collect()
    }

    /// All merges in the state at `tip`; the second list are those that are in it twice.
    pub(crate) fn merges(&self, tip: Position) -> (BTreeSet<MergeId>, Vec<MergeId>) {
        let mut once = BTreeSet::new();
        let mut twice = Vec::new();
        for end in self.path(tip) {
            let steps = self.reigns.get(&end.ballot).map_or(&[][..], |reign| &reign.steps);
            for step in steps.iter().filter(|step| step.sequence <= end.sequence) {
                twice.extend(step.merge.filter(|merge| !once.insert(*merge)));
            }
        }
        (once, twice)
    }
}

/// One primary's reign.
#[derive(Debug)]
pub(crate) struct Reign {
    pub(crate) primary: ProcessId,
    /// The position that it took over; `None` if it was founded blank.
    pub(crate) parent: Option<Position>,
    /// The ballot of the founding that it goes back to without any loss allowed in between.
    pub(crate) founding: Ballot,
    /// The newest group time of the reign's state, by both clocks.
    context: DecideContext,
    base: Cells,
    current: Cells,
    writes: Vec<Write>,
    steps: Vec<Step>,
}

impl Reign {
    /// Operations past `fork`, which the next reign did not take over.
    pub(crate) fn steps_past(&self, fork: Sequence) -> &[Step] {
        let first = self.steps.partition_point(|step| step.sequence <= fork);
        &self.steps[first..]
    }

    /// A cell as the model sees it.
    fn live(&self, key: &[u8], context: DecideContext) -> Option<Value> {
        let value = self.current.get(key).filter(|value| value.expires > context.steady())?;
        Some(Value { expires: context.by_calendar(value.expires), ..*value })
    }

    fn write(&mut self, sequence: Sequence, key: Bytes, cell: &Cell) {
        if let Some(value) = cell.value().filter(|_| cell.is_changed()) {
            // A store keeps the later expiry.
            let known = self.current.get(&key).map_or(GroupTime(0), |known| known.expires);
            let mut stored = kept(value, self.context);
            stored.expires = stored.expires.max(known);
            self.current.insert(key.clone(), stored);
            self.writes.push(Write { sequence, key, value: stored });
        }
    }

    fn step(&mut self, sequence: Sequence, units: u64, merge: Option<MergeId>) {
        let context = self.context;
        self.steps.push(Step { sequence, context, units, is_acknowledged: false, merge });
    }
}

#[derive(Debug)]
struct Write {
    sequence: Sequence,
    key: Bytes,
    value: Value,
}

/// One operation of a reign.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) sequence: Sequence,
    context: DecideContext,
    pub(crate) units: u64,
    /// True if its caller was told that it was done.
    pub(crate) is_acknowledged: bool,
    /// The merge that it was, if it was one.
    pub(crate) merge: Option<MergeId>,
}

impl Step {
    /// When it was made, by the steady clock.
    pub(crate) fn group_time(&self) -> GroupTime {
        self.context.steady()
    }
}

/// A replica's cells as the reference has them; moves on cheaply within a reign.
#[derive(Clone, Debug, Default)]
pub(crate) struct Follower {
    ballot: Ballot,
    next: usize,
    cells: Cells,
}

impl Follower {
    pub(crate) fn cells(&self) -> &Cells {
        &self.cells
    }
}

/// A value as a store keeps it: its expiry is by the steady clock.
fn kept(value: &Value, context: DecideContext) -> Value {
    Value { expires: context.by_steady(value.expires), ..*value }
}

/// Returns true if a value has not expired at this steady time.
pub(crate) fn is_live(value: &Value, group_time: GroupTime) -> bool {
    value.expires > group_time
}

/// Says in what two sets of cells differ; `None` if they are equal at this steady time.
pub(crate) fn difference(expected: &Cells, found: &Cells, group_time: GroupTime) -> Option<String> {
    for (key, value) in expected.iter().filter(|(_, value)| is_live(value, group_time)) {
        match found.get(key).filter(|value| is_live(value, group_time)) {
            Some(other) if other == value => {}
            Some(other) => {
                return Some(format!("{key:?} is {:?}, not {:?}", other.words, value.words));
            }
            None => return Some(format!("{key:?} is absent, not {:?}", value.words)),
        }
    }
    let mut living = found.iter().filter(|(_, value)| is_live(value, group_time));
    let extra =
        living.find(|(key, _)| expected.get(*key).is_none_or(|value| !is_live(value, group_time)));
    extra.map(|(key, value)| format!("{key:?} is {:?}, not absent", value.words))
}
