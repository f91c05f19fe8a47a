//! The bodies of the fuzz targets, which a test runs as well. Each takes any bytes and panics only
//! if a promise of this crate is broken.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use quorate::{Cell, Delta, GroupTime, Item, Model, Policy, Value};

use crate::limit::Limit;
use crate::limiter::hold_id::PermitId;
use crate::model::RateLimitModel;
use crate::model::answer::{self, code, word};
use crate::model::file::LimitsSpec;
use crate::model::idempotency;
use crate::model::key::Key;
use crate::model::limits::Limits;
use crate::model::side_cell::{SideCell, SideKey};
use crate::rule::operation::Operation;

const START: u64 = 1_753_000_000_000_000_000;

/// One limit of each kind; the windows of a calendar are worked out once.
static LIMITS: LazyLock<Limits> = LazyLock::new(limits);

fn limits() -> Limits {
    let builder = Limits::builder()
        .limit("about", Limit::approximate_sliding(9, Duration::from_millis(700)))
        .limit("alerts", Limit::per_minute(9).alert_at(50).alert_at(100))
        .limit("concurrent", Limit::concurrent(5).lease(Duration::from_secs(2)))
        .limit("counter", Limit::counter())
        .limit("rate", Limit::per_second(7).burst(9))
        .limit("shadow", Limit::window(5, Duration::from_secs(1)).shadow())
        .limit("sliding", Limit::sliding(9, Duration::from_millis(700)))
        .limit("sliding, large", Limit::sliding(90_000, Duration::from_millis(700)))
        .limit("sliding, small", Limit::sliding(2, Duration::from_millis(700)))
        .limit("slow", Limit::per_day(1).burst(u64::MAX))
        .limit("window", Limit::window(9, Duration::from_millis(900)));
    #[cfg(feature = "calendar")]
    let builder = builder.limit("day", Limit::calendar(9, crate::Calendar::day()));
    builder.build().expect("these limits break no rule")
}

/// The key of a permit's own cell.
pub fn permit_key(key: &Key, id: u8) -> Vec<u8> {
    SideCell::Permit.key(&[key.as_ref(), &[id]]).as_ref().to_vec()
}

/// The keys of a reservation's own cell, and of all that is reserved of a key.
pub fn reservation_keys(key: &Key, id: u8) -> [Vec<u8>; 2] {
    let own = SideCell::Reservation.key(&[key.as_ref(), &[id]]);
    [own.as_ref().to_vec(), SideCell::Reserved.key(&[key.as_ref()]).as_ref().to_vec()]
}

/// The key of what an acquire with an idempotency key leaves behind.
pub fn record_key(key: &Key, amount: u64, id: u8) -> Vec<u8> {
    idempotency::key(&[id], &[Operation::Acquire.item(key.as_ref(), amount)]).as_ref().to_vec()
}

/// Takes bytes as numbers, zero when there are none left.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Small ones and the largest are as likely as those between.
    fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=99 => small.into(),
            100..=119 => u64::MAX - u64::from(self.byte()),
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }
}

/// Any operations, in any order, on any cells: nothing is written by a denial, units are what was
/// asked for at most, and what is left is within the limit.
pub fn operations(data: &[u8]) {
    let limits = &*LIMITS;
    let mut numbers = Numbers(data);
    let model = limits.model();
    let names: Vec<String> = limits.iter().map(|(name, _)| name.to_owned()).collect();
    let mut cells: BTreeMap<Vec<u8>, Value> = BTreeMap::new();
    let mut now = START;
    while !numbers.0.is_empty() {
        now = now.saturating_add(numbers.number() % 3_000_000_000).min(u64::MAX / 2);
        if numbers.byte() % 16 == 0 {
            // Group time does not go back; if it did, nothing would break.
            now -= u64::from(numbers.byte()) * 10_000_000;
        }
        let count = usize::from(numbers.byte() % 4) + 1;
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for _ in 0..count {
            let name = &names[usize::from(numbers.byte()) % names.len()];
            let key = limits.key(name, [numbers.byte() % 2]).expect("it is one of these");
            if !keys.contains(&Key::as_ref(&key).to_vec()) {
                keys.push(key.as_ref().to_vec());
            }
        }
        let args: Vec<[u64; 2]> =
            keys.iter().map(|_| [numbers.number(), numbers.number() % 12]).collect();
        let mut items: Vec<Item<'_>> =
            keys.iter().zip(&args).map(|(key, args)| Item { key, args: *args }).collect();
        let record = idempotency::key(&[numbers.byte() % 3], &items);
        let beside: Vec<_> = beside(&mut numbers, &keys[0]);
        match numbers.byte() % 4 {
            0 => items.push(record.item()),
            1 => {
                items.truncate(1);
                items.extend(beside.iter().map(SideKey::item));
            }
            _ => {}
        }
        decide(&model, &items, &mut cells, now);
        if numbers.byte() % 8 == 0 {
            merge(&model, &keys[0], &mut numbers, &mut cells, now);
        }
    }
}

/// Cells beside those of a limit, in any mixture.
fn beside(numbers: &mut Numbers<'_>, key: &[u8]) -> Vec<SideKey> {
    let id = [numbers.byte() % 3];
    let permit = SideCell::Permit.key(&[key, &id]);
    let reserved = SideCell::Reserved.key(&[key]);
    let reservation = SideCell::Reservation.key(&[key, &id]);
    match numbers.byte() % 4 {
        0 => vec![permit],
        1 => vec![reservation, reserved],
        2 => vec![reserved],
        _ => vec![reserved, permit],
    }
}

fn decide(
    model: &RateLimitModel,
    items: &[Item<'_>],
    known: &mut BTreeMap<Vec<u8>, Value>,
    now: u64,
) {
    let seen = |item: &Item<'_>| {
        Cell::new(known.get(item.key).copied().filter(|value| value.expires.0 > now))
    };
    let mut cells: Vec<Cell> = items.iter().map(seen).collect();
    let mut alone = cells.clone();
    model.decide_alone(items, &mut alone, GroupTime(now));
    let answer = model.decide(items, &mut cells, GroupTime(now));
    let is_admitted = matches!(answer.code, code::ALLOWED | code::SHADOW);
    // Reservations that have lapsed are settled whatever is decided.
    let settles = items.iter().any(|item| SideCell::of(item.key) == Some(SideCell::Reserved));
    let has_changed = cells.iter().any(Cell::is_changed);
    assert!(is_admitted || settles || !has_changed, "a denial changes nothing");
    let asked = items.iter().fold(0, |sum: u64, item| sum.saturating_add(item.args[0]));
    assert!(answer.units <= asked && (is_admitted || answer.units == 0), "{items:?}: {answer:?}");
    let (remaining, beyond) = answer::remaining(&answer);
    assert!(remaining <= answer.words[word::LIMIT] && (remaining == 0 || beyond == 0));
    for (item, cell) in items.iter().zip(&cells).filter(|(_, cell)| cell.is_changed()) {
        let value = *cell.value().expect("a changed cell has a value");
        let mut delta = Delta::default();
        model.accumulate(item, known.get(item.key), &value, &mut delta);
        let mut alone = Cell::new(known.get(item.key).copied());
        model.merge(item.key, &delta, &mut alone, GroupTime(now));
        known.insert(item.key.to_vec(), value);
    }
}

/// Whatever a peer says that it has decided alone.
fn merge(
    model: &RateLimitModel,
    key: &[u8],
    numbers: &mut Numbers<'_>,
    known: &mut BTreeMap<Vec<u8>, Value>,
    now: u64,
) {
    let tag = known.get(key).map_or(0, |value| value.words[2]);
    let words = [numbers.number(), numbers.number(), tag ^ u64::from(numbers.byte() % 2)];
    let delta = Delta { words, units: numbers.number() };
    let mut cell = Cell::new(known.get(key).copied().filter(|value| value.expires.0 > now));
    model.merge(key, &delta, &mut cell, GroupTime(now));
    if let Some(value) = cell.value().filter(|_| cell.is_changed()) {
        known.insert(key.to_vec(), *value);
    }
}

/// Cells with any content, as a damaged disk or another peer may have them, break no decision.
pub fn cells(data: &[u8]) {
    let limits = &*LIMITS;
    let mut numbers = Numbers(data);
    let model = limits.model();
    for (name, _) in limits.iter() {
        let key = limits.key(name, "k").expect("it is one of these");
        // The tag of this limit's own cells, so that they are read.
        let mut cell = Cell::new(None);
        let one = Operation::Acquire.item(key.as_ref(), 1);
        model.decide(&[one], std::slice::from_mut(&mut cell), GroupTime(START));
        let own = cell.value().map_or(0, |value| value.words[2]) & (0xffff << 48);
        // Or that of a sliding window's in the version before.
        let tag = own ^ u64::from(numbers.byte() % 4 == 0) << 50;
        let words = [numbers.number(), numbers.number(), tag | numbers.number() >> 16];
        let now = numbers.number() % (u64::MAX / 2);
        let mut known = BTreeMap::from([(
            key.as_ref().to_vec(),
            Value { words, expires: GroupTime(u64::MAX) },
        )]);
        let args = [numbers.number(), numbers.number()];
        decide(&model, &[Item { key: key.as_ref(), args }], &mut known, now);
        merge(&model, key.as_ref(), &mut numbers, &mut known, now);
    }
}

/// A policy of any bytes, as another peer or a disk may have it, and a change of any bytes: each is
/// taken, or refused with a sentence, and what was taken decides and changes on.
pub fn policy(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (bytes, request) = data.split_at(at);
    let model = LIMITS.model();
    let policy = Policy { revision: 1, bytes: bytes.to_vec().into() };
    let known = model.set_policy(&policy).is_ok();
    let base = if known { policy } else { Policy::default() };
    match model.change_policy(&base, request.get(1..).unwrap_or_default(), GroupTime(START)) {
        Ok(Some(bytes)) => {
            let next = Policy { revision: base.revision + 1, bytes };
            model.set_policy(&next).expect("what a model makes it takes");
            let again = model.change_policy(&next, &request[1..], GroupTime(START));
            assert_eq!(again, Ok(None), "the same again changes nothing");
        }
        Ok(None) => {}
        Err(reason) => assert!(!reason.is_empty()),
    }
    let key = LIMITS.key("rate", "k").expect("it is one of these");
    let one = Operation::Acquire.item(key.as_ref(), 1);
    model.decide(&[one], &mut [Cell::new(None)], GroupTime(START));
    let text = String::from_utf8_lossy(bytes);
    if let Ok(id) = text.parse::<PermitId>() {
        assert!(text.eq_ignore_ascii_case(&id.to_string()));
    }
}

/// Any limits file that can be read is built, or refused with a sentence; what was built says what
/// it is.
pub fn limits_file(spec: &LimitsSpec) {
    match spec.build() {
        Ok(limits) => assert_eq!(limits.to_string().is_empty(), spec.limits.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty() && !error.broken().is_empty()),
    }
}

/// Any document that asks about limits is understood or refused with a sentence, and limits that
/// one brings are built or refused.
pub fn asks(document: &[u8]) {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_slice(document) else {
        return;
    };
    let ask = fields.remove("ask");
    let ask = ask.as_ref().and_then(serde_json::Value::as_str).and_then(|ask| ask.split_once('.'));
    let Some(("limits", ask)) = ask else { return };
    match crate::limiter::admin::limits_brought(ask, &fields) {
        Ok(Some(spec)) => limits_file(&spec),
        Ok(None) => {}
        Err(refused) => assert!(!refused.detail.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(kind: usize, number: u64) -> String {
        match kind {
            0 => format!("{{\"rate\":\"{number}/s\"}}"),
            1 => format!("{{\"window\":\"{number}s\",\"max\":{number}}}"),
            2 => format!("{{\"concurrent\":{number}}}"),
            3 => "{\"counter\":true}".to_owned(),
            4 => format!("{{\"window\":\"{number}s\",\"max\":9,\"sliding\":true}}"),
            _ => format!("{{\"window\":\"{number}s\",\"max\":9,\"approximate_sliding\":true}}"),
        }
    }

    /// A limit as a policy has it, with one earlier form.
    fn versions(kind: usize, number: u64, salt: u64, until: u64) -> String {
        let is = spec(kind, number);
        let was = spec((kind + 1) % 6, number + 1);
        format!(
            "{{\"is\":{is},\"salt\":{salt},\"was\":[{{\"is\":{was},\"salt\":9,\
             \"scale\":[{until},{salt}],\"at\":{until},\"until\":{until}}}]}}"
        )
    }

    /// They all lacked a field once, so that nothing but refusals was tried.
    #[test]
    fn limits_with_an_earlier_form_are_taken_before_noise_is_added() {
        for kind in 0..6 {
            let bytes = format!("{{\"limits\":{{\"l\":{}}}}}", versions(kind, 3, 2, 5));
            let policy = Policy { revision: 1, bytes: bytes.into() };
            assert_eq!(LIMITS.model().set_policy(&policy), Ok(()));
        }
    }

    /// Asks with a field that does not fit, or none.
    fn document() -> impl Strategy<Value = String> {
        let asks = ["ask", "explain", "get", "peek", "put", "reset", "stats", "top", "x"];
        let field = prop::sample::select(vec![
            r#""limit":"api""#,
            r#""key":"k""#,
            r#""key_hex":"0g""#,
            r#""amount":18446744073709551615"#,
            r#""amount":-1"#,
            r#""n":1001"#,
            r#""items":[{"limit":"a","key":""}]"#,
            r#""items":[[1,2,3]]"#,
            r#""limits":{"a":{"rate":"0/s"}}"#,
            r#""limits":{"a":{"rate":"1/s","max":1},"\u0000":{}}"#,
            r#""carry":"keep""#,
        ]);
        (prop::sample::select(asks.to_vec()), prop::collection::vec(field, 0..4)).prop_map(
            |(ask, fields)| {
                let fields: String = fields.iter().map(|field| format!(",{field}")).collect();
                format!(r#"{{"ask":"limits.{ask}"{fields}}}"#)
            },
        )
    }

    proptest! {
        #[test]
        fn any_document_about_limits_is_understood_or_refused(document in document()) {
            asks(document.as_bytes());
        }

        #[test]
        fn any_bytes_are_operations_that_break_nothing(
            data in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            operations(&data);
        }

        #[test]
        fn any_cells_break_no_decision(data in prop::collection::vec(any::<u8>(), 0..300)) {
            cells(&data);
        }

        #[test]
        fn any_policy_is_taken_or_refused(
            limits in prop::collection::vec((0..6usize, 1..9u64, 0..9u64, 0..4u64), 0..4),
            change in prop::collection::vec((0..6usize, 1..9u64), 0..4),
            carry in 0..4usize,
            noise in prop::collection::vec(any::<(usize, u8)>(), 0..3),
        ) {
            let named = |texts: Vec<String>| {
                let named = texts.iter().enumerate().map(|(n, text)| format!("\"l{n}\":{text}"));
                named.collect::<Vec<_>>().join(",")
            };
            let limits = named(
                limits.into_iter().map(|(k, n, salt, until)| versions(k, n, salt, until)).collect(),
            );
            let change = named(change.into_iter().map(|(kind, n)| spec(kind, n)).collect());
            let carry = ["keep", "proportional", "reset", "none"][carry];
            let mut data = format!(
                "{{\"limits\":{{{limits}}}}}\0{{\"carry\":\"{carry}\",\"limits\":{{{change}}}}}"
            )
            .into_bytes();
            for (at, byte) in noise {
                let length = data.len();
                data[at % length] = byte;
            }
            policy(&data);
        }

        #[test]
        fn any_limits_file_is_built_or_refused(text in ".{0,40}", number in any::<u64>()) {
            for field in ["rate", "window", "calendar", "time_zone"] {
                let json = serde_json::json!({
                    "limits": { "l": { field: text, "max": number, "burst": number } }
                });
                if let Ok(spec) = serde_json::from_value(json) {
                    limits_file(&spec);
                }
            }
        }
    }
}
