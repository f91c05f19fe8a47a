//! Batches out of entries: handed out once they are whole, in pieces if they are large.

use super::entry::{Entry, Part};
use super::error::Fault;
use super::reader::{EntryReader, ReadError};
use crate::base::id::Position;
use crate::record::Records;
use crate::state::BatchEnd;
use crate::store::Staged;

/// The end of the log: every batch starts where the one before it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// Batches appended so far, since the directory was first used.
    pub(super) batches: u64,
    /// The position after them.
    pub(super) position: Position,
}

impl Chain {
    /// Returns true if a batch may come next that starts from there.
    pub(super) fn continues(&self, from: Option<Position>) -> bool {
        from.is_none_or(|from| from == self.position)
    }

    pub(super) fn advance(&mut self, end: &BatchEnd) {
        self.batches += 1;
        self.position = end.position;
    }

    /// # Errors
    ///
    /// If the first piece of a batch is not that of the next one.
    fn check(&self, first: &Part) -> Result<(), Fault> {
        expect("the batch number", self.batches + 1, first.batch)?;
        expect("the piece number", 0, first.index.into())?;
        match first.from {
            Some(found) if found != self.position => {
                Err(Fault::Chain { expected: self.position, found })
            }
            _ => Ok(()),
        }
    }
}

/// # Errors
///
/// If a number is another than expected.
pub(super) fn expect(what: &'static str, expected: u64, found: u64) -> Result<(), Fault> {
    if expected == found { Ok(()) } else { Err(Fault::Number { what, expected, found }) }
}

/// A whole batch on its way out, piece by piece: the first brings its receiver to the end of the
/// batch, the others leave it there. In between the receiver's state is none that ever was.
#[derive(Debug)]
pub(super) struct Handout {
    from: Option<Position>,
    end: BatchEnd,
}

impl Handout {
    pub(super) fn new(from: Option<Position>, end: BatchEnd) -> Self {
        Self { from, end }
    }

    pub(super) fn piece(&mut self, records: Records) -> Staged {
        let BatchEnd { position, group_time, lead, expired_before, .. } = self.end;
        let next = BatchEnd { position, group_time, lead, expired_before, meta: None };
        let end = std::mem::replace(&mut self.end, next);
        let from = self.from.replace(position);
        Staged { from, records: vec![records], end }
    }
}

/// The batches of one segment.
#[derive(Debug)]
pub(super) struct BatchReader {
    entries: EntryReader,
    /// The batch that is being handed out, and how many pieces of it are left.
    under_way: Option<(Handout, u32)>,
    marked: Marked,
}

/// The last mark of a segment, or its header if there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked {
    /// All before has been synced. The mark itself need not be.
    pub(super) at: u64,
    /// The offset at which it ends.
    pub(super) end: u64,
    /// The end of the log there.
    pub(super) chain: Chain,
}

impl BatchReader {
    /// A reader of a segment that begins where the log stands.
    pub(super) fn new(entries: EntryReader, chain: Chain) -> Self {
        let marked = Marked { at: entries.at(), end: entries.at(), chain };
        Self { entries, under_way: None, marked }
    }

    pub(super) fn entries(&self) -> &EntryReader {
        &self.entries
    }

    pub(super) fn into_entries(self) -> EntryReader {
        self.entries
    }

    pub(super) fn marked(&self) -> Marked {
        self.marked
    }

    /// The next batch, or the next piece of one; `None` at the end of the segment.
    pub(super) fn next(&mut self, chain: &mut Chain) -> Result<Option<Staged>, ReadError> {
        if self.under_way.is_some() {
            return self.next_piece().map(Some);
        }
        let Some((at, first)) = self.first_part(*chain)? else {
            return Ok(None);
        };
        chain.check(&first).map_err(|fault| ReadError::Wrong { at, fault })?;
        let Part { from, records, end, .. } = first;
        if let Some(end) = end {
            chain.advance(&end);
            return Ok(Some(Handout::new(from, end).piece(records)));
        }
        // Read to its end first: half a batch must not be handed out.
        let (end, pieces) = self.rest_of(at, chain.batches + 1, from)?;
        chain.advance(&end);
        self.entries.seek(at);
        self.under_way = Some((Handout::new(from, end), pieces));
        self.next_piece().map(Some)
    }

    /// The next entry that is not a mark.
    fn first_part(&mut self, chain: Chain) -> Result<Option<(u64, Part)>, ReadError> {
        loop {
            match self.entries.next()? {
                Some((at, Entry::Mark)) => {
                    self.marked = Marked { at, end: self.entries.at(), chain };
                }
                Some((at, Entry::Piece(part))) => return Ok(Some((at, part))),
                None => return Ok(None),
            }
        }
    }

    /// Checks the pieces behind the first, which begins at `start`: the end of the batch, and how
    /// many pieces it has.
    fn rest_of(
        &mut self,
        start: u64,
        batch: u64,
        from: Option<Position>,
    ) -> Result<(BatchEnd, u32), ReadError> {
        let broken = |at, fault| ReadError::Broken { at, cut_at: start, fault };
        let mut index = 1;
        loop {
            let (at, part) = match self.entries.next() {
                Ok(Some((at, Entry::Piece(part)))) => (at, part),
                Ok(Some((at, Entry::Mark))) => {
                    let fault = Fault::Unexpected("piece of the batch before it");
                    return Err(ReadError::Wrong { at, fault });
                }
                Ok(None) => return Err(broken(start, Fault::Unfinished)),
                Err(ReadError::Broken { at, fault, .. }) => return Err(broken(at, fault)),
                Err(error) => return Err(error),
            };
            is_part_of(&part, batch, index, from)
                .map_err(|fault| ReadError::Wrong { at, fault })?;
            index += 1;
            if let Some(end) = part.end {
                return Ok((end, index));
            }
        }
    }

    fn next_piece(&mut self) -> Result<Staged, ReadError> {
        let at = self.entries.at();
        // It was there a moment ago.
        let Some((_, Entry::Piece(part))) = self.entries.next()? else {
            return Err(ReadError::Wrong { at, fault: Fault::Unfinished });
        };
        let Some((handout, left)) = &mut self.under_way else {
            return Err(ReadError::Wrong { at, fault: Fault::Unexpected("beginning of a batch") });
        };
        let staged = handout.piece(part.records);
        *left -= 1;
        if *left == 0 {
            self.under_way = None;
        }
        Ok(staged)
    }
}

fn is_part_of(part: &Part, batch: u64, index: u32, from: Option<Position>) -> Result<(), Fault> {
    expect("the batch number", batch, part.batch)?;
    expect("the piece number", index.into(), part.index.into())?;
    if part.from != from {
        let expected = from.unwrap_or_default();
        let found = part.from.unwrap_or_default();
        return Err(Fault::Chain { expected, found });
    }
    Ok(())
}
