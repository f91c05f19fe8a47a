//! The contact of every two peers, and since when: what really was, in real time, for checkers
//! that ask what a group could have known.

use std::time::Duration;

use crate::base::clock::Moment;

/// The moments since which pairs of peers have heard each other without a break.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    since: Vec<Vec<Option<Moment>>>,
    /// The moments since which they have met and refused each other.
    refused: Vec<Vec<Option<Moment>>>,
    /// When they were together, have met and refused each other, and were linked.
    spans: Vec<Vec<[Span; 3]>>,
}

/// The last time for which something was so.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    is_now: bool,
    began: Option<Moment>,
    ended: Option<Moment>,
    /// When the one before it ended.
    before: Option<Moment>,
}

impl Span {
    fn note(&mut self, now: Moment, is_so: bool) {
        match (self.is_now, is_so) {
            (false, true) => {
                *self = Self { is_now: true, began: Some(now), ended: None, before: self.ended };
            }
            (true, false) => {
                self.is_now = false;
                self.ended = Some(now);
            }
            _ => {}
        }
    }

    /// The last moment at which it was so, but for what has begun within `recent`: nobody need know
    /// of that yet.
    fn last(&self, now: Moment, recent: Duration) -> Option<Moment> {
        match self.began {
            Some(began) if now.since(began) <= recent => self.before,
            _ if self.is_now => Some(now),
            _ => self.ended,
        }
    }
}

/// How two peers stand to each other at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meeting {
    /// They hear each other.
    pub(crate) is_joined: bool,
    /// They have met, and refuse each other.
    pub(crate) is_met: bool,
    /// They are linked, however well they hear each other.
    pub(crate) is_linked: bool,
}

impl Contact {
    /// Has room for what is noted of so many peers.
    pub(crate) fn resize(&mut self, size: usize) {
        self.since.resize(size, vec![None; size]);
        self.refused.resize(size, vec![None; size]);
        self.spans.resize(size, vec![[Span::default(); 3]; size]);
    }

    /// Notes how two peers stand to each other at this moment.
    pub(crate) fn note(&mut self, now: Moment, pair: [usize; 2], meeting: Meeting) {
        let [one, other] = pair;
        let Meeting { is_joined, is_met, is_linked } = meeting;
        let since = self.since[one][other].unwrap_or(now);
        let refused = self.refused[one][other].unwrap_or(now);
        for (one, other) in [(one, other), (other, one)] {
            self.since[one][other] = is_joined.then_some(since);
            self.refused[one][other] = is_met.then_some(refused);
            let are_so = [is_joined, is_met, is_linked];
            for (span, is_so) in self.spans[one][other].iter_mut().zip(are_so) {
                span.note(now, is_so);
            }
        }
    }

    /// Returns when two peers were last together, but for what has begun within `recent`.
    pub(crate) fn last_together(
        &self,
        now: Moment,
        pair: [usize; 2],
        recent: Duration,
    ) -> Option<Moment> {
        self.span(pair, 0)?.last(now, recent)
    }

    /// Returns when two peers have last met and refused each other, but for what has begun within
    /// `recent`.
    pub(crate) fn last_met(
        &self,
        now: Moment,
        pair: [usize; 2],
        recent: Duration,
    ) -> Option<Moment> {
        self.span(pair, 1)?.last(now, recent)
    }

    /// Returns when two peers were last linked.
    pub(crate) fn last_linked(&self, now: Moment, pair: [usize; 2]) -> Option<Moment> {
        let span = self.span(pair, 2)?;
        if span.is_now { Some(now) } else { span.ended }
    }

    fn span(&self, [one, other]: [usize; 2], which: usize) -> Option<&Span> {
        Some(&self.spans.get(one)?.get(other)?[which])
    }

    /// Returns how long two peers have been together.
    pub(crate) fn length(&self, now: Moment, one: usize, other: usize) -> Duration {
        let since = self.since.get(one).and_then(|row| row[other]);
        since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Returns how long two peers have refused each other for their settings.
    pub(crate) fn refusal(&self, now: Moment, one: usize, other: usize) -> Duration {
        let since = self.refused.get(one).and_then(|row| row[other]);
        since.map_or(Duration::ZERO, |since| now.since(since))
    }
}
