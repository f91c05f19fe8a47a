//! A look at all members of a group at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::door::DoorError;
use crate::exit::Failure;
use crate::group::{Group, Reached};
use crate::report::health::{Seen, Thresholds};
use crate::report::status::{Member, Status};

/// How long those are waited for that are not the first to answer.
const OTHERS: Duration = Duration::from_secs(2);

/// Whoever has kept us waiting for so long is not asked at every look.
const SLOW: Duration = Duration::from_secs(1);

/// How long such a member is left alone.
const REST: Duration = Duration::from_secs(10);

/// Members that are asked at most.
const MAX_ASKED: usize = 32;

/// What was heard of all members.
pub(crate) struct Survey {
    pub(crate) peers: Vec<Reached>,
    /// Members that did not answer, and why.
    pub(crate) unanswered: Vec<(String, String)>,
    /// Of those the ones that are left alone, and until when.
    resting: BTreeMap<String, Instant>,
}

impl Group {
    /// Asks the first peer that answers who the others are, and then all of them.
    ///
    /// # Errors
    ///
    /// If none of the given peers answers.
    pub(crate) async fn survey(&self) -> Result<Survey, Failure> {
        let first = self.first().await?;
        let mut survey =
            Survey { peers: vec![first], unanswered: Vec::new(), resting: BTreeMap::new() };
        survey.add_others(self).await;
        survey.confirm_primaries(self).await;
        survey.sort();
        Ok(survey)
    }
}

impl Survey {
    /// Asks all of them again over the connections that there are, and those that are missing anew.
    ///
    /// # Errors
    ///
    /// If none of the given peers answers.
    pub(crate) async fn again(mut self, group: &Group) -> Result<Self, Failure> {
        let patience = group.patience().min(OTHERS);
        let mut asked = JoinSet::new();
        for mut peer in std::mem::take(&mut self.peers) {
            asked.spawn(async move {
                let ask = json!({"ask": "status"});
                let document = timeout(patience, peer.door.ask(&ask)).await.ok()?.ok()?;
                peer.status = Status::read(&document);
                peer.document = document;
                Some(peer)
            });
        }
        let Self { mut unanswered, mut resting, .. } = self;
        let now = Instant::now();
        resting.retain(|_, until| *until > now);
        unanswered.retain(|(name, _)| resting.contains_key(name));
        let mut survey = Self { peers: Vec::new(), unanswered, resting };
        while let Some(joined) = asked.join_next().await {
            survey.peers.extend(joined.ok().flatten());
        }
        if survey.peers.is_empty() {
            return group.survey().await;
        }
        survey.add_others(group).await;
        survey.confirm_primaries(group).await;
        survey.sort();
        Ok(survey)
    }

    /// Puts them into the order of their names.
    pub(crate) fn sort(&mut self) {
        self.peers.sort_by(|one, other| one.status.name.cmp(&other.status.name));
        self.unanswered.sort();
    }

    /// Asks those members that are not among the peers yet, all at the same time.
    async fn add_others(&mut self, group: &Group) {
        let patience = group.patience().min(OTHERS);
        let mut asked = JoinSet::new();
        let is_here = |name: &str| self.peers.iter().any(|peer| peer.status.name == name);
        let members = &self.best().status.members;
        let is_wanted = |name: &str| !is_here(name) && !self.resting.contains_key(name);
        let missing: Vec<Member> =
            members.iter().filter(|member| is_wanted(&member.name)).cloned().collect();
        let start = Instant::now();
        for member in missing.into_iter().take(MAX_ASKED) {
            let group = group.clone();
            asked.spawn(async move {
                let Some(address) = member.address else {
                    let detail = "its address is not known".to_owned();
                    return (member.name, Err(DoorError::Unreachable { detail }));
                };
                let reached = group.reach_within(&address, patience).await;
                let reached = reached.and_then(|reached| match reached.door.peer() {
                    peer if peer == member.name => Ok(reached),
                    peer => {
                        let detail = format!("{address} leads to {peer}");
                        Err(DoorError::Unreachable { detail })
                    }
                });
                (member.name, reached)
            });
        }
        while let Some(joined) = asked.join_next().await {
            // None of them is aborted; one that has panicked has said so.
            let Ok((name, reached)) = joined else { continue };
            match reached {
                Ok(reached) => self.peers.push(reached),
                Err(error) => {
                    if start.elapsed() >= SLOW {
                        self.resting.insert(name.clone(), Instant::now() + REST);
                    }
                    self.unanswered.push((name, error.detail().to_owned()));
                }
            }
        }
    }

    /// Asks those again that say that they decide, if several do: one may have handed over to the
    /// other between the two answers.
    async fn confirm_primaries(&mut self, group: &Group) {
        if self.peers.iter().filter(|peer| peer.status.decides()).count() < 2 {
            return;
        }
        for peer in self.peers.iter_mut().filter(|peer| peer.status.decides()) {
            let ask = json!({"ask": "status"});
            let asked = timeout(group.patience().min(OTHERS), peer.door.ask(&ask)).await;
            if let Ok(Ok(document)) = asked {
                peer.status = Status::read(&document);
                peer.document = document;
            }
        }
    }

    /// The place of the status that speaks for the group: the primary's, or that of whoever hears
    /// one, or of whoever stands furthest.
    fn best_index(&self) -> usize {
        let rank = |status: &Status| {
            let ballot = (status.generation, status.term, status.sequence);
            (status.has_primary(), status.decides(), ballot)
        };
        let ranked = self.peers.iter().enumerate().rev();
        ranked.max_by_key(|(_, peer)| rank(&peer.status)).map_or(0, |(index, _)| index)
    }

    pub(crate) fn best(&self) -> &Reached {
        &self.peers[self.best_index()]
    }

    pub(crate) fn best_mut(&mut self) -> &mut Reached {
        let index = self.best_index();
        &mut self.peers[index]
    }

    pub(crate) fn statuses(&self) -> Vec<&Status> {
        self.peers.iter().map(|peer| &peer.status).collect()
    }

    /// What was seen, for whoever looks for what is wrong.
    pub(crate) fn seen<'a>(
        &'a self,
        statuses: &'a [&'a Status],
        now_ms: u64,
        thresholds: Thresholds,
    ) -> Seen<'a> {
        let best = &self.best().status;
        Seen { best, all: statuses, unanswered: &self.unanswered, now_ms, thresholds }
    }
}
