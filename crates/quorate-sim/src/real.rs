//! Operations of the crate `quorate-ratelimit`, in some runs: its limits decide as they do in a
//! service, and `check/real_limits.rs` and `check/relaxed_limits.rs` hold what was admitted against
//! references.
//!
//! Their keys begin with a byte of their own.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use quorate::{Item, Mode};
use quorate_ratelimit::fuzzing::{permit_key, record_key, reservation_keys};
use quorate_ratelimit::{Key, Limit, Limits, WithoutPrimary};

use crate::model::Kind;
use crate::operation;
use crate::plan::Plan;
use crate::random::Random;

/// The first byte of their keys.
pub(crate) const REAL: u8 = b'r';

/// One in so many seeds asks these too.
const SEEDS: u64 = 5;
/// Ids of permits, of reservations and of requests.
const IDS: u8 = 12;

/// Most units of a window, and most permits.
pub(crate) const MAX: u64 = 12;
pub(crate) const PERMITS: u64 = 3;
/// The length of a window.
pub(crate) const WINDOW: Duration = Duration::from_secs(20);
/// How long a permit is held without being renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// What a raised window has instead.
pub(crate) const RAISED: u64 = 18;

static LIMITS: LazyLock<Limits> = LazyLock::new(|| limits(&RealPlan::default()));

/// What of the limits is drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct RealPlan {
    /// Thousandths of a window that a peer alone has, if not all of it.
    pub(crate) share: Option<u16>,
    /// Now and then the max of windows becomes another.
    pub(crate) is_changing: bool,
}

impl RealPlan {
    /// Of a sequence of its own: the rest of a seed stays what it was.
    pub(crate) fn draw(plan: &Plan) -> Self {
        let mut random = Random::new(plan.seed ^ 0x7368_6172_6573);
        if !is_drawn(plan) {
            return Self::default();
        }
        let share = random.pick(&[None, Some(250), Some(333), Some(500)]);
        let share = share.filter(|_| plan.group.mode == Mode::Relaxed);
        Self { share, is_changing: random.chance(400) }
    }

    /// What a peer alone may admit of a window of so many units, in one outage.
    pub(crate) fn part(&self, max: u64) -> u64 {
        self.share.map_or(max, |per_mille| (max * u64::from(per_mille)).div_ceil(1_000))
    }

    /// A change as a limiter asks for it: all of the limits, with another max of windows.
    pub(crate) fn change(&self, number: u64) -> Bytes {
        let max = if number.is_multiple_of(2) { MAX } else { RAISED };
        let alone = self.share.map(|share| format!(r#","without_primary":"share:0.{share:03}""#));
        let (alone, window) = (alone.unwrap_or_default(), WINDOW.as_secs());
        let limits = [
            format!(r#""bucket":{{"rate":"1/s","burst":{MAX}}}"#),
            format!(r#""permits":{{"concurrent":{PERMITS},"lease":"{}s"}}"#, LEASE.as_secs()),
            format!(r#""sliding":{{"window":"{window}s","sliding":true,"max":{MAX}}}"#),
            format!(r#""window":{{"window":"{window}s","max":{max}{alone}}}"#),
        ];
        format!(r#"{{"carry":"keep","limits":{{{}}}}}"#, limits.join(",")).into()
    }
}

/// The limits that a run begins with.
pub(crate) fn limits(plan: &RealPlan) -> Limits {
    let window = Limit::window(MAX, WINDOW);
    let window = match plan.share {
        Some(per_mille) => window.without_primary(WithoutPrimary::share(per_mille)),
        None => window,
    };
    Limits::builder()
        .limit("bucket", Limit::per_second(1).burst(MAX))
        .limit("permits", Limit::concurrent(PERMITS).lease(LEASE))
        .limit("sliding", Limit::sliding(MAX, WINDOW))
        .limit("window", window)
        .build()
        .expect("these limits break no rule")
}

/// Whether a run asks these.
pub(crate) fn is_drawn(plan: &Plan) -> bool {
    plan.seed % SEEDS == 1 && !plan.load.is_expiring
}

/// A key as a client uses it.
fn marked(key: &[u8]) -> Bytes {
    [&[REAL], key].concat().into()
}

/// The key that the limits know.
pub(crate) fn bare(key: &[u8]) -> &[u8] {
    key.get(1..).unwrap_or_default()
}

/// Items as the limits know them: the operation is the first one's.
pub(crate) fn items<'a>(items: &[Item<'a>], number: u8) -> Vec<Item<'a>> {
    let is_plain = matches!(number, operation::ACQUIRE | operation::REFUND);
    let argument = |index: usize| if is_plain || index == 0 { u64::from(number) } else { 0 };
    let item = |(index, item): (usize, &Item<'a>)| Item {
        key: bare(item.key),
        args: [item.args[0], if item.args[0] == 0 { 0 } else { argument(index) }],
    };
    let mut items: Vec<Item<'a>> = items.iter().enumerate().map(item).collect();
    // An amount of nothing is an amount for those.
    if let Some(first) = items.first_mut() {
        first.args[1] = u64::from(number);
    }
    items
}

fn key(limit: &str, index: usize) -> Key {
    LIMITS.key(limit, [b'0' + index as u8]).expect("it is one of these")
}

/// Keys of each limit.
const KEYS: usize = 2;

/// Every key that clients may use.
pub(crate) fn all_keys() -> Vec<Bytes> {
    let mut keys = Vec::new();
    for index in 0..KEYS {
        for limit in ["bucket", "permits", "sliding", "window"] {
            keys.push(key(limit, index).as_ref().to_vec());
        }
        for id in 0..IDS {
            keys.push(permit_key(&key("permits", index), id));
            keys.push(reservation_keys(&key("window", index), id)[0].clone());
            keys.push(record_key(&key("window", index), 1, id));
        }
        keys.push(reservation_keys(&key("window", index), 0)[1].clone());
    }
    keys.iter().map(|key| marked(key)).collect()
}

/// An operation and what it is on.
pub(crate) fn draw(random: &mut Random) -> (Kind, Vec<(Bytes, u64)>) {
    let index = random.index(KEYS);
    let id = random.index(usize::from(IDS)) as u8;
    let amount = random.between(1, 4);
    let limit = |name: &str, amount: u64| (marked(key(name, index).as_ref()), amount);
    let permit = || (marked(&permit_key(&key("permits", index), id)), 0);
    let reservation = || reservation_keys(&key("window", index), id).map(|key| (marked(&key), 0));
    let (number, items) = match random.index(20) {
        0..2 => (operation::ACQUIRE, vec![limit("bucket", amount)]),
        2..4 => (operation::ACQUIRE, vec![limit("sliding", amount)]),
        4..7 => (operation::ACQUIRE, vec![limit("window", amount)]),
        7..9 => (operation::ACQUIRE, vec![limit("window", amount), limit("bucket", amount)]),
        9 => (operation::REFUND, vec![limit("sliding", amount)]),
        10..12 => {
            let record = record_key(&key("window", index), 1, id);
            (operation::ACQUIRE, vec![limit("window", 1), (marked(&record), 0)])
        }
        12..15 => (operation::PERMIT_TAKE, vec![limit("permits", 1), permit()]),
        15 => (operation::PERMIT_RENEW, vec![limit("permits", 0), permit()]),
        16 => (operation::PERMIT_RELEASE, vec![limit("permits", 0), permit()]),
        17..19 => {
            let [own, holds] = reservation();
            (operation::RESERVE, vec![limit("window", amount), own, holds])
        }
        _ => {
            let [own, holds] = reservation();
            (operation::COMMIT, vec![limit("window", amount - 1), own, holds])
        }
    };
    (Kind::Real(number), items)
}

/// An operation on the first key of a limit, and on the permit or reservation of it with this id.
pub(crate) fn one(number: u8, limit: &str, amount: u64, id: u8) -> (Kind, Vec<(Bytes, u64)>) {
    let key = key(limit, 0);
    let mut items = vec![(marked(key.as_ref()), amount)];
    match number {
        operation::PERMIT_TAKE | operation::PERMIT_RENEW | operation::PERMIT_RELEASE => {
            items.push((marked(&permit_key(&key, id)), 0));
        }
        operation::RESERVE | operation::COMMIT => {
            items.extend(reservation_keys(&key, id).map(|key| (marked(&key), 0)));
        }
        _ => {}
    }
    (Kind::Real(number), items)
}

/// Which limit a key is of.
pub(crate) fn is_of(limit: &str, key: &[u8]) -> bool {
    (0..KEYS).any(|index| bare(key) == self::key(limit, index).as_ref())
}

/// One of the keys of the window.
pub(crate) fn first_window() -> Bytes {
    marked(key("window", 0).as_ref())
}
