//! Asks about limits over the admin lane of the peer: how they are, who uses them, and what is to
//! become of them ([`quorate::admin`]).
//! What they are is in docs/wire.md, section 8. Keys, which say who a caller is, are in no word of
//! what was done.

mod asks;
mod refused;
mod shown;

use std::sync::Arc;

use quorate::WeakPeer;
use quorate::admin::{Access, Refused, Responder};
use quorate::transport::BoxFuture;
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

impl Responder for Answers {
    fn access(&self, ask: &str, fields: &Map<String, Value>) -> Option<Access> {
        let of = || fields.get("limit").and_then(Value::as_str).unwrap_or("nothing");
        Some(match ask {
            "explain" | "get" | "peek" | "stats" | "top" => Access::Look,
            // Of which key is nobody's business.
            "ask" | "reset" => Access::act(format!("limits.{ask} of {}", of())),
            "put" => Access::act("limits.put"),
            _ => return None,
        })
    }

    fn answer<'a>(
        &'a self,
        ask: &'a str,
        fields: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Value, Refused>> {
        Box::pin(async move {
            let ask = LimitsAsk::read(ask, fields)?;
            let ends = || Refused::new("shutting_down", "this peer is ending: ask another one");
            let limiter = RateLimiter {
                peer: self.peer.upgrade().ok_or_else(ends)?,
                code: self.code.clone(),
                current: Arc::clone(&self.current),
                shared: Arc::clone(&self.shared),
                counters: Arc::clone(&self.counters),
                at_capacity: AtCapacity::default(),
            };
            limiter.carry_out(ask).await
        })
    }
}

/// Reads an ask for the fuzz target; returns the limits that it brings, if it does.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn limits_brought(
    ask: &str,
    fields: &Map<String, Value>,
) -> Result<Option<LimitsSpec>, Refused> {
    Ok(match LimitsAsk::read(ask, fields)? {
        LimitsAsk::Put(Put { limits, .. }) => Some(limits.into()),
        _ => None,
    })
}
