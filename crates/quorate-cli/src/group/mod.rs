//! The group that a command is for: found by any of its peers, and reached at each of them.

mod choice;
mod survey;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use crate::door::{Door, DoorError, Doors};
use crate::exit::{Exit, Failure};
use crate::report::status::Status;
use crate::text::units::waited;

pub(crate) use survey::Survey;

/// Addresses that are tried at most.
pub(crate) const MAX_CONTACTS: usize = 64;

/// A group, by the addresses at which somebody of it may be.
#[derive(Clone)]
pub(crate) struct Group {
    doors: Arc<dyn Doors>,
    contacts: Vec<String>,
    /// How long a question may take from its first connection to its answer.
    patience: Duration,
    /// When all that is asked has to have ended.
    end: Option<Instant>,
}

/// A peer that has said who it is and how it is.
pub(crate) struct Reached {
    pub(crate) door: Box<dyn Door>,
    pub(crate) address: String,
    pub(crate) status: Status,
    /// The status as it came.
    pub(crate) document: Value,
}

impl Group {
    /// A group of which some peer is at one of these addresses.
    ///
    /// # Errors
    ///
    /// If no address is given, or too many are.
    pub(crate) fn new(
        doors: Arc<dyn Doors>,
        contacts: Vec<String>,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let contacts: Vec<String> = contacts
            .iter()
            .map(|contact| contact.trim().to_owned())
            .filter(|contact| !contact.is_empty())
            .collect();
        match contacts.len() {
            0 => Err(Failure::usage("no_peers", NO_PEERS)),
            1..=MAX_CONTACTS => Ok(Self { doors, contacts, patience, end: None }),
            many => Err(Failure::usage(
                "too_many_peers",
                format!("{many} addresses are given, and {MAX_CONTACTS} are the most"),
            )),
        }
    }

    /// The time that is left for what is asked next.
    pub(crate) fn patience(&self) -> Duration {
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        self.end.map_or(self.patience, |end| left(end).min(self.patience))
    }

    /// The same group, of which all that is asked ends within the time that a question may take,
    /// counted from now unless it is counted already.
    pub(crate) fn timed(&self) -> Self {
        let end = self.end.unwrap_or_else(|| Instant::now() + self.patience);
        Self { end: Some(end), ..self.clone() }
    }

    /// Gives so much time more: it has gone by while somebody was asked whether it is meant.
    pub(crate) fn extend(&mut self, by: Duration) {
        self.end = self.end.map(|end| end + by);
    }

    /// The first of the given peers that answers. Each has its part of the time that is left.
    ///
    /// # Errors
    ///
    /// If none does; of each it is said why.
    pub(crate) async fn first(&self) -> Result<Reached, Failure> {
        let group = self.timed();
        let mut tries = Vec::new();
        for (index, contact) in self.contacts.iter().enumerate() {
            let others = u32::try_from(self.contacts.len() - index).unwrap_or(u32::MAX);
            match group.reach_within(contact, group.patience() / others).await {
                Ok(reached) => return Ok(reached),
                Err(error) => tries.push((contact.clone(), error)),
            }
        }
        Err(nobody(&tries))
    }

    /// Connects to an address, and hears who and how the peer there is.
    ///
    /// # Errors
    ///
    /// If that takes longer than `patience`, or is refused.
    pub(crate) async fn reach_within(
        &self,
        address: &str,
        patience: Duration,
    ) -> Result<Reached, DoorError> {
        if patience.is_zero() {
            let detail = format!("no time is left to ask at {address}");
            return Err(DoorError::Unreachable { detail });
        }
        let end = Instant::now() + patience;
        let late = |_| DoorError::Unreachable {
            detail: format!("nobody answered at {address} within {}", waited(patience)),
        };
        let mut door = timeout_at(end, self.doors.open(address)).await.map_err(late)??;
        let ask = json!({"ask": "status"});
        let document = timeout_at(end, door.ask(&ask)).await.map_err(late)??;
        let mut status = Status::read(&document);
        if status.name.is_empty() {
            status.name = door.peer().to_owned();
        }
        Ok(Reached { door, address: address.to_owned(), status, document })
    }
}

impl Reached {
    /// Asks for something that changes nothing.
    ///
    /// # Errors
    ///
    /// If it is refused, or takes longer than `patience`.
    pub(crate) async fn look(&mut self, ask: Value, patience: Duration) -> Result<Value, Failure> {
        let asked = timeout(patience, self.door.ask(&ask)).await;
        let late = |_| {
            let detail = format!("{} did not answer within {}", self.status.name, waited(patience));
            Failure::new(Exit::Unreached, "timed_out", detail)
        };
        asked.map_err(late)?.map_err(DoorError::of_look)
    }

    /// Asks for a change.
    ///
    /// # Errors
    ///
    /// If it is refused; if the answer does not come within `patience` the outcome is unknown.
    pub(crate) async fn act(&mut self, ask: Value, patience: Duration) -> Result<Value, Failure> {
        if patience.is_zero() {
            let detail = format!(
                "no time is left to ask {}; nothing was changed: give a longer --timeout",
                self.status.name
            );
            return Err(Failure::new(Exit::Unreached, "timed_out", detail));
        }
        let asked = timeout(patience, self.door.ask(&ask)).await;
        let late = |_| {
            let detail = format!(
                "{} did not answer within {}: it may be done or not; look at quorate \
                 status, or ask again with a longer --timeout",
                self.status.name,
                waited(patience)
            );
            Failure::new(Exit::Unknown, "timed_out", detail)
        };
        asked.map_err(late)?.map_err(DoorError::of_act)
    }
}

const NO_PEERS: &str = "no address is given: say where a peer of the group is, by --peer HOST:PORT \
                        or the variable QUORATE_PEERS; it is the port at which the peers meet each \
                        other";

/// What is said where none of several addresses has led anywhere.
fn nobody(tries: &[(String, DoorError)]) -> Failure {
    let is_kept_out = |(_, error): &(String, DoorError)| {
        matches!(error, DoorError::NotAllowed { .. } | DoorError::Refused { .. })
    };
    let error = if tries.iter().any(is_kept_out) { "not_allowed" } else { "unreachable" };
    let told: Vec<String> = tries
        .iter()
        .map(|(address, error)| match error.detail() {
            detail if detail.contains(&**address) => detail.to_owned(),
            detail => format!("{address}: {detail}"),
        })
        .collect();
    Failure::new(Exit::Unreached, error, told.join("; "))
}
