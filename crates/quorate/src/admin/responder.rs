//! Answers to asks that are no peer's own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::{Map, Value};

use crate::admin::answer::Refused;
use crate::admin::ask::Access;
use crate::transport::BoxFuture;

/// Answers asks whose names begin with a word of its own and a full stop, like `limits.get`; see
/// [`Peer::answer_asks`](crate::Peer::answer_asks).
///
/// It is not to hold the peer that it answers for, which would never end then: a
/// [`WeakPeer`](crate::WeakPeer) does.
pub trait Responder: Send + Sync + 'static {
    /// Reads an ask; `None` if there is no such ask. `ask` is its name without the word and the
    /// full stop, `fields` the rest of the document. Nothing is done yet: whoever asks may not be
    /// allowed to.
    ///
    /// # Errors
    ///
    /// If the fields do not fit ([`Refused::bad_request`]): nothing is told of an act that cannot
    /// be carried out.
    fn read(&self, ask: &str, fields: &Map<String, Value>) -> Option<Result<Reading, Refused>>;
}

/// An ask that a [`Responder`] has read.
pub struct Reading {
    access: Access,
    answer: BoxFuture<'static, Result<Value, Refused>>,
}

impl Reading {
    /// An ask by what it needs of whoever asks, and by the future that carries it out. When nobody
    /// waits for the answer any more, the future of one that looks is dropped; one that acts goes
    /// on until the peer's own deadline.
    pub fn new(
        access: Access,
        answer: impl Future<Output = Result<Value, Refused>> + Send + 'static,
    ) -> Self {
        Self { access, answer: Box::pin(answer) }
    }

    /// What it needs, and what carries it out.
    pub(crate) fn into_parts(self) -> (Access, BoxFuture<'static, Result<Value, Refused>>) {
        (self.access, self.answer)
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("access", &self.access).finish_non_exhaustive()
    }
}

/// Whoever answers, by the first word of the asks.
#[derive(Default)]
pub(crate) struct Responders(RwLock<BTreeMap<&'static str, Arc<dyn Responder>>>);

impl Responders {
    /// Has asks that begin with `word` answered, by the last that wants to.
    pub(crate) fn set(&self, word: &'static str, responder: Arc<dyn Responder>) {
        // Whoever answered until now is dropped when the lock is free again.
        let former = self.0.write().insert(word, responder);
        drop(former);
    }

    /// Finds whoever answers an ask, and what the ask is called there.
    pub(crate) fn of<'a>(&self, ask: &'a str) -> Option<(Arc<dyn Responder>, &'a str)> {
        let (word, rest) = ask.split_once('.')?;
        let responder = self.0.read().get(word).cloned()?;
        Some((responder, rest))
    }
}

impl fmt::Debug for Responders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.read().keys()).finish()
    }
}
