//! The proof of `local_group`: every answer as its caller saw it, and what must be true of them.
//!
//! The ledger knows nothing of the group but its answers. Each carries its position in the order of
//! all decisions and the count that was left after it, so that the history can be replayed here:
//!
//! ```text
//!  position   1.1:65537  1.1:65540  1.1:131080  1.2:262145 ..   (generation.term:sequence)
//!  units            2          1           3           1
//!  used             2          3           6           7        = limit - remaining
//! ```
//!
//! A unit that was admitted twice, forgotten at the failover or decided by a primary that had been
//! deposed shows as a count that does not fit, or as an answer out of its place.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Place of a decision in the order of all: generation, term, sequence.
pub type Place = (u64, u64, u64);

/// One answered call.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which key, as an index into the names given to [`Ledger::new`].
    pub key: usize,
    /// When it was asked, on the caller's clock.
    pub asked: Duration,
    /// When it was answered.
    pub answered: Duration,
    /// Units asked for.
    pub units: u64,
    /// Whether they were admitted.
    pub allowed: bool,
    /// The limit of the key.
    pub limit: u64,
    /// What the answer said was left.
    pub remaining: u64,
    /// The window it counts in; `None` for a rate.
    pub window: Option<u64>,
    /// Whether a peer without a primary decided alone.
    pub is_local: bool,
    /// Its place in the order of all decisions.
    pub place: Place,
}

/// What the group promises under its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Strict, acknowledged by a majority: nothing is lost and no limit exceeded.
    Exact,
    /// Strict, acknowledged by the primary: a failover may lose this many units.
    Bounded {
        /// The cap that the group is set to.
        max_lost: u64,
    },
    /// Relaxed: without a primary each of so many peers may admit up to the limit alone.
    Alone {
        /// Size of the group.
        peers: u64,
    },
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => write!(f, "strict, acknowledged by a majority: nothing may be lost"),
            Self::Bounded { max_lost } => {
                write!(f, "strict, acknowledged by the primary: {max_lost} units may be lost")
            }
            Self::Alone { .. } => write!(f, "relaxed: without a primary each decides alone"),
        }
    }
}

/// One line of the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is claimed.
    pub claim: &'static str,
    /// Whether it held.
    pub holds: bool,
    /// The numbers, or what broke it.
    pub detail: String,
}

/// All answers of a run.
#[derive(Debug, Default)]
pub struct Ledger {
    names: Vec<String>,
    entries: Vec<Entry>,
    unknown: BTreeMap<usize, u64>,
}

/// What is known of one key in one window.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    limit: u64,
    acknowledged: u64,
    unknown: u64,
    /// The group's count after the last decision, and the place of that.
    counted: u64,
    last: Place,
}

impl Account {
    fn excess(&self) -> u64 {
        self.acknowledged.saturating_sub(self.limit)
    }

    fn lost(&self) -> u64 {
        self.acknowledged.saturating_sub(self.counted)
    }
}

type Accounts = BTreeMap<(usize, u64), Account>;

impl Ledger {
    /// An empty ledger for keys of these names.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// Writes down an answer.
    pub fn record(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Writes down a call whose outcome nobody knows: its units may have been counted.
    pub fn record_unknown(&mut self, key: usize, units: u64) {
        *self.unknown.entry(key).or_default() += units;
    }

    /// Takes over all that another ledger of the same keys holds.
    pub fn append(&mut self, other: Self) {
        self.entries.extend(other.entries);
        for (key, units) in other.unknown {
            self.record_unknown(key, units);
        }
    }

    /// All answers, in no particular order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Units of calls without a known outcome.
    pub fn unknown_units(&self) -> u64 {
        self.unknown.values().sum()
    }

    /// Units admitted.
    pub fn acknowledged_units(&self) -> u64 {
        self.entries.iter().filter(|entry| entry.allowed).map(|entry| entry.units).sum()
    }

    /// Answers a second between two moments.
    pub fn per_second(&self, from: Duration, to: Duration) -> u64 {
        let count =
            self.entries.iter().filter(|entry| (from..to).contains(&entry.answered)).count();
        (count as f64 / to.saturating_sub(from).as_secs_f64().max(1e-9)) as u64
    }

    /// How long nobody was answered by a primary at the first change of reign: from the last answer
    /// of the one to the first of the next; `None` if there was no change.
    pub fn time_without_primary(&self) -> Option<Duration> {
        let mut reigns: BTreeMap<(u64, u64), (Duration, Duration)> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| !entry.is_local) {
            let (generation, term, _) = entry.place;
            let reign = reigns.entry((generation, term)).or_insert((Duration::MAX, Duration::ZERO));
            *reign = (reign.0.min(entry.answered), reign.1.max(entry.answered));
        }
        let mut reigns = reigns.into_values();
        let ((_, last), (first, _)) = (reigns.next()?, reigns.next()?);
        Some(first.saturating_sub(last))
    }

    /// Units admitted by answers between two moments.
    pub fn acknowledged_between(&self, from: Duration, to: Duration) -> u64 {
        let between = self.entries.iter().filter(|entry| (from..to).contains(&entry.answered));
        between.filter(|entry| entry.allowed).map(|entry| entry.units).sum()
    }

    /// Admitted units that the group's last counts do not have.
    pub fn lost_units(&self) -> u64 {
        self.accounts().values().map(Account::lost).sum()
    }

    /// The longest that anybody waited for an answer that came between two moments.
    pub fn longest_wait(&self, from: Duration, to: Duration) -> Duration {
        let between = self.entries.iter().filter(|entry| (from..to).contains(&entry.answered));
        let waits = between.map(|entry| entry.answered.saturating_sub(entry.asked));
        waits.max().unwrap_or_default()
    }

    /// Holds the answers against what the group promises.
    pub fn prove(&self, promise: Promise) -> Vec<Finding> {
        let accounts = self.accounts();
        vec![
            self.prove_limits(&accounts, promise),
            self.prove_units(&accounts, promise),
            self.prove_order(promise),
        ]
    }

    /// Holds the answers of rate limits, each of `per_second` units and at most `burst` at once,
    /// against the time that passed. Callers' clocks and the group's differ: a second is granted.
    pub fn prove_rate(&self, per_second: u64, burst: u64) -> Finding {
        let entries = || self.entries.iter().filter(|entry| entry.window.is_none());
        let mut admitted: BTreeMap<usize, u64> = BTreeMap::new();
        for entry in entries().filter(|entry| entry.allowed) {
            *admitted.entry(entry.key).or_default() += entry.units;
        }
        let first = entries().map(|entry| entry.asked).min().unwrap_or_default();
        let last = entries().map(|entry| entry.answered).max().unwrap_or_default();
        let seconds = last.saturating_sub(first).as_secs();
        let most = burst + per_second * (seconds + 2);
        let worst = admitted.into_values().max().unwrap_or_default();
        Finding {
            claim: "the rate was kept",
            holds: worst <= most,
            detail: format!("{worst} units of {per_second}/s, burst {burst}, in {seconds} s"),
        }
    }

    fn accounts(&self) -> Accounts {
        let mut accounts = Accounts::new();
        for entry in &self.entries {
            let Some(window) = entry.window else { continue };
            let account = accounts.entry((entry.key, window)).or_default();
            account.limit = entry.limit;
            account.unknown = self.unknown.get(&entry.key).copied().unwrap_or_default();
            if entry.allowed {
                account.acknowledged += entry.units;
            }
            if !entry.is_local && entry.place >= account.last {
                account.last = entry.place;
                account.counted = used(entry);
            }
        }
        accounts
    }

    fn prove_limits(&self, accounts: &Accounts, promise: Promise) -> Finding {
        let excess: u64 = accounts.values().map(Account::excess).sum();
        let full = accounts.values().filter(|account| account.acknowledged >= account.limit);
        let full = format!("{} of {} windows were filled", full.count(), accounts.len());
        let worst = accounts.iter().max_by_key(|(_, account)| account.excess());
        let worst = worst.map_or_else(String::new, |((key, _), account)| {
            let Account { acknowledged, limit, .. } = account;
            format!("{}: {acknowledged} of {limit} admitted", self.names[*key])
        });
        let (claim, holds, detail) = match promise {
            Promise::Exact if excess == 0 => {
                ("no limit was exceeded", true, format!("{full}, none by a unit too many"))
            }
            Promise::Exact => ("no limit was exceeded", false, worst),
            Promise::Bounded { max_lost } => (
                "limits were exceeded by no more than may be lost",
                excess <= max_lost,
                format!("{full}; {excess} units too many, {max_lost} allowed"),
            ),
            Promise::Alone { peers } => (
                "limits were exceeded by no more than peers alone may",
                accounts.values().all(|account| account.acknowledged <= account.limit * peers),
                format!("{full}; {excess} units too many in all; at worst {worst}"),
            ),
        };
        Finding { claim, holds, detail }
    }

    fn prove_units(&self, accounts: &Accounts, promise: Promise) -> Finding {
        let sum = |f: fn(&Account) -> u64| accounts.values().map(f).sum::<u64>();
        let acknowledged = sum(|account| account.acknowledged);
        let counted = sum(|account| account.counted);
        let most = sum(|account| account.acknowledged + account.unknown);
        // A count stops at its limit, so what relaxed peers admitted beyond it cannot show there.
        let kept = |account: &Account| account.counted >= account.acknowledged.min(account.limit);
        let backed = |a: &Account| a.counted <= a.acknowledged + a.unknown;
        let lost = sum(Account::lost);
        let numbers =
            format!("acknowledged {acknowledged} <= counted {counted} <= {most} with the unknown");
        let broken = accounts.iter().find(|(_, account)| !kept(account) || !backed(account));
        let (claim, holds, detail) = match (promise, broken) {
            (Promise::Bounded { max_lost }, _) => (
                "no more units were lost than the cap allows",
                lost <= max_lost && accounts.values().all(backed),
                format!("{lost} of {acknowledged} acknowledged units lost, {max_lost} allowed"),
            ),
            (_, None) => ("every acknowledged unit is counted", true, numbers),
            (_, Some(((key, window), account))) => (
                "every acknowledged unit is counted",
                false,
                format!("{} in window {window}: {account:?}", self.names[*key]),
            ),
        };
        Finding { claim, holds, detail }
    }

    fn prove_order(&self, promise: Promise) -> Finding {
        let mut decided: Vec<&Entry> = self.entries.iter().filter(|e| !e.is_local).collect();
        decided.sort_unstable_by_key(|entry| entry.place);
        let broken = doubled(&decided)
            .or_else(|| overtaken(&decided))
            .or_else(|| (promise == Promise::Exact).then(|| self.miscounted(&decided)).flatten());
        Finding {
            claim: "every answer has its place in one order",
            holds: broken.is_none(),
            detail: broken.unwrap_or_else(|| format!("{} answers replayed", decided.len())),
        }
    }

    /// Replays the answers of each window: the count after each must be what was admitted up to
    /// there, give or take the units that nobody knows of.
    fn miscounted(&self, by_place: &[&Entry]) -> Option<String> {
        let mut admitted: BTreeMap<(usize, u64), u64> = BTreeMap::new();
        for entry in by_place {
            let Some(window) = entry.window else { continue };
            let sum = admitted.entry((entry.key, window)).or_default();
            *sum += if entry.allowed { entry.units } else { 0 };
            let unknown = self.unknown.get(&entry.key).copied().unwrap_or_default();
            if !(*sum..=*sum + unknown).contains(&used(entry)) {
                let name = &self.names[entry.key];
                return Some(format!(
                    "{name}: {} used after {} units and {unknown} unknown, at {}",
                    used(entry),
                    *sum,
                    Shown(entry.place)
                ));
            }
        }
        None
    }
}

/// Units that the answer says were used after it.
fn used(entry: &Entry) -> u64 {
    entry.limit.saturating_sub(entry.remaining)
}

/// Two answers in one place.
fn doubled(by_place: &[&Entry]) -> Option<String> {
    let pair = by_place.windows(2).find(|pair| pair[0].place == pair[1].place)?;
    Some(format!("two answers at {}", Shown(pair[0].place)))
}

/// An answer placed before one that had been given before it was asked for: the mark of a second
/// primary, or of a state that went back.
fn overtaken(entries: &[&Entry]) -> Option<String> {
    let mut by_answer = entries.to_vec();
    by_answer.sort_unstable_by_key(|entry| entry.answered);
    let mut by_asking = entries.to_vec();
    by_asking.sort_unstable_by_key(|entry| entry.asked);
    let mut given = by_answer.iter().peekable();
    let mut newest = Place::default();
    for entry in by_asking {
        while let Some(earlier) = given.next_if(|earlier| earlier.answered < entry.asked) {
            newest = newest.max(earlier.place);
        }
        if entry.place <= newest {
            let (here, there) = (Shown(entry.place), Shown(newest));
            return Some(format!("the answer at {here} was asked for after {there} was known"));
        }
    }
    None
}

/// A place as people read it.
struct Shown(Place);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (generation, term, sequence) = self.0;
        write!(f, "{generation}.{term}:{sequence}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `at`-th answer: one unit of a limit of 3.
    fn answer(at: u64, remaining: u64, allowed: bool) -> Entry {
        Entry {
            key: 0,
            asked: Duration::from_secs(at),
            answered: Duration::from_secs(at) + Duration::from_millis(1),
            units: 1,
            allowed,
            limit: 3,
            remaining,
            window: Some(0),
            is_local: false,
            place: (1, 1, at),
        }
    }

    fn ledger(entries: Vec<Entry>) -> Ledger {
        let mut ledger = Ledger::new(vec!["key".into()]);
        entries.into_iter().for_each(|entry| ledger.record(entry));
        ledger
    }

    fn verdicts(ledger: &Ledger, promise: Promise) -> Vec<bool> {
        ledger.prove(promise).iter().map(|finding| finding.holds).collect()
    }

    #[test]
    fn a_sound_history_is_proved() {
        let sound = ledger(vec![
            answer(1, 2, true),
            answer(2, 1, true),
            answer(3, 0, true),
            answer(4, 0, false),
        ]);
        assert_eq!(verdicts(&sound, Promise::Exact), [true, true, true]);
    }

    #[test]
    fn a_count_that_went_back_at_a_failover_is_found() {
        let mut forgotten = ledger(vec![answer(1, 2, true), answer(2, 1, true)]);
        forgotten.record(Entry { place: (1, 2, 1), ..answer(3, 1, true) });
        assert_eq!(verdicts(&forgotten, Promise::Exact), [true, false, false]);
        assert_eq!(
            verdicts(&forgotten, Promise::Bounded { max_lost: 1 }),
            [true, true, true],
            "one lost unit is within a cap of one"
        );
        assert!(!verdicts(&forgotten, Promise::Bounded { max_lost: 0 })[1]);
    }

    #[test]
    fn an_exceeded_limit_is_found() {
        let exceeded =
            ledger((1..=4).map(|at| answer(at, 3_u64.saturating_sub(at), true)).collect());
        assert!(!verdicts(&exceeded, Promise::Exact)[0]);
        assert!(verdicts(&exceeded, Promise::Alone { peers: 2 })[0]);
    }

    #[test]
    fn unknown_units_explain_a_gap_and_no_more() {
        let mut gap = ledger(vec![answer(1, 2, true), answer(3, 0, true)]);
        assert_eq!(verdicts(&gap, Promise::Exact), [true, false, false]);
        gap.record_unknown(0, 1);
        assert_eq!(verdicts(&gap, Promise::Exact), [true, true, true]);
    }

    #[test]
    fn an_answer_of_a_deposed_primary_is_found() {
        let mut second = ledger(vec![Entry { place: (1, 2, 1), ..answer(1, 2, true) }]);
        second.record(answer(2, 1, true));
        assert!(!verdicts(&second, Promise::Exact)[2]);
    }

    #[test]
    fn two_answers_in_one_place_are_found() {
        let twice =
            ledger(vec![answer(1, 2, true), Entry { place: (1, 1, 1), ..answer(1, 1, true) }]);
        assert!(!verdicts(&twice, Promise::Exact)[2]);
    }

    #[test]
    fn a_rate_that_was_exceeded_is_found() {
        let rate = |remaining| Entry { window: None, ..answer(1, remaining, true) };
        let three = ledger(vec![rate(2), rate(1), rate(0)]);
        assert!(three.prove_rate(1, 1).holds);
        assert!(!three.prove_rate(1, 0).holds);
    }

    #[test]
    fn the_time_without_a_primary_is_the_gap_between_two_reigns() {
        let mut gap = ledger(vec![answer(1, 2, true), answer(2, 1, true)]);
        assert_eq!(gap.time_without_primary(), None);
        gap.record(Entry { place: (1, 2, 1), ..answer(9, 0, true) });
        assert_eq!(gap.time_without_primary(), Some(Duration::from_secs(7)));
    }
}
