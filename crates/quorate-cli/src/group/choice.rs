//! Whose word counts of all that answer at the given addresses, and who is asked for what any peer
//! can do.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::door::DoorError;
use crate::exit::{Exit, Failure};
use crate::group::{Group, Reached, nobody};
use crate::report::status::Status;

/// How long the others are waited for once somebody has answered.
pub(super) const OTHERS: Duration = Duration::from_secs(2);

/// The same once somebody has who says that it decides.
const SOON: Duration = Duration::from_millis(500);

/// How much the word of a peer counts: the most of one that decides, then that of one that follows
/// a primary, and the least of one that is no part of the group any more.
fn rank(status: &Status, all: &[Reached]) -> impl Ord + use<> {
    let standing = match status {
        _ if status.is_removed() => 0,
        _ if status.has_primary() && is_stranger(status, all) => 3,
        _ if status.decides() => 5,
        _ if status.has_primary() => 4,
        _ if status.group_id.is_some() && status.role == "replica" => 2,
        _ => 1,
    };
    (standing, status.generation, party(status, all), status.term, status.sequence)
}

/// How many of those that answer have a primary in the same group.
fn party(status: &Status, all: &[Reached]) -> usize {
    let agrees =
        |peer: &&Reached| peer.status.has_primary() && peer.status.group_id == status.group_id;
    all.iter().filter(agrees).count()
}

/// Returns true of a peer that has founded a group by itself: it is no member of another one that
/// has this name, and more who follow a primary. The generations of the two cannot be compared.
fn is_stranger(status: &Status, all: &[Reached]) -> bool {
    let own = party(status, all);
    all.iter().map(|peer| &peer.status).any(|other| {
        let is_other = other.has_primary() && !other.is_of(status);
        is_other && other.member(&status.name).is_none() && party(other, all) > own
    })
}

/// The place of the peer whose word counts; of equal ones the first.
pub(super) fn best_of(peers: &[Reached]) -> usize {
    let ranked = peers.iter().enumerate().rev();
    ranked.max_by_key(|(_, peer)| rank(&peer.status, peers)).map_or(0, |(index, _)| index)
}

/// Who answered at the given addresses, and why nobody did at the others.
pub(super) struct Heard {
    /// In the order of the addresses, and each once.
    pub(super) peers: Vec<Reached>,
    tries: Vec<(String, DoorError)>,
}

impl Heard {
    fn best(&self) -> &Status {
        &self.peers[best_of(&self.peers)].status
    }

    /// Returns true if one of them hears a primary, and no other is of another group.
    fn is_sure(&self) -> bool {
        let best = self.best();
        best.has_primary() && self.peers.iter().all(|peer| peer.status.is_of(best))
    }
}

impl Group {
    /// Asks all of the given addresses at the same time who and how the peers there are.
    ///
    /// # Errors
    ///
    /// If nobody answers; of each it is said why.
    pub(super) async fn hear(&self) -> Result<Heard, Failure> {
        let patience = self.patience();
        let start = Instant::now();
        let mut end = start + patience;
        let mut asked = JoinSet::new();
        for (index, contact) in self.contacts.iter().enumerate() {
            let (group, contact) = (self.clone(), contact.clone());
            asked.spawn(async move { (index, group.reach_within(&contact, patience).await) });
        }
        let mut reached = Vec::new();
        let mut tries = Vec::new();
        // Each ends by itself as long as nobody has answered.
        while let Some(joined) = joined(&mut asked, end, reached.is_empty()).await {
            let Ok((index, answer)) = joined else { continue };
            match answer {
                Ok(peer) => {
                    let more = if peer.status.decides() { SOON } else { OTHERS };
                    end = end.min(Instant::now() + more);
                    reached.push((index, peer));
                }
                Err(error) => tries.push((index, error)),
            }
        }
        reached.sort_by_key(|(index, _)| *index);
        tries.sort_by_key(|(index, _)| *index);
        let tries: Vec<(String, DoorError)> =
            tries.into_iter().map(|(at, error)| (self.contacts[at].clone(), error)).collect();
        let Some((_, first)) = reached.first() else { return Err(nobody(&tries)) };
        let group = first.status.group.clone();
        let mut known = BTreeSet::new();
        let mut is_new = |peer: &Reached| {
            let Status { name, incarnation, group_id, .. } = &peer.status;
            known.insert((name.clone(), incarnation.clone(), group_id.clone()))
        };
        let peers = reached.into_iter().map(|(_, peer)| peer);
        let peers = peers.filter(|peer| peer.status.group == group && is_new(peer)).collect();
        Ok(Heard { peers, tries })
    }

    /// A peer that is asked for what any of them can do: one that decides or hears who does, and
    /// not one that is no part of the group.
    ///
    /// # Errors
    ///
    /// If nobody answers, or two groups of this name decide.
    pub(crate) async fn any(&self) -> Result<Reached, Failure> {
        let group = self.timed();
        let mut heard = group.hear().await?;
        if heard.is_sure() {
            return Ok(heard.peers.swap_remove(best_of(&heard.peers)));
        }
        let survey = group.survey_from(heard).await;
        if let Some(two) = survey.two_groups() {
            let detail = format!(
                "{two}: name in --peer those of the one that is meant; nothing was changed"
            );
            return Err(Failure::new(Exit::Refused, "two_groups", detail));
        }
        Ok(survey.into_best())
    }

    /// The peer of this name, wherever it is.
    ///
    /// # Errors
    ///
    /// If nobody knows it, or it does not answer.
    pub(crate) async fn find(&self, name: &str) -> Result<Reached, Failure> {
        let group = self.timed();
        let mut heard = group.hear().await?;
        let best = heard.best();
        let is_it = |peer: &Reached| peer.door.peer() == name && peer.status.is_of(best);
        if let Some(index) = heard.peers.iter().position(is_it) {
            return Ok(heard.peers.swap_remove(index));
        }
        let others = heard.peers.iter().map(|peer| &peer.status);
        let mut addresses: Vec<&str> = Vec::new();
        for address in std::iter::once(best).chain(others).filter_map(|it| it.address_of(name)) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let mut tries = Vec::new();
        for address in addresses {
            match group.reach_within(address, group.patience()).await {
                // Where somebody else is, one of the other addresses may lead there.
                Ok(reached) if reached.door.peer() == name => return Ok(reached),
                Ok(reached) => {
                    let detail = format!("{address} leads to {}", reached.door.peer());
                    tries.push((address, DoorError::Unreachable { detail }));
                }
                Err(error) => tries.push((address, error)),
            }
        }
        Err(not_found(name, best, tries, &heard.tries))
    }
}

/// The next answer; `None` when all have come, or the time is up and somebody has answered.
async fn joined<T: 'static>(
    asked: &mut JoinSet<T>,
    end: Instant,
    is_first: bool,
) -> Option<Result<T, tokio::task::JoinError>> {
    match is_first {
        true => asked.join_next().await,
        false => timeout_at(end, asked.join_next()).await.ok().flatten(),
    }
}

/// What is said of a peer that none of some addresses has led to.
fn not_found(
    name: &str,
    best: &Status,
    tries: Vec<(&str, DoorError)>,
    given: &[(String, DoorError)],
) -> Failure {
    if let Some((address, error)) = tries.into_iter().next() {
        let detail = match error.detail() {
            detail if detail.contains(address) => format!("{name} is not reached: {detail}"),
            detail => format!("{name} is not reached at {address}: {detail}"),
        };
        return Failure { detail, ..error.of_look() };
    }
    if best.member(name).is_some() || best.other(name).is_some() {
        let detail = format!(
            "{name} is not reached: {} does not know its address; give it by --peer",
            best.name
        );
        return Failure::new(Exit::Unreached, "unreachable", detail);
    }
    let who: Vec<&str> = best.members.iter().map(|member| &*member.name).collect();
    let unheard = match given {
        [] => String::new(),
        [(address, _), ..] => format!("; nobody has answered at {address}"),
    };
    let detail = format!(
        "there is no peer {name} in this group{unheard}: its members are {}",
        who.join(", ")
    );
    Failure::new(Exit::Refused, "unknown_peer", detail)
}
