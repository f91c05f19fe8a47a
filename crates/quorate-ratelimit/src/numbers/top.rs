//! Which keys of a limit are used and denied most.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::Serialize;

use crate::limiter::RateLimiter;
use crate::model::error::AcquireError;
use crate::model::key::PREFIX_BYTES;

/// Most keys of each list.
const MAX_KEYS: usize = 1000;

/// The keys of one limit that are used most, and that are denied most; the first ones first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Top {
    /// By the units that count now, in the copy of the peer that was asked.
    pub used: Vec<Used>,
    /// By how often they were denied, in calls that were made at this limiter and its clones since it
    /// was made.
    pub denied: Vec<Denied>,
}

/// How much of a key is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Used {
    /// The key; bytes that are no text are replaced.
    pub key: String,
    /// Units that count now.
    pub used: u64,
}

/// How often a key was denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Denied {
    /// The key; bytes that are no text are replaced.
    pub key: String,
    /// Denials, at least: with more than about a thousand keys, those of rare ones are forgotten.
    pub denied: u64,
}

impl RateLimiter {
    /// The `n` keys of a limit that are used most and that are denied most, of each list at most 1,000.
    ///
    /// It goes through all cells that this peer holds, about 20 ns each, on a thread of its own; a client
    /// holds none. Asked at the primary it is as of now, at another peer late by what is under way.
    ///
    /// # Errors
    ///
    /// [`AcquireError::UnknownLimit`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// async fn heaviest(limiter: &RateLimiter) -> Result<Option<String>, AcquireError> {
    ///     let top = limiter.top("api", 1).await?;
    ///     Ok(top.used.first().map(|first| format!("{}: {}", first.key, first.used)))
    /// }
    /// ```
    pub async fn top(&self, limit: &str, n: usize) -> Result<Top, AcquireError> {
        let (id, n) = (self.known_id(limit)?, n.min(MAX_KEYS));
        let limiter = self.clone();
        let used = tokio::task::spawn_blocking(move || limiter.most_used(id, n)).await;
        let prefix = id.to_le_bytes();
        let denied = self.denials().all().into_iter().filter(|(key, _)| key.starts_with(&prefix));
        let denied = largest(denied.map(|(key, denied)| (denied, key)), n);
        Ok(Top {
            // It does not panic, and a runtime that ends asks for nothing.
            used: used.unwrap_or_default(),
            denied: denied
                .into_iter()
                .map(|(denied, key)| Denied { key: text(&key), denied })
                .collect(),
        })
    }

    fn most_used(&self, id: u32, n: usize) -> Vec<Used> {
        let table = self.live().present();
        let Some(entry) = table.find(id) else { return Vec::new() };
        let mut heap = BinaryHeap::with_capacity(n + 1);
        let context = self.peer().group_time();
        let at = entry.rule.clock(context).0;
        self.peer().visit_cells(&mut |key, value, _| {
            if key.first_chunk() != Some(&id.to_le_bytes()) {
                return;
            }
            let (present, _) = entry.present(Some(value));
            let used = present.map_or(0, |value| entry.rule.used(&value, at));
            if used > 0 {
                push(&mut heap, (used, key.into()), n);
            }
        });
        sorted(heap).into_iter().map(|(used, key)| Used { key: text(&key), used }).collect()
    }
}

type Counted = (u64, Box<[u8]>);

fn largest(all: impl Iterator<Item = Counted>, n: usize) -> Vec<Counted> {
    let mut heap = BinaryHeap::with_capacity(n + 1);
    all.for_each(|one| push(&mut heap, one, n));
    sorted(heap)
}

/// Keeps the `n` largest.
fn push(heap: &mut BinaryHeap<Reverse<Counted>>, one: Counted, n: usize) {
    if heap.len() >= n {
        match heap.peek() {
            Some(Reverse(smallest)) if *smallest < one => _ = heap.pop(),
            _ => return,
        }
    }
    heap.push(Reverse(one));
}

/// The largest first.
fn sorted(heap: BinaryHeap<Reverse<Counted>>) -> Vec<Counted> {
    heap.into_sorted_vec().into_iter().map(|Reverse(one)| one).collect()
}

fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key.get(PREFIX_BYTES..).unwrap_or_default()).into_owned()
}
