//! Every error of limits as people read it, with the input that it comes of beside it.

use quorate::{DecideError, NoPrimaryReason};
use quorate_ratelimit::{AcquireError, Limit, Limits, LimitsErrorKind, LimitsSpec, PermitId};
#[path = "../../quorate/tests/support/words.rs"]
mod words;

use words::assert_told;

/// What is said of a limits file with this limit in it, called `mail`.
fn file(limit: &str) -> String {
    match serde_json::from_str::<LimitsSpec>(&format!("{{\"limits\": {{\"mail\": {limit}}}}}")) {
        Ok(spec) => spec.build().expect_err("it breaks a rule").to_string(),
        Err(error) => error.to_string().split(" at line ").next().expect("text").to_owned(),
    }
}

/// What is said of a limit in code.
fn code(limit: Limit) -> String {
    limit.check().expect_err("it breaks a rule").to_string()
}

#[test]
fn limits_of_a_file() {
    assert_told([
        (
            file(r#"{"rate": "0/s"}"#),
            "limit mail: a rate of 0 per 1s would admit nothing: use at least 1",
        ),
        (
            file(r#"{"rate": "100"}"#),
            "limit mail: the rate \"100\" cannot be read: write a number and /s, /m, /h or /d, \
             like \"100/s\"",
        ),
        (
            file(r#"{"rate": "1/2ms", "burst": 0}"#),
            "limit mail: a burst of 0 would admit nothing: use at least 1, or leave it out",
        ),
        (
            file(r#"{"rate": "1/400d"}"#),
            "limit mail: a rate's period of 400d is not usable: whole milliseconds, 1ms to 366d",
        ),
        (
            file(r#"{"rate": "1/366d", "burst": 18446744073709551615}"#),
            "limit mail: a burst of 18446744073709551615 at 1 per 366d is too large: use at most \
             82098399529049465",
        ),
        (
            file(r#"{"rate": "5/s", "max": 3}"#),
            "limit mail: a rate has no max (given: 3): use burst for the most that is admitted at \
             once",
        ),
        (
            file(r#"{"rate": "5/s", "sliding": true}"#),
            "limit mail: sliding is for a window: write window = \"60s\" and max beside it",
        ),
        (
            file(r#"{"rate": "5/s", "window": "1s", "max": 3}"#),
            "limit mail: a rate and a window are two limits: leave one of them out, or give it \
             another name",
        ),
        (
            file(r#"{"rate": "5/s", "brust": 3}"#),
            "unknown field `brust`, expected one of `rate`, `burst`, `window`, `max`, `sliding`, \
             `approximate_sliding`, `counter`, `calendar`, `time_zone`, `starts_on`, \
             `concurrent`, `lease`, `without_primary`, `alert_at`, `shadow`",
        ),
        (file(r#"{"rate": "5/s", "burst": -3}"#), "burst takes a whole number, 1 or more"),
        (file(r#"{"rate": 100}"#), "rate takes a text, like \"100/s\""),
        (file(r#"{"window": 60, "max": 9}"#), "window takes a text, like \"60s\""),
        (file(r#"{"window": "1s", "max": "9"}"#), "max takes a whole number, 1 or more"),
        (file(r#"{"concurrent": 1.5}"#), "concurrent takes a whole number, 1 or more"),
        (file(r#"{"concurrent": 1, "lease": 30}"#), "lease takes a text, like \"30s\""),
        (file(r#"{"rate": "5/s", "shadow": "yes"}"#), "shadow takes true or false"),
        (file(r#"{"counter": 1}"#), "counter takes true or false"),
        (file(r#"{"window": "1s", "max": 3, "sliding": 1}"#), "sliding takes true or false"),
        (
            file(r#"{"window": "1s", "max": 3, "approximate_sliding": null}"#),
            "approximate_sliding takes true or false",
        ),
        (file(r#"{"calendar": 5, "max": 3}"#), "calendar takes a text, like \"month\""),
        (
            file(r#"{"calendar": "day", "max": 3, "time_zone": 1}"#),
            "time_zone takes a text, like \"Europe/Berlin\"",
        ),
        (
            file(r#"{"rate": "5/s", "without_primary": 0.3}"#),
            "without_primary takes a text, like \"share:0.3\"",
        ),
        (
            file("5"),
            "invalid type: integer `5`, expected a limit by its fields, like rate and burst",
        ),
        (
            file(r#"{"max": 3}"#),
            "limit mail: give either a rate, like rate = \"100/s\", or a window, like window = \
             \"60s\" with max, or calendar = \"month\" with max, or concurrent = 8, or counter = \
             true",
        ),
        (
            file(r#"{"window": "60s"}"#),
            "limit mail: window = \"60s\" lacks its max: say how many units it admits, like max = \
             1000",
        ),
        (
            file(r#"{"window": "60s", "max": 0}"#),
            "limit mail: a window with a max of 0 would admit nothing: use at least 1",
        ),
        (
            file(r#"{"window": "60", "max": 3}"#),
            "limit mail: the duration \"60\" cannot be read: write a number and ms, s, m, h or d, \
             like \"60s\"",
        ),
        (
            file(r#"{"window": "0s", "max": 3}"#),
            "limit mail: a window of 0ms is not usable: whole milliseconds, 1ms to 366d",
        ),
        (
            file(r#"{"window": "60s", "max": 3, "burst": 2}"#),
            "limit mail: a window has no burst (given: 2): leave it out, or use a rate",
        ),
        (
            file(r#"{"window": "1s", "max": 3, "sliding": true, "approximate_sliding": true}"#),
            "limit mail: a window is sliding or approximate_sliding: leave out one of them",
        ),
        (
            file(r#"{"window": "1s", "max": 281474976710656, "sliding": true}"#),
            "limit mail: a sliding window with a max of 281474976710656 is too large: use at most \
             140737488355327",
        ),
        (
            file(r#"{"counter": true, "max": 5}"#),
            "limit mail: a counter has no rate, burst, window or max: leave them out, or leave \
             out counter",
        ),
        (
            file(r#"{"concurrent": 0}"#),
            "limit mail: concurrent = 0 would admit nothing: use at least 1",
        ),
        (
            file(r#"{"concurrent": 8, "max": 5}"#),
            "limit mail: a concurrency limit has a lease and nothing else: leave out rate, \
             window, max and burst",
        ),
        (
            file(r#"{"concurrent": 18446744073709551615}"#),
            "limit mail: a concurrency limit of 18446744073709551615 is too large: use at most \
             4398046511103",
        ),
        (
            file(r#"{"concurrent": 8, "lease": "1ms"}"#),
            "limit mail: a lease of 1ms is not usable: whole milliseconds, 100ms to 1d",
        ),
        (
            file(r#"{"rate": "5/s", "lease": "30s"}"#),
            "limit mail: a lease is for permits: write concurrent = 8 beside it",
        ),
    ]);
}

#[cfg(feature = "calendar")]
/// They were told whole, in a line of log of any length.
#[test]
fn of_what_is_long_an_error_shows_the_beginning() {
    let (long, shown) = ("é".repeat(10_000), format!("{}…", "é".repeat(64)));
    let lease = format!("{{\"concurrent\": 1, \"lease\": \"{long}\"}}");
    for said in [
        file(&format!("{{\"rate\": \"{long}\"}}")),
        file(&format!("{{\"window\": \"{long}\", \"max\": 1}}")),
        file(&format!("{{\"window\": \"{long}\"}}")),
        file(&lease),
        file(&format!("{{\"calendar\": \"{long}\", \"max\": 1}}")),
        file(&format!("{{\"calendar\": \"week\", \"max\": 1, \"starts_on\": \"{long}\"}}")),
        file(&format!("{{\"rate\": \"1/s\", \"without_primary\": \"{long}\"}}")),
        Limits::builder().limit(&*long, Limit::counter()).build().expect_err("no name").to_string(),
        AcquireError::UnknownLimit { limit: long }.to_string(),
    ] {
        assert!(said.contains(&format!("\"{shown}\"")) && said.len() < 400, "{said}");
    }
    let escape = AcquireError::UnknownLimit { limit: "\u{1b}[31m".to_owned() }.to_string();
    assert_eq!(escape, "no limit is called \"\\u{1b}[31m\"");
}

/// The last one held, and nobody was told.
#[test]
fn a_limit_that_is_there_twice_is_refused() {
    let text = r#"{"limits": {"mail": {"rate": "5/s"}, "mail": {"rate": "6/s"}}}"#;
    let error = serde_json::from_str::<LimitsSpec>(text).expect_err("which of them?").to_string();
    assert!(error.starts_with("two limits are called \"mail\": rename one"), "{error}");
}

#[test]
fn calendar_limits_of_a_file() {
    let month = |more: &str| file(&format!("{{\"calendar\": \"month\", \"max\": 9, {more}}}"));
    let week = |more: &str| file(&format!("{{\"calendar\": \"week\", \"max\": 9, {more}}}"));
    assert_told([
        (
            file(r#"{"calendar": "month"}"#),
            "limit mail: calendar = \"month\" lacks its max: say how many units it admits, like \
             max = 1000",
        ),
        (
            file(r#"{"calendar": "month", "max": 0}"#),
            "limit mail: a window with a max of 0 would admit nothing: use at least 1",
        ),
        (
            file(r#"{"calendar": "fortnight", "max": 9}"#),
            "limit mail: the calendar window \"fortnight\" cannot be read: write calendar = \
             \"day\", \"week\", \"month\", \"quarter\" or \"year\"",
        ),
        (
            month(r#""window": "60s""#),
            "limit mail: a calendar window has a max, a time_zone and a starts_on: leave out \
             rate, window and sliding, or leave out calendar",
        ),
        (
            month(r#""burst": 2"#),
            "limit mail: a window has no burst (given: 2): leave it out, or use a rate",
        ),
        (
            month(r#""starts_on": "monday""#),
            "limit mail: a month cannot begin on starts_on = \"monday\": write a day of the \
             month, 1 to 31",
        ),
        (
            month(r#""starts_on": "15""#),
            "limit mail: a month cannot begin on starts_on = \"15\": write a day of the month, 1 \
             to 31, without quotes",
        ),
        (month(r#""starts_on": 32"#), "limit mail: a month cannot begin on day 32: use 1 to 31"),
        (
            month(r#""starts_on": 300"#),
            "starts_on is a weekday of a week, or a day of a month, 1 to 31",
        ),
        (
            month(r#""time_zone": "Europe/Atlantis""#),
            "limit mail: the time zone \"Europe/Atlantis\" is not known: use an IANA name, like \
             \"Europe/Berlin\" or \"UTC\"",
        ),
        (
            month(r#""time_zone": "a name that is longer than any of a time zone""#),
            "limit mail: a time zone of that length is not known: use an IANA name, like \
             \"Europe/Berlin\" or \"UTC\"",
        ),
        (
            week(r#""starts_on": "someday""#),
            "limit mail: a week cannot begin on starts_on = \"someday\": write a weekday, like \
             \"sunday\"",
        ),
        (
            week(r#""starts_on": 3"#),
            "limit mail: a week cannot begin on starts_on = 3: write a weekday, like \"sunday\"",
        ),
        (
            file(r#"{"calendar": "day", "max": 9, "starts_on": 3}"#),
            "limit mail: a day cannot begin on starts_on = 3: leave it out, only a week and a \
             month have one",
        ),
        (
            file(r#"{"rate": "5/s", "time_zone": "UTC"}"#),
            "limit mail: time_zone is for a calendar window: write calendar = \"month\" and max \
             beside it",
        ),
        (
            file(r#"{"window": "1s", "max": 3, "starts_on": "sunday"}"#),
            "limit mail: starts_on is for a calendar window: write calendar = \"month\" and max \
             beside it",
        ),
    ]);
}

#[test]
fn what_any_limit_may_have() {
    let rate = |more: &str| file(&format!("{{\"rate\": \"5/s\", {more}}}"));
    assert_told([
        (
            rate(r#""alert_at": [0]"#),
            "limit mail: alert_at 0 is not usable: use one or two different numbers of percent, 1 \
             to 100",
        ),
        (
            rate(r#""alert_at": [101]"#),
            "limit mail: alert_at 101 is not usable: use one or two different numbers of percent, \
             1 to 100",
        ),
        (
            rate(r#""alert_at": [300]"#),
            "alert_at takes one or two numbers of percent, like [80, 100]",
        ),
        (
            rate(r#""alert_at": [80, 80]"#),
            "limit mail: alert_at 80 and 80 is not usable: use one or two different numbers of \
             percent, 1 to 100",
        ),
        (
            rate(r#""alert_at": [80, 0]"#),
            "limit mail: alert_at 0 and 80 is not usable: use one or two different numbers of \
             percent, 1 to 100",
        ),
        (
            rate(r#""alert_at": [70, 80, 90]"#),
            "limit mail: a limit has at most two alerts: leave the others out of alert_at",
        ),
        (
            file(r#"{"counter": true, "alert_at": [80]}"#),
            "limit mail: a counter has no max, and so no alerts: leave out alert_at, or leave out \
             counter",
        ),
        (
            rate(r#""without_primary": "share""#),
            "limit mail: \"share\" cannot be read: write without_primary = \"refuse\", \
             \"share:0.3\" or \"open\"",
        ),
        (
            rate(r#""without_primary": "share:1.5""#),
            "limit mail: a share of 1.5 is not usable: use 0.001 to 1, like \"share:0.3\"",
        ),
        (
            code(Limit::per_second(9).alert_at(0)),
            "alert_at 0 is not usable: use one or two different numbers of percent, 1 to 100",
        ),
    ]);
}

#[test]
fn sets_of_limits() {
    let broken = |names: &[&str]| {
        let with = |builder: quorate_ratelimit::LimitsBuilder, name: &&str| {
            builder.limit(*name, Limit::per_second(1))
        };
        let built = names.iter().fold(Limits::builder(), with).build();
        built.expect_err("it breaks a rule").to_string()
    };
    let many: Vec<String> = (0..4097).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let collision = LimitsErrorKind::Collision { name: "one".into(), other: "two".into() };
    assert_told([
        (
            broken(&[""]),
            "the limit name \"\" is not usable: use 1 to 64 printable ASCII characters",
        ),
        (broken(&["mail", "mail"]), "two limits are called \"mail\": rename one"),
        (
            broken(&["ma\nil"]),
            "the limit name \"ma\\nil\" is not usable: use 1 to 64 printable ASCII characters",
        ),
        (broken(&many), "4097 limits are more than 4096: leave some out"),
        (collision.to_string(), "the limit names \"one\" and \"two\" have the same id: rename one"),
    ]);
}

#[test]
fn calls_that_were_not_decided() {
    let said = |error: AcquireError| error.to_string();
    let limit = || "mail".to_owned();
    let reason = NoPrimaryReason::Electing;
    assert_told([
        (said(AcquireError::UnknownLimit { limit: limit() }), "no limit is called \"mail\""),
        (said(AcquireError::UnknownLimit { limit: String::new() }), "no limit is called \"\""),
        (
            said(AcquireError::MissingLimit { limit: limit(), revision: 0 }),
            "this peer has a limit \"mail\" and the peer that decides has none in its code: bring \
             the primary to the code that this peer runs, or change the group's limits to some \
             with it (change_limits)",
        ),
        (
            said(AcquireError::EmptyIdempotencyKey),
            "an empty idempotency key is none: give each request one of its own, or leave it out",
        ),
        (
            said(AcquireError::ZeroPermits),
            "a permit of 0 places would hold nothing: ask for 1 or more, or peek",
        ),
        (
            said(AcquireError::KeyTooLong { bytes: 600, max: 508 }),
            "a key of 600 bytes is longer than 508: use a shorter one, or a hash of it",
        ),
        (
            said(AcquireError::NeverAdmitted { limit: "mail".into(), amount: 9, max: 5 }),
            "limit mail never admits 9 units at once: ask for 5 at most",
        ),
        (said(AcquireError::Items { count: 0, max: 16 }), "0 items together: ask for 1 to 16"),
        (
            said(AcquireError::Twice { limit: limit() }),
            "a key of limit mail is asked for twice together: add the amounts up",
        ),
        (
            said(AcquireError::UnknownOperation),
            "the peer that decides does not know this operation: run the same version at all peers",
        ),
        (
            said(AcquireError::Ended),
            "the reservation or permit has ended, and its units are given back: debit what was \
             used, and do not go on as if a permit were held",
        ),
        (
            said(AcquireError::LimitRemoved { limit: limit() }),
            "the limit mail under which this was taken is not known to the peer that decides: it \
             has been removed since, or that peer has others",
        ),
        (
            said(AcquireError::LimitRemoved { limit: String::new() }),
            "the limit under which this was taken is not known to the peer that decides: it has \
             been removed since, or that peer has others",
        ),
        (
            said(AcquireError::Unsupported { limit: limit() }),
            "limit mail does not have this operation: permits, and nothing but permits, are for \
             limits with `concurrent`",
        ),
        (
            said(AcquireError::UnknownAnswer { code: 77 }),
            "the answer has code 77, which this version does not know: the units may have been \
             taken; run the same version at all peers",
        ),
        (
            said(DecideError::NoPrimary { reason }.into()),
            "no primary: an election has not ended, which takes some seconds",
        ),
        (
            "permit".parse::<PermitId>().expect_err("no id").to_string(),
            "this is not the id of a permit or of a reservation: use it as it was given",
        ),
    ]);
}
