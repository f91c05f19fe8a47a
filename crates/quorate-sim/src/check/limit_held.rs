//! A limit is never exceeded in strict mode under `Majority`: for each key and
//! window, what was admitted and acknowledged, less what was given back, is at most the limit.
//!
//! Holds G24 of docs/guarantees.md.

use std::collections::BTreeMap;

use quorate::{Acknowledge, Ballot, Mode};

use crate::check::Check;
use crate::words::operation::{DONE, Kind};
use crate::words::seen::Seen;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct LimitHeld {
    /// Units by founding, key and window.
    admitted: BTreeMap<(Option<Ballot>, Vec<u8>, u64), i64>,
}

impl Check for LimitHeld {
    fn name(&self) -> &'static str {
        "limit_held"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let (op, done, is_refund) = match seen {
            Seen::Acknowledged { op: Some(op), done, .. } => (op, done, false),
            // What was given back may be taken by others from that moment on.
            Seen::Executed { op: Some(op), done } => (op, done, true),
            _ => return Ok(()),
        };
        let group = &world.plan().group;
        if group.mode != Mode::Strict || group.acknowledge != Acknowledge::Majority {
            return Ok(());
        }
        let op = &world.ops()[*op];
        let kind = if is_refund { Kind::Refund } else { Kind::Acquire };
        if done.answer.code != DONE || op.kind != kind {
            return Ok(());
        }
        let window = done.answer.words[0];
        for (key, amount) in &op.items {
            let given_back = done.answer.words[3].cast_signed();
            let units = if is_refund { -given_back } else { amount.cast_signed() };
            let founding = world.history().reign(done.position.ballot).map(|reign| reign.founding);
            let sum = self.admitted.entry((founding, key.to_vec(), window)).or_default();
            *sum += units;
            let limit = world.plan().load.limit.cast_signed();
            if *sum > limit {
                return Err(format!("{key:?} has {sum} of {limit} in window {window}"));
            }
        }
        Ok(())
    }
}
