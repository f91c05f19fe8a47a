//! One receiver of this peer's state: where it stands and what is on the way to it
//! (docs/protocol.md, section 3).

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;

use crate::base::bug::{self, Bug};
use crate::base::id::{Ballot, GroupTime, Position, Sequence, Time};
use crate::config::Bounds;
use crate::protocol::message::{Message, Piece};
use crate::record::Records;
use crate::state::{BatchEnd, History, Meta, Reign};
use crate::store::{CopyCursor, Cut, Digest, Store};

/// What a sender needs to know of its peer to make a batch.
pub(in crate::protocol) struct Source<'a> {
    pub(in crate::protocol) store: &'a Store,
    pub(in crate::protocol) bounds: &'a Bounds,
    pub(in crate::protocol) ballot: Ballot,
    pub(in crate::protocol) group_time: GroupTime,
    pub(in crate::protocol) meta: &'a Meta,
    pub(in crate::protocol) meta_version: u64,
    /// The last cut, and since when: followers that stand at one place get the same.
    taken: RefCell<Option<(Sequence, Taken)>>,
    /// Whether followers are to compare their state with this one.
    pub(in crate::protocol) is_verifying: bool,
}

impl<'a> Source<'a> {
    pub(in crate::protocol) fn new(
        store: &'a Store,
        bounds: &'a Bounds,
        ballot: Ballot,
        group_time: GroupTime,
        meta: &'a Meta,
        meta_version: u64,
    ) -> Self {
        Self {
            store,
            bounds,
            ballot,
            group_time,
            meta,
            meta_version,
            taken: RefCell::default(),
            is_verifying: false,
        }
    }

    fn cut(&self, since: Sequence, repair: &[Bytes], max_bytes: usize) -> Taken {
        let is_plain = repair.is_empty() && max_bytes == self.bounds.max_cut_bytes;
        let mut taken = self.taken.borrow_mut();
        match &*taken {
            Some((from, taken)) if is_plain && *from == since => return taken.clone(),
            _ => {}
        }
        let (cut, digest) = if is_plain && self.is_verifying {
            let (cut, digest) = self.store.cut_with_digest(self.group_time, since, max_bytes);
            (cut, Some(digest))
        } else {
            (self.store.cut(self.group_time, since, repair, max_bytes), None)
        };
        let new = Taken { cut, digest };
        *taken = is_plain.then(|| (since, new.clone()));
        new
    }
}

/// A cut, and the digest of the whole state there if it was asked for.
#[derive(Clone)]
struct Taken {
    cut: Cut,
    digest: Option<Digest>,
}

/// Progress of one receiver.
#[derive(Debug)]
pub(in crate::protocol) struct Sender {
    phase: Phase,
    /// The last exact position that the receiver is known to hold.
    held: Option<Position>,
    transfers: u64,
    meta_version: Option<u64>,
    progressed: Time,
    /// When the receiver last staged a piece more than before.
    staged: Time,
    /// When a batch was last of no use to the receiver, unless it has held one since.
    lost: Option<Time>,
}

#[derive(Debug)]
enum Phase {
    /// Its position is unknown: it has been asked.
    Asked,
    /// It has changes past the fork and has been asked to name them.
    Forked { at: Position },
    /// It holds `held`, and nothing is on the way.
    Idle,
    /// A batch is on the way.
    Sending(Box<Transfer>),
}

#[derive(Debug)]
struct Transfer {
    number: u64,
    from: Option<Position>,
    repair: Vec<Bytes>,
    copy: Option<Copy>,
    /// Loose copies made so far.
    rounds: u32,
    /// Records of the exact cut that have not been put into pieces.
    cut: Records,
    end: Option<BatchEnd>,
    digest: Option<Digest>,
    total: u64,
    /// Whether the receiver lacks the newest state other than cells.
    with_meta: bool,
    meta_version: u64,
    sent: u32,
    staged: u32,
    is_all_sent: bool,
}

/// Cells copied loosely before the exact cut, because they are too many for one.
#[derive(Debug)]
struct Copy {
    cursor: CopyCursor,
    /// Whatever changes after this is part of the exact cut that follows.
    since: Sequence,
}

/// Transfers that one sender may make within one instant.
const TRANSFERS_AT_ONCE: u64 = 1 << 20;

/// Where the transfers of a sender that begins at `now` are numbered from, if those of the last one
/// were numbered from `last`: from the clock, so that later senders number on, and beyond what the
/// last may have used if the clock has stood still. A receiver takes a lower number for an older
/// transfer.
pub(in crate::protocol) fn first_transfer(now: Time, last: u64) -> u64 {
    now.0.max(last + TRANSFERS_AT_ONCE)
}

impl Sender {
    /// One that begins at `now`, and whose transfers are numbered on from those of the last one,
    /// which were numbered from `first`: that is then where its own begin.
    pub(in crate::protocol) fn new(now: Time, first: &mut u64) -> Self {
        *first = first_transfer(now, *first);
        let transfers = *first;
        Self {
            phase: Phase::Asked,
            held: None,
            transfers,
            meta_version: None,
            progressed: now,
            staged: Time(0),
            lost: None,
        }
    }

    /// The last position that the receiver is known to hold.
    pub(in crate::protocol) fn held(&self) -> Option<Position> {
        self.held
    }

    pub(in crate::protocol) fn is_asked(&self) -> bool {
        matches!(self.phase, Phase::Asked)
    }

    pub(in crate::protocol) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// When something last came back from the receiver.
    pub(in crate::protocol) fn progressed(&self) -> Time {
        self.progressed
    }

    /// When the receiver last staged a piece more than before.
    pub(in crate::protocol) fn staged(&self) -> Time {
        self.staged
    }

    /// Starts over: the receiver's position is to be asked again.
    pub(in crate::protocol) fn ask(&mut self, now: Time) {
        self.phase = Phase::Asked;
        self.progressed = now;
    }

    /// A batch was of no use to the receiver, whose position is to be asked again; returns true if
    /// that is to be done at once. It may be so with every batch: then once in a while is enough.
    pub(in crate::protocol) fn on_lost(&mut self, now: Time, pause: Duration) -> bool {
        self.ask(now);
        let is_again = self.lost.is_some_and(|lost| now.since(lost) < pause);
        if !is_again {
            self.lost = Some(now);
        }
        !is_again
    }

    /// The receiver has said where it stands.
    pub(in crate::protocol) fn on_position(
        &mut self,
        now: Time,
        source: &Source<'_>,
        position: Position,
        history: &[Reign],
        out: &mut Vec<Message>,
    ) {
        if !matches!(self.phase, Phase::Asked) {
            return;
        }
        self.progressed = now;
        let ours = History::new(&source.meta.history, source.store.position());
        match ours.common_position(&History::new(history, position)) {
            Some(at) if at == position => {
                self.held = Some(position);
                self.phase = Phase::Idle;
            }
            Some(at) => {
                if bug::is(Bug::OldReignCounts) {
                    self.held = Some(position);
                }
                self.phase = Phase::Forked { at };
                out.push(Message::Fork { ballot: source.ballot, at });
            }
            None => self.start(source, None, Vec::new(), out),
        }
    }

    /// The receiver has named the keys of its tail, or has too many.
    pub(in crate::protocol) fn on_tail(
        &mut self,
        now: Time,
        source: &Source<'_>,
        fork: Position,
        keys: Option<Vec<Bytes>>,
        out: &mut Vec<Message>,
    ) {
        let Phase::Forked { at } = self.phase else {
            return;
        };
        if at != fork {
            return;
        }
        self.progressed = now;
        match keys {
            Some(_) if bug::is(Bug::RepairOmitted) => {
                self.start(source, Some(at), Vec::new(), out);
            }
            Some(keys) => self.start(source, Some(at), keys, out),
            None => self.start(source, None, Vec::new(), out),
        }
    }

    /// The receiver has staged a piece: there is room for more.
    pub(in crate::protocol) fn on_staged(
        &mut self,
        now: Time,
        source: &Source<'_>,
        number: u64,
        index: u32,
        out: &mut Vec<Message>,
    ) {
        let Phase::Sending(transfer) = &mut self.phase else {
            return;
        };
        if transfer.number == number && index < transfer.sent {
            if index >= transfer.staged {
                transfer.staged = index + 1;
                self.staged = now;
            }
            self.progressed = now;
            self.pump(source, out);
        }
    }

    /// The receiver holds a batch; returns whether that is news.
    pub(in crate::protocol) fn on_held(&mut self, now: Time, position: Position) -> bool {
        let Phase::Sending(transfer) = &self.phase else {
            return false;
        };
        if transfer.end.as_ref().is_none_or(|end| end.position != position) {
            return false;
        }
        self.meta_version = Some(transfer.meta_version);
        self.held = Some(position);
        self.progressed = now;
        self.lost = None;
        self.phase = Phase::Idle;
        true
    }

    /// Starts a batch of all that the receiver lacks, if it is idle and lacks anything.
    pub(in crate::protocol) fn replicate(
        &mut self,
        now: Time,
        source: &Source<'_>,
        out: &mut Vec<Message>,
    ) {
        if !self.is_idle() {
            return;
        }
        let is_behind =
            self.held != Some(source.store.position()) || source.store.has_changed_since_cut();
        if is_behind || source.is_verifying {
            self.progressed = now;
            self.start(source, self.held, Vec::new(), out);
        }
    }

    fn start(
        &mut self,
        source: &Source<'_>,
        from: Option<Position>,
        repair: Vec<Bytes>,
        out: &mut Vec<Message>,
    ) {
        self.transfers += 1;
        let mut transfer = Transfer {
            number: self.transfers,
            from,
            repair,
            copy: None,
            rounds: 0,
            cut: Records::default(),
            end: None,
            digest: None,
            total: 0,
            with_meta: true,
            meta_version: source.meta_version,
            sent: 0,
            staged: 0,
            is_all_sent: false,
        };
        let with_meta = from.is_none() || self.meta_version != Some(source.meta_version);
        transfer.with_meta = with_meta;
        transfer.cut(source, from.map_or(Sequence(0), |p| p.sequence));
        self.phase = Phase::Sending(Box::new(transfer));
        self.pump(source, out);
    }

    /// Sends as many pieces as the window allows.
    fn pump(&mut self, source: &Source<'_>, out: &mut Vec<Message>) {
        let Phase::Sending(transfer) = &mut self.phase else {
            return;
        };
        let window = u32::try_from(source.bounds.transfer_window).unwrap_or(u32::MAX);
        while !transfer.is_all_sent && transfer.sent - transfer.staged < window {
            out.push(Message::Piece(transfer.next_piece(source)));
        }
    }
}

impl Transfer {
    /// Takes an exact cut of what changed since `since`, or begins to copy loosely if that is too
    /// much for one.
    fn cut(&mut self, source: &Source<'_>, since: Sequence) {
        // Every loose copy leaves less for the exact cut, but keys to be repaired stay, and changes
        // may come as fast as they are copied: a cut that may grow is reached at last.
        let bytes = source.bounds.max_cut_bytes.saturating_mul(1 << self.rounds.min(30));
        let Taken { mut cut, digest } = source.cut(since, &self.repair, bytes);
        self.digest = digest;
        if self.total == 0 {
            let cells = || source.store.cells() as u64;
            self.total = cut.records.as_ref().map_or_else(cells, |records| records.len() as u64);
        }
        match cut.records.take() {
            Some(records) => {
                self.cut = records;
                self.copy = None;
                // As of the cut: a change made while the pieces travel belongs to the next one.
                let with_meta = self.with_meta || self.meta_version != source.meta_version;
                self.meta_version = source.meta_version;
                self.end = Some(cut.batch_end(with_meta.then(|| source.meta.clone())));
            }
            None => {
                let cursor = CopyCursor::since(since);
                self.rounds += 1;
                self.copy = Some(Copy { cursor, since: cut.end.sequence });
            }
        }
    }

    fn next_piece(&mut self, source: &Source<'_>) -> Piece {
        let index = self.sent;
        self.sent += 1;
        let records = match &mut self.copy {
            Some(copy) => {
                let records = source.store.copy(&mut copy.cursor, source.bounds.max_piece_bytes);
                if copy.cursor.is_done() {
                    let since = copy.since;
                    self.cut(source, since);
                }
                records
            }
            None => self.cut.split_front(source.bounds.max_piece_bytes),
        };
        self.is_all_sent = self.copy.is_none() && self.cut.is_empty();
        let end = if self.is_all_sent { self.end.clone() } else { None };
        let digest = self.digest.filter(|_| end.is_some());
        let (ballot, transfer, total) = (source.ballot, self.number, self.total);
        Piece { ballot, transfer, index, from: self.from, records, end, total, digest }
    }
}
