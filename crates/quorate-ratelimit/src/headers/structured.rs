//! The fields of the IETF's draft read back by an independent reader of structured fields
//! (RFC 9651): whatever a limit is called and says, clients read what was meant.

use proptest::prelude::*;
use quorate::{Basis, Decider};
use sfv::{BareItem, Integer, List, ListEntry, Parser};

use super::*;
use crate::limit::calendar::{Calendar, Weekday};

/// A member of a list: a name, and its parameters in their order.
type Member = (String, Vec<(String, BareItem)>);

fn member(name: &str, parameters: &[(&str, BareItem)]) -> Member {
    let parameters = parameters.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    (name.to_owned(), parameters.collect())
}

/// The members of a list that is sent in these lines of one field.
fn read(lines: &[&str]) -> Vec<Member> {
    let list: List = Parser::new(&lines.join(", ")).parse().expect("a structured field");
    let members = list.into_iter().map(|entry| match entry {
        ListEntry::Item(item) => {
            let name = item.bare_item.as_string().expect("a name is a string").as_str().to_owned();
            let parameters = item.params.into_iter().map(|(key, value)| (key.into(), value));
            (name, parameters.collect())
        }
        ListEntry::InnerList(list) => panic!("{list:?} where one limit should be"),
    });
    members.collect()
}

/// A number as a field has it: the largest that it can carry stands for what is more.
fn number(value: u64) -> BareItem {
    let most = Integer::MAX.try_into().expect("it is above 0");
    value.min(most).try_into().expect("no more than the most")
}

fn text(value: &'static str) -> BareItem {
    BareItem::String(value.to_owned().try_into().expect("printable"))
}

/// Numbers of any size, small ones as often as all others.
fn size() -> impl Strategy<Value = u64> {
    prop_oneof![1..200u64, 1..1u64 << 50, any::<u64>()]
}

/// Whole milliseconds, up to 366 days.
fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![1..5_000u64, 1..366 * 86_400_000u64].prop_map(Duration::from_millis)
}

/// Limits of each kind that the draft can say something of, valid ones.
fn limit() -> impl Strategy<Value = Limit> {
    let rate =
        (size(), time(), proptest::option::of(size())).prop_map(|(amount, period, burst)| {
            let rate = Limit::per(amount, period);
            burst.map_or(rate, |burst| rate.burst(burst))
        });
    let windows = (size(), time(), 0..3).prop_map(|(max, length, kind)| match kind {
        0 => Limit::window(max, length),
        1 => Limit::sliding(max, length),
        _ => Limit::approximate_sliding(max, length),
    });
    let permits = (size(), 100..86_400_000u64)
        .prop_map(|(max, lease)| Limit::concurrent(max).lease(Duration::from_millis(lease)));
    let calendars = (size(), 0..3).prop_map(|(max, unit)| {
        let units = [Calendar::day(), Calendar::week(Weekday::Monday), Calendar::month(15)];
        Limit::calendar(max, units[unit as usize])
    });
    prop_oneof![2 => rate, 2 => windows, 1 => permits, 1 => calendars]
        .prop_filter("limits of no use are refused", |limit| limit.check().is_ok())
}

/// A decision under a limit, admitted or not, with any numbers.
fn decision(limit: &Limit, remaining: u64, wait: Duration, is_denied: bool) -> Decision {
    let mut decision = Decision::uncounted(limit.capacity(), 1, Basis::Primary, Decider::UNKNOWN);
    decision.allowed = !is_denied;
    decision.remaining = remaining;
    decision.retry_after = is_denied.then_some(wait);
    decision.reset_after = wait;
    decision
}

/// The value of the only field of this name.
fn value<'a>(headers: &'a [Header], name: &str) -> &'a str {
    let mut values = headers.iter().filter(|(known, _)| *known == name);
    let value = values.next().map(|(_, value)| &**value).expect("the field is there");
    assert_eq!(values.next(), None, "{name} twice");
    value
}

/// Checks the parameters of a rate, whose window is chosen so that all of them are whole numbers.
fn check_rate(amount: u64, period: Duration, burst: u64, parameters: &[(String, BareItem)]) {
    let named = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| u64::try_from(value.as_integer().expect("a number")).expect("> 0"))
    };
    let quota = named("q").expect("a quota");
    let window = named("w").expect("a window");
    let told_burst = named("quorate-burst");
    // No other parameter, and these in the order that people read them in.
    let known = ["q", "w", "quorate-burst"];
    let count = if told_burst.is_some() { 3 } else { 2 };
    assert_eq!(parameters.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), known[..count]);
    let most = number(u64::MAX);
    if parameters[0].1 != most {
        // In the window flows as much as the quota says.
        let flows = u128::from(amount) * u128::from(window) * 1000;
        assert_eq!(u128::from(quota) * period.as_millis(), flows);
        assert_eq!(told_burst.is_none(), burst == quota);
    }
    if let Some(told) = told_burst {
        assert_eq!(number(told), number(burst));
    }
}

proptest! {
    #[test]
    fn clients_read_what_was_meant(
        name in "[ -~]{1,64}",
        limit in limit(),
        remaining in size(),
        wait in any::<u64>().prop_map(Duration::from_nanos),
        is_denied: bool,
    ) {
        let decision = decision(&limit, remaining, wait, is_denied);
        let headers =
            decision.headers(&name, &limit, HeaderStyle::IetfDraft11, SystemTime::UNIX_EPOCH);

        let seconds = wait.as_nanos().div_ceil(1_000_000_000) as u64;
        let reset = if is_denied { seconds.max(1) } else { seconds };
        let left = [("r", number(remaining)), ("t", number(reset))];
        prop_assert_eq!(read(&[value(&headers, "RateLimit")]), [member(&name, &left)]);

        let policies = read(&[value(&headers, "RateLimit-Policy")]);
        let [(told, parameters)] = &*policies else { panic!("{policies:?}") };
        prop_assert_eq!(told, &name);
        let window = match limit.kind {
            Kind::Rate { amount, period } => {
                check_rate(amount, period, limit.capacity(), parameters);
                return Ok(());
            }
            Kind::Window { length, .. }
            | Kind::Sliding { length, .. }
            | Kind::ApproximateSliding { length, .. } => {
                ("w", number(length.as_millis().div_ceil(1000) as u64))
            }
            Kind::Calendar { calendar, .. } => ("w", number(calendar.nominal_seconds())),
            Kind::Concurrent { .. } => ("qu", text("concurrent-requests")),
            Kind::Counter => panic!("a counter has no fields"),
        };
        let quota = ("q", number(limit.capacity()));
        prop_assert_eq!(&policies, &[member(&name, &[quota, window])]);
    }

    /// A response may carry several lines of a field, of layers that have asked one after the
    /// other.
    #[test]
    fn the_lines_of_several_limits_are_one_list(
        limits in proptest::collection::vec(("[ -~]{1,64}", limit()), 1..5),
    ) {
        let lines: Vec<Vec<Header>> = limits
            .iter()
            .map(|(name, limit)| {
                let decision = decision(limit, 1, Duration::from_secs(1), false);
                decision.headers(name, limit, HeaderStyle::IetfDraft11, SystemTime::UNIX_EPOCH)
            })
            .collect();
        for field in ["RateLimit", "RateLimit-Policy"] {
            let lines: Vec<&str> = lines.iter().map(|headers| value(headers, field)).collect();
            let names: Vec<String> = read(&lines).into_iter().map(|(name, _)| name).collect();
            let asked: Vec<String> = limits.iter().map(|(name, _)| name.clone()).collect();
            prop_assert_eq!(names, asked);
        }
    }
}
