//! Cells and their change feed: what a group replicates, in memory.
//!
//! ```text
//!  decide ──▶ lock shards ──▶ look at the authority ──▶ model ──▶ take a sequence ──▶ write cells
//!                                                                                       │
//!              shard: index ──▶ slots (a cache line each) ◀── change feed (slots, by epoch)
//!                                                                                       │
//!  cut ◀── moves the sequence word to a round number, then takes shard after shard ◀────┘
//! ```
//!
//! Any number of threads call [`Store::decide`]; one at a time looks after the rest (cuts, digests,
//! sweeping, applying). A **cut** is exact although operations go on: whoever changes a cell after
//! the end of an open cut saves the cell's old value for it first.
//!
//! Time is always an argument. Not here: who is primary (`protocol`), and anything that waits.

mod apply;
mod authority;
mod capacity;
mod cell;
mod copy;
mod cut;
mod decide;
mod digest;
mod feed;
mod gather;
mod index;
mod load;
mod merge;
mod open_cut;
mod overlay;
mod past_cuts;
mod refused;
mod reign;
mod sequence_word;
mod shard;
mod sweep;

#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicU64;

use parking_lot::{Mutex, MutexGuard};
use siphasher::sip::SipHasher13;

pub use apply::{ApplyError, Staged};
pub use capacity::{CELL_BYTES, MAX_MERGE_RECORDS, MAX_MERGE_RECORDS_OF_PEER, Usage, cell_bytes};
pub use cell::{MERGES, MODEL};
pub use copy::CopyCursor;
pub use cut::Cut;
pub use decide::Decided;
pub use digest::Digest;
pub use load::Loading;
pub use merge::{MERGE_MEMORY, Merged, SealedBatch};
pub use overlay::{Overlay, Sealed};
pub use refused::Refused;
pub(crate) use refused::{ITEMS, KEY, ONCE};

use crate::base::id::{GroupTime, Lead, Position};
use crate::config::Bounds;
use crate::model::Value;
use crate::state::Meta;
use authority::Authority;
use capacity::Capacity;
use cell::KeyRef;
use load::Discarded;
use open_cut::OpenCut;
use past_cuts::PastCuts;
use sequence_word::SequenceWord;
use shard::{Place, Shard};

/// Bits of a sequence below its epoch.
const EPOCH_BITS: u32 = 16;
/// Sequences of one epoch: every cut ends at a multiple of it.
pub const EPOCH: u64 = 1 << EPOCH_BITS;

/// The cells of one peer, and everything that is exact about them.
pub struct Store {
    hash_keys: (u64, u64),
    shard_mask: u32,
    shards: Box<[Lane]>,
    authority: Authority,
    opened: OpenCut,
    sequence_word: SequenceWord,
    commitment: Commitment,
    capacity: Capacity,
    last_cut: Mutex<LastCut>,
    maintenance: Mutex<Maintenance>,
    past_cuts: Mutex<PastCuts>,
    discarded: Mutex<Discarded>,
}

/// A shard on lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Lane(Mutex<Shard>);

/// The state held: that of the last exact cut.
#[derive(Default)]
struct LastCut {
    position: Position,
    /// By the steady clock.
    group_time: GroupTime,
    /// How far the calendar is ahead of that.
    lead: Lead,
    meta: Meta,
}

/// State that only the owner of the store changes: its reign, its cuts, its sweep. Its lock is
/// taken before any shard's and may be held for long, by a digest; that of [`LastCut`] and the
/// others only for a moment.
#[derive(Default)]
struct Maintenance {
    is_reigning: bool,
    /// Where the last epoch was ended.
    last_end: u64,
    /// Number of the last cut opened.
    cuts: u64,
    sweep: sweep::Sweep,
}

/// What a majority holds.
#[derive(Default)]
struct Commitment {
    position: Mutex<Position>,
    /// What may be answered to those who wait.
    answerable: Mutex<Position>,
    units: Mutex<Units>,
    /// A group time that a majority has seen pass: cells that had expired by then may go.
    expired_before: AtomicU64,
    /// Units that may be acknowledged beyond those.
    max_unreplicated: AtomicU64,
    /// Units that each shard may keep to itself, to spare all others a look.
    max_unpublished: AtomicU64,
}

/// Units of this store's reign, or of its last.
#[derive(Default)]
struct Units {
    /// What a majority holds of them.
    committed: u128,
    /// All of them, once the reign has ended.
    ended: u128,
}

impl Store {
    /// A blank store whose hashing nobody can guess.
    pub fn new(bounds: Bounds) -> Self {
        let random = RandomState::new();
        Self::with_hash_keys(bounds, (random.hash_one(0u8), random.hash_one(1u8)))
    }

    /// A blank store that hashes the same way whenever `seed` is the same, for simulation.
    pub fn with_hash_seed(bounds: Bounds, seed: u64) -> Self {
        Self::with_hash_keys(bounds, (seed, seed.rotate_left(32) ^ 0x71_75_6f_72_61_74_65))
    }

    fn with_hash_keys(bounds: Bounds, hash_keys: (u64, u64)) -> Self {
        const MAX_SHARDS: usize = 1 << 16;
        let shards = bounds.shards.clamp(1, MAX_SHARDS).next_power_of_two();
        Self {
            hash_keys,
            shard_mask: shards as u32 - 1,
            shards: (0..shards).map(|_| Lane::default()).collect(),
            authority: Authority::default(),
            opened: OpenCut::default(),
            sequence_word: SequenceWord::default(),
            commitment: Commitment {
                max_unreplicated: AtomicU64::new(u64::MAX),
                ..Commitment::default()
            },
            capacity: Capacity::new(&bounds),
            last_cut: Mutex::default(),
            maintenance: Mutex::default(),
            past_cuts: Mutex::default(),
            discarded: Mutex::default(),
        }
    }

    /// The last exact cut held; blank for a blank store.
    pub fn position(&self) -> Position {
        self.last_cut.lock().position
    }

    /// Group time of [`Store::position`], by the steady clock: cells expire by it.
    pub fn group_time(&self) -> GroupTime {
        self.last_cut.lock().group_time
    }

    /// The lead of the calendar over the steady clock at present.
    pub fn lead(&self) -> Lead {
        self.authority.lead()
    }

    /// Replicated state other than cells.
    pub fn meta(&self) -> Meta {
        self.last_cut.lock().meta.clone()
    }

    /// Replaces the replicated state other than cells; for the state machine only. While this peer
    /// reigns it is a change: the next cut has a new position.
    pub fn set_meta(&self, meta: Meta) {
        let maintenance = self.maintenance.lock();
        self.last_cut.lock().meta = meta;
        if maintenance.is_reigning {
            self.sequence_word.take();
            self.sequence_word.note_change();
        }
    }

    /// Cells held, expired ones that have not been swept included.
    pub fn cells(&self) -> usize {
        self.capacity.cells()
    }

    /// Memory that the tables have at present, in bytes, used or not: what is left over when cells
    /// go stays, for cells to come. Looks at every shard; [`Store::usage`] is what is bounded.
    pub fn allocated_bytes(&self) -> usize {
        let shards: usize = self.shards.iter().map(|lane| lane.0.lock().allocated_bytes()).sum();
        shards + self.shards.len() * size_of::<Lane>() + size_of::<Self>()
    }

    /// The value of a cell as it is now; whether it has expired is for the caller to say.
    pub fn read(&self, namespace: u8, key: &[u8]) -> Option<Value> {
        let key = KeyRef { namespace, rest: key };
        let place = self.place(key);
        let shard = self.lock(place.shard);
        let at = shard.find(place.tag, key)?;
        Some(shard.slots.get(at).value)
    }

    /// Visits all unexpired cells, keys with their namespace. Not exact while operations go on;
    /// a shard is locked while some of its cells are visited.
    pub fn for_each(&self, visit: &mut dyn FnMut(&[u8], &Value)) {
        /// Slots visited under one lock.
        const STEP: usize = 512;
        let now = self.authority.clock();
        for lane in &self.shards {
            for from in (0..).step_by(STEP) {
                let shard = lane.0.lock();
                for (_, slot) in shard.slots.range(from, from + STEP) {
                    if slot.value.expires > now {
                        visit(slot.key.bytes(), &slot.value);
                    }
                }
                if from + STEP >= shard.slots.len() {
                    break;
                }
            }
        }
    }

    /// The place of a key.
    #[inline]
    fn place(&self, key: KeyRef<'_>) -> Place {
        let (first, second) = self.hash_keys;
        let hasher = SipHasher13::new_with_keys(first ^ u64::from(key.namespace), second);
        let hash = hasher.hash(key.rest);
        Place { shard: hash as u32 & self.shard_mask, tag: (hash >> 32) as u32 }
    }

    #[inline]
    fn lock(&self, shard: u32) -> MutexGuard<'_, Shard> {
        self.shards[shard as usize].0.lock()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("position", &self.position())
            .field("cells", &self.cells())
            .finish_non_exhaustive()
    }
}
