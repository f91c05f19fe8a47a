//! An operation on several keys never travels by halves (docs/protocol.md, section 3: a batch is
//! an exact cut).
//!
//! Transfers leave the sum of all accounts at zero, and paired limits are always taken together:
//! both must be true of every cut that a peer applies.
//!
//! Holds G18 of docs/guarantees.md.

use quorate::{GroupTime, Mode};

use crate::check::Check;
use crate::model::reference::is_live;
use crate::words::merge::Cells;
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug)]
pub(super) struct Conserved;

impl Check for Conserved {
    fn name(&self) -> &'static str {
        "conserved"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if world.plan().group.mode == Mode::Relaxed && world.plan().merge_keys < world.keys().len()
        {
            // What a peer decided alone is merged by key, in as many merges as its keys need.
            return Ok(());
        }
        match seen {
            Seen::Moved { to, cells, group_time, .. } => {
                whole(cells, *group_time).map_err(|what| format!("{what} at {to}"))
            }
            Seen::Reign { ballot, cells, group_time, .. } => {
                whole(cells, *group_time).map_err(|what| format!("{what} as {ballot} begins"))
            }
            _ => Ok(()),
        }
    }
}

/// Expired cells are absent, whether they have been removed or not.
fn whole(cells: &Cells, group_time: GroupTime) -> Result<(), String> {
    let mut sum = 0_u64;
    for (key, value) in cells.iter().filter(|(_, value)| is_live(value, group_time)) {
        match key.first() {
            Some(b't') => sum = sum.wrapping_add(value.words[0]),
            Some(b'p') => {
                let mut twin = key.to_vec();
                twin[0] = b'q';
                let other = cells
                    .get(&twin[..])
                    .filter(|twin| is_live(twin, group_time))
                    .map(|other| other.words);
                if other != Some(value.words) {
                    return Err(format!("{key:?} is {:?} and its twin {other:?}", value.words));
                }
            }
            _ => {}
        }
    }
    if sum == 0 { Ok(()) } else { Err(format!("the accounts sum to {}", sum.cast_signed())) }
}
