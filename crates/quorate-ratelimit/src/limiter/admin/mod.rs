//! Asks about limits over the admin lane of the peer: how they are, who uses them, and what is to
//! become of them ([`quorate::admin`]).
//! What they are is in docs/wire.md, section 8. Keys, which say who a caller is, are in no word of
//! what was done.

mod asks;
mod refused;
mod shown;

use std::sync::Arc;

use quorate::WeakPeer;
use quorate::admin::{Reading, Refused, Responder};
use serde_json::{Map, Value, json};

use crate::limiter::admin::asks::{Amount, Explain, LimitsAsk, Put, Reset, TopOf};
use crate::limiter::admin::refused::{acquire, nothing_in_it, unusable};
use crate::limiter::full_store::AtCapacity;
use crate::limiter::{RateLimiter, Shared};
use crate::model::current::CurrentLimits;
use crate::model::differences::LimitsSource;
use crate::model::file::LimitsSpec;
use crate::model::limits::Limits;
use crate::numbers::counters::Counters;

/// The word that asks about limits begin with.
const WORD: &str = "limits";

/// A limiter that does not keep its peer running.
#[derive(Clone)]
struct Answers {
    peer: WeakPeer,
    code: Limits,
    current: Arc<CurrentLimits>,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
}

impl RateLimiter {
    /// Has the peer answer asks about limits by this limiter.
    pub(super) fn answer_asks(&self) {
        let answers = Answers {
            peer: self.peer.downgrade(),
            code: self.code.clone(),
            current: Arc::clone(&self.current),
            shared: Arc::clone(&self.shared),
            counters: Arc::clone(&self.counters),
        };
        self.peer.answer_asks(WORD, Arc::new(answers));
    }

    async fn carry_out(&self, ask: LimitsAsk) -> Result<Value, Refused> {
        match ask {
            LimitsAsk::Get => Ok(self.limits_told()),
            LimitsAsk::Put(Put { limits, carry }) => {
                if self.limits_status().source == LimitsSource::WinningFile {
                    return Err(Refused::new("file_wins", FILE_WINS));
                }
                let spec = LimitsSpec::from(limits);
                if spec.limits.is_empty() {
                    return Err(nothing_in_it());
                }
                let limits = spec.build().map_err(|error| unusable(&error))?;
                let revision = self.change_limits(&limits, carry).await?;
                Ok(json!({ "revision": revision }))
            }
            LimitsAsk::Ask(Amount { limit, key, amount }) => {
                let decided = self.acquire(&limit, &key.0, amount).await;
                Ok(json!(decided.map_err(|error| acquire(error, &self.limits()))?))
            }
            LimitsAsk::Peek(Amount { limit, key, amount }) => {
                let decided = self.peek(&limit, &key.0, amount).await;
                Ok(json!(decided.map_err(|error| acquire(error, &self.limits()))?))
            }
            LimitsAsk::Reset(Reset { limit, key }) => {
                let decided = Self::reset(self, &limit, &key.0).await;
                Ok(json!(decided.map_err(|error| acquire(error, &self.limits()))?))
            }
            LimitsAsk::Explain(Explain { items }) => {
                let asked: Vec<_> =
                    items.iter().map(|item| (&*item.limit, &item.key.0, item.amount)).collect();
                Ok(shown::explanation(&self.explain(&asked).await, &self.limits()))
            }
            LimitsAsk::Top(TopOf { limit, n }) => {
                let top = self.top(&limit, n).await;
                Ok(shown::top(top.map_err(|error| acquire(error, &self.limits()))?))
            }
            LimitsAsk::Stats => Ok(json!(self.stats())),
        }
    }

    /// The limits as a limits file has them, and how this peer stands to them.
    fn limits_told(&self) -> Value {
        let mut told = json!(self.limits_status());
        told["limits"] = json!(LimitsSpec::from(&self.limits()).limits);
        told
    }
}

const FILE_WINS: &str = "this group decides by the limits file of its primary, which would set \
                         them back: change the file at all peers";

impl Answers {
    /// The limiter, as long as its peer runs.
    fn limiter(self) -> Result<RateLimiter, Refused> {
        let ends = || Refused::new("shutting_down", "this peer is ending: ask another one");
        let Self { peer, code, current, shared, counters } = self;
        let peer = peer.upgrade().ok_or_else(ends)?;
        let at_capacity = AtCapacity::default();
        Ok(RateLimiter { peer, code, current, shared, counters, at_capacity })
    }
}

impl Responder for Answers {
    fn read(&self, ask: &str, fields: &Map<String, Value>) -> Option<Result<Reading, Refused>> {
        let read = LimitsAsk::read(ask, fields)?;
        let answers = self.clone();
        Some(read.map(|ask| {
            Reading::new(ask.access(), async move { answers.limiter()?.carry_out(ask).await })
        }))
    }
}

/// Reads an ask for the fuzz target; returns the limits that it brings, if it does.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn limits_brought(
    ask: &str,
    fields: &Map<String, Value>,
) -> Result<Option<LimitsSpec>, Refused> {
    Ok(match LimitsAsk::read(ask, fields).transpose()? {
        Some(LimitsAsk::Put(Put { limits, .. })) => Some(limits.into()),
        _ => None,
    })
}
