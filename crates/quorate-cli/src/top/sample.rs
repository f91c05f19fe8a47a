//! What is asked of the peers for one screen.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout};

use crate::exit::Failure;
use crate::group::{Group, Reached, Survey};
use crate::report::document::Document;
use crate::report::event::{Event, Events};
use crate::text::clean::clean;
use crate::top::counts::{Counts, Times};

/// How long a peer has for its numbers.
const PATIENCE: Duration = Duration::from_secs(2);

/// Limits of which the keys are asked for at one look, one after the other in turn.
const SOME_LIMITS: usize = 8;

/// The same of a look that is the only one.
const MANY_LIMITS: usize = 64;

/// Keys of each limit.
const MAX_KEYS: u64 = 5;

/// Limits that are shown.
const MAX_KNOWN: usize = 1024;

/// Events that are kept for the screen.
const MAX_EVENTS: usize = 100;

/// What one peer has counted since it started.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counted {
    pub(crate) totals: Counts,
    pub(crate) limits: BTreeMap<String, Counts>,
    pub(crate) times: Times,
}

/// A key and the units that count for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) key: String,
    /// The same in hexadecimal digits, where it is no text and the peer says so.
    pub(crate) key_hex: Option<String>,
    pub(crate) used: u64,
}

/// All that was heard at one moment, and what is still known from before.
pub(crate) struct Sample {
    pub(crate) survey: Survey,
    pub(crate) at: Instant,
    /// By the peer that counted.
    pub(crate) counted: BTreeMap<String, Counted>,
    /// The fullest keys, by limit.
    pub(crate) keys: BTreeMap<String, Vec<Used>>,
    /// The limits that the group decides by, each with the most units that it admits at once, if
    /// it has such a number.
    pub(crate) capacities: BTreeMap<String, Option<u64>>,
    /// The newest last, with the peer that tells of them.
    pub(crate) events: Vec<(String, Event)>,
    /// Since when the primary is primary, by the events.
    pub(crate) reign: Option<Reign>,
    /// The peer whose events they are, and the number to go on from.
    next_event: (String, u64),
    /// The limit whose keys are asked for next.
    turn: usize,
}

/// A reign, and when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    primary: String,
    term: Option<u64>,
    pub(crate) since_ms: u64,
}

/// Whose keys are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// One limit's after the other: a look at them goes through all cells of the primary.
    OneLimit,
    Some,
    /// As many as are asked for at all, in a look that is the only one.
    Many,
    /// None: what was counted is all that is wanted of this look.
    Nothing,
}

impl Sample {
    /// The first one.
    ///
    /// # Errors
    ///
    /// If nobody answers.
    pub(crate) async fn first(group: &Group, keys: Keys) -> Result<Self, Failure> {
        let survey = group.survey().await?;
        let mut sample = Self {
            survey,
            at: Instant::now(),
            counted: BTreeMap::new(),
            keys: BTreeMap::new(),
            capacities: BTreeMap::new(),
            events: Vec::new(),
            reign: None,
            next_event: (String::new(), 0),
            turn: 0,
        };
        sample.fill(keys).await;
        Ok(sample)
    }

    /// The next one, over the connections that there are; returns what was counted before as well.
    ///
    /// # Errors
    ///
    /// If nobody answers.
    pub(crate) async fn next(self, group: &Group, keys: Keys) -> Result<Self, Failure> {
        let survey = self.survey.again(group).await?;
        let mut sample = Self { survey, at: Instant::now(), counted: BTreeMap::new(), ..self };
        sample.fill(keys).await;
        Ok(sample)
    }

    async fn fill(&mut self, keys: Keys) {
        self.count().await;
        self.hear_events().await;
        self.ask_for_keys(keys).await;
    }

    /// Asks every peer for its numbers, all at the same time.
    async fn count(&mut self) {
        let mut asked = JoinSet::new();
        for mut peer in std::mem::take(&mut self.survey.peers) {
            asked.spawn(async move {
                let stats = answer(&mut peer, json!({"ask": "stats"})).await;
                let limits = answer(&mut peer, json!({"ask": "limits.stats"})).await;
                (peer, Counted::read(&stats, &limits))
            });
        }
        while let Some(joined) = asked.join_next().await {
            let Ok((peer, counted)) = joined else { continue };
            self.counted.insert(peer.status.name.clone(), counted);
            self.survey.peers.push(peer);
        }
        self.survey.sort();
    }

    /// Asks the one who speaks for the group what happened.
    async fn hear_events(&mut self) {
        let peer = self.survey.best_mut();
        let name = peer.status.name.clone();
        let (primary, term) = (peer.status.primary.clone(), peer.status.term);
        let is_of = |reign: &Reign| Some(&reign.primary) == primary.as_ref() && reign.term == term;
        let known = self.reign.take().filter(is_of);
        let since = match &self.next_event {
            (of, next) if *of == name => *next,
            _ => 0,
        };
        let answer = answer(peer, json!({"ask": "events", "since": since, "wait_ms": 0})).await;
        let heard = Events::read(&answer, since);
        let began = heard.events.iter().rev().map(|(event, _)| event).find(|event| {
            event.name == "primary_changed" && event.primary.is_some() && event.primary == primary
        });
        let began = began.zip(primary);
        let began = began.map(|(event, primary)| Reign { primary, term, since_ms: event.at_ms });
        self.reign = known.or(began);
        let newest = self.events.last().map_or(0, |(_, event)| event.at_ms);
        for (event, _) in heard.events {
            // Of another peer only what is news.
            if since > 0 || event.at_ms > newest {
                self.events.push((name.clone(), event));
            }
        }
        let surplus = self.events.len().saturating_sub(MAX_EVENTS);
        self.events.drain(..surplus);
        self.next_event = (name, heard.next);
    }

    /// The limits that are shown: those with the most decisions first. A peer counts by the limits
    /// that its code has, and sums up the others, so there are more than those.
    pub(crate) fn limits(&self) -> Vec<String> {
        let mut totals: BTreeMap<&str, u64> =
            self.capacities.keys().map(|name| (&**name, 0)).collect();
        for (name, counts) in self.counted.values().flat_map(|counted| &counted.limits) {
            let total = totals.entry(name).or_default();
            *total = total.saturating_add(counts.decisions);
        }
        let mut limits: Vec<(&str, u64)> = totals.into_iter().collect();
        limits
            .sort_by(|(one, of_one), (other, of_other)| of_other.cmp(of_one).then(one.cmp(other)));
        limits.into_iter().take(MAX_KNOWN).map(|(name, _)| name.to_owned()).collect()
    }

    async fn ask_for_keys(&mut self, keys: Keys) {
        if keys == Keys::Nothing {
            return;
        }
        let got = answer(self.survey.best_mut(), json!({"ask": "limits.get"})).await;
        let got = Document::of(&got).at("limits");
        if got.is_there() {
            let limits = got.entries().take(MAX_KNOWN);
            self.capacities = limits.map(|(name, spec)| (clean(name), capacity(spec))).collect();
        }
        let limits = self.limits();
        self.keys.retain(|limit, _| limits.contains(limit));
        // What a peer sums up is no limit.
        let is_limit =
            |name: &&String| self.capacities.is_empty() || self.capacities.contains_key(*name);
        let limits: Vec<String> = limits.iter().filter(is_limit).cloned().collect();
        let many = match keys {
            Keys::Nothing => 0,
            Keys::OneLimit => 1,
            Keys::Some => SOME_LIMITS,
            Keys::Many => MANY_LIMITS,
        };
        let many = many.min(limits.len());
        for limit in limits.iter().cycle().skip(self.turn).take(many) {
            let ask = json!({"ask": "limits.top", "limit": limit, "n": MAX_KEYS});
            let top = answer(self.survey.best_mut(), ask).await;
            self.keys.insert(limit.clone(), used(&top));
        }
        self.turn = (self.turn + many).checked_rem(limits.len()).unwrap_or_default();
    }
}

/// What a peer answers; nothing, if it does not.
async fn answer(peer: &mut Reached, ask: Value) -> Value {
    match timeout(PATIENCE, peer.door.ask(&ask)).await {
        Ok(Ok(answer)) => answer,
        _ => Value::Null,
    }
}

/// The most units that a limit admits at once, by what a limits file says of it.
fn capacity(spec: Document<'_>) -> Option<u64> {
    let given = ["burst", "max", "concurrent"].into_iter().find_map(|field| spec.number(field));
    // A rate without a burst admits its number.
    given.or_else(|| spec.text("rate")?.split('/').next()?.trim().parse().ok())
}

fn used(top: &Value) -> Vec<Used> {
    let list = Document::of(top).list("used").take(MAX_KEYS as usize);
    let read = |entry: Document<'_>| {
        let (key, key_hex) = (entry.text("key")?, entry.text("key_hex"));
        Some(Used { key, key_hex, used: entry.number("used")? })
    };
    list.filter_map(read).collect()
}

impl Counted {
    fn read(stats: &Value, limits: &Value) -> Self {
        let limits = Document::of(limits);
        let by_limit = limits.at("limits").entries();
        Self {
            totals: Counts::read(limits.at("totals")),
            limits: by_limit.map(|(name, counts)| (clean(name), Counts::read(counts))).collect(),
            times: Times::of_peer(Document::of(stats)),
        }
    }
}
