//! Operations of the crate `quorate-ratelimit`, in some runs: its limits decide as they do in a
//! service, and `check/real_limits.rs` and `check/relaxed_limits.rs` hold what was admitted against
//! references.
//!
//! Their keys begin with a byte of their own.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use quorate::Item;
use quorate_ratelimit::fuzzing::{permit_key, record_key, reservation_keys};
use quorate_ratelimit::{Key, Limit, Limits, WithoutPrimary};

use crate::base::random::Random;
use crate::model::operation;
use crate::plan::limits::RealPlan;
use crate::words::operation::Kind;

/// The first byte of their keys.
pub(crate) const REAL: u8 = b'r';

/// Ids of permits, of reservations and of requests.
const IDS: u8 = 12;

/// Most units of a window, and most permits.
pub(crate) const MAX: u64 = 12;

pub(crate) const PERMITS: u64 = 3;

/// The length of a window.
pub(crate) const WINDOW: Duration = Duration::from_secs(20);

/// The time for which a permit is held without being renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// Most units of a window that was raised.
pub(crate) const RAISED: u64 = 18;

static LIMITS: LazyLock<Limits> = LazyLock::new(|| limits(&RealPlan::default()));

/// A change as a limiter asks for it: all of the limits, with another max of windows.
pub(crate) fn change(plan: &RealPlan, number: u64) -> Bytes {
    let max = if number.is_multiple_of(2) { MAX } else { RAISED };
    let alone = plan.share.map(|share| format!(r#","without_primary":"share:0.{share:03}""#));
    let alone = alone.unwrap_or_default();
    let window = WINDOW.as_secs();
    let limits = [
        format!(r#""bucket":{{"rate":"1/s","burst":{MAX}}}"#),
        format!(r#""permits":{{"concurrent":{PERMITS},"lease":"{}s"}}"#, LEASE.as_secs()),
        format!(r#""sliding":{{"window":"{window}s","sliding":true,"max":{MAX}}}"#),
        format!(r#""window":{{"window":"{window}s","max":{max}{alone}}}"#),
    ];
    format!(r#"{{"carry":"keep","limits":{{{}}}}}"#, limits.join(",")).into()
}

/// The limits that a run begins with.
pub(crate) fn limits(plan: &RealPlan) -> Limits {
    let mut window = Limit::window(MAX, WINDOW);
    if let Some(per_mille) = plan.share {
        window = window.without_primary(WithoutPrimary::share(per_mille));
    }
    Limits::builder()
        .limit("bucket", Limit::per_second(1).burst(MAX))
        .limit("permits", Limit::concurrent(PERMITS).lease(LEASE))
        .limit("sliding", Limit::sliding(MAX, WINDOW))
        .limit("window", window)
        .build()
        .expect("these limits break no rule")
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
    let mut bare_items = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let amount = item.args[0];
        // An amount of nothing is one for the first item only.
        let has_number = index == 0 || (is_plain && amount > 0);
        let argument = if has_number { u64::from(number) } else { 0 };
        bare_items.push(Item { key: bare(item.key), args: [amount, argument] });
    }
    bare_items
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

/// Returns true if a key is one of this limit.
pub(crate) fn is_of(limit: &str, key: &[u8]) -> bool {
    (0..KEYS).any(|index| bare(key) == self::key(limit, index).as_ref())
}

/// One of the keys of the window.
pub(crate) fn first_window() -> Bytes {
    marked(key("window", 0).as_ref())
}
