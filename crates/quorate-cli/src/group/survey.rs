//! A look at all members of a group at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::door::DoorError;
use crate::exit::Failure;
use crate::group::choice::{Heard, OTHERS, best_of};
use crate::group::{Group, Reached};
use crate::report::health::{Seen, Thresholds};
use crate::report::status::{Member, Status};

/// Whoever has kept us waiting for so long is not asked at every look.
const SLOW: Duration = Duration::from_secs(1);

/// How long such a member is left alone.
const REST: Duration = Duration::from_secs(10);

/// Members that are asked at most.
const MAX_ASKED: usize = 32;

/// How often those are asked that somebody has named who turned out to know more.
const MAX_ROUNDS: usize = 3;

/// What was heard of all members. There is one peer at least.
#[derive(Default)]
pub(crate) struct Survey {
    pub(crate) peers: Vec<Reached>,
    /// Peers of other groups that have the same name.
    strays: Vec<Reached>,
    /// What those say.
    stray_statuses: Vec<Status>,
    /// Members that did not answer, and why.
    pub(crate) unanswered: Vec<(String, String)>,
    /// Of those the ones that are left alone, and until when.
    resting: BTreeMap<String, Instant>,
}

impl Group {
    /// Asks at all of the given addresses who the others are, and then all of them.
    ///
    /// # Errors
    ///
    /// If nobody answers at the given addresses.
    pub(crate) async fn survey(&self) -> Result<Survey, Failure> {
        let group = self.timed();
        let heard = group.hear().await?;
        Ok(group.survey_from(heard).await)
    }

    /// Asks all others that those know who have answered.
    pub(super) async fn survey_from(&self, heard: Heard) -> Survey {
        let survey = Survey { peers: heard.peers, ..Survey::default() };
        survey.complete(self).await
    }
}

impl Survey {
    /// Asks all of them again over the connections that there are, and those that are missing anew.
    ///
    /// # Errors
    ///
    /// If none of the given peers answers.
    pub(crate) async fn again(mut self, group: &Group) -> Result<Self, Failure> {
        let group = &group.timed();
        let patience = group.patience().min(OTHERS);
        let mut asked = JoinSet::new();
        let strays = std::mem::take(&mut self.strays);
        for mut peer in std::mem::take(&mut self.peers).into_iter().chain(strays) {
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
        let mut survey = Self { unanswered, resting, ..Self::default() };
        while let Some(joined) = asked.join_next().await {
            survey.peers.extend(joined.ok().flatten());
        }
        if survey.peers.is_empty() {
            return group.survey().await;
        }
        // They come in any order.
        survey.sort();
        Ok(survey.complete(group).await)
    }

    /// Asks whoever is missing, and leaves out who is no part of the group.
    async fn complete(mut self, group: &Group) -> Self {
        for _ in 0..MAX_ROUNDS {
            let best = self.best_index();
            self.add_others(group).await;
            if best == self.best_index() {
                break;
            }
        }
        self.confirm_primaries(group).await;
        self.part();
        self.sort();
        self
    }

    /// Leaves out those of other groups that have this name.
    fn part(&mut self) {
        let best = self.best().status.clone();
        let peers = std::mem::take(&mut self.peers);
        (self.peers, self.strays) = peers.into_iter().partition(|peer| peer.status.is_of(&best));
        self.stray_statuses = self.strays.iter().map(|peer| peer.status.clone()).collect();
        for stray in &self.stray_statuses {
            let name = &stray.name;
            let is_here = self.peers.iter().any(|peer| peer.status.name == *name);
            let is_told = self.unanswered.iter().any(|(told, _)| told == name);
            if best.member(name).is_some() && !is_here && !is_told {
                let id = stray.group_id.as_deref().unwrap_or("none");
                let why = format!("whoever answers is of another group of this name, {id}");
                self.unanswered.push((name.clone(), why));
            }
        }
        let here: BTreeSet<&str> = self.peers.iter().map(|peer| &*peer.status.name).collect();
        let is_missing = |name: &str| best.member(name).is_some() && !here.contains(name);
        self.unanswered.retain(|(name, _)| is_missing(name));
    }

    /// The two groups of one name that decide, in a sentence, if there are two.
    pub(super) fn two_groups(&self) -> Option<String> {
        let deciding = self.stray_statuses.iter().find(|status| status.decides())?;
        let best = Some(&self.best().status).filter(|status| status.decides())?;
        Some(best.two_groups(deciding))
    }

    pub(crate) fn into_best(mut self) -> Reached {
        let index = self.best_index();
        self.peers.swap_remove(index)
    }

    /// Puts them into the order of their names.
    pub(crate) fn sort(&mut self) {
        self.peers.sort_by(|one, other| one.status.name.cmp(&other.status.name));
        self.unanswered.sort();
    }

    /// Those that have not answered of the members of the group that speaks; and of any other group
    /// of this name that has a primary: it may be the one that is to speak.
    fn missing(&self) -> Vec<Member> {
        let best = &self.best().status;
        let mut views = vec![best];
        for status in self.statuses().into_iter().filter(|status| status.has_primary()) {
            if views.iter().all(|view| !view.is_of(status)) {
                views.push(status);
            }
        }
        let is_told = |name: &str| self.unanswered.iter().any(|(told, _)| told == name);
        let missing = views.into_iter().flat_map(|view| {
            let is_of = |peer: &&Reached| peer.status.is_of(view);
            let here: BTreeSet<&str> =
                self.peers.iter().filter(is_of).map(|peer| &*peer.status.name).collect();
            view.members.iter().filter(move |member| !here.contains(&*member.name))
        });
        missing.filter(|member| !is_told(&member.name)).cloned().collect()
    }

    /// Asks those members that are not among the peers yet, all at the same time.
    async fn add_others(&mut self, group: &Group) {
        let patience = group.patience().min(OTHERS);
        let mut asked = JoinSet::new();
        let missing = self.missing();
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

    /// The place of the status that speaks for the group.
    fn best_index(&self) -> usize {
        best_of(&self.peers)
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
        Seen {
            best,
            all: statuses,
            strays: &self.stray_statuses,
            unanswered: &self.unanswered,
            now_ms,
            thresholds,
        }
    }
}
