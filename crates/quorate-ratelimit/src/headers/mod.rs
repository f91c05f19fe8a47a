//! Decisions in HTTP responses: fields, and the body of a denial.

#[cfg(test)]
mod structured;
pub(crate) mod words;

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::limit::{Kind, Limit};
use crate::limiter::decision::Decision;

/// The fields that a response carries. `Retry-After` is among them whenever a decision denies: it
/// is the one published field (RFC 9110, section 10.2.3).
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::{HeaderStyle, Reset};
///
/// // What most clients read; whether `Reset` is a moment or a wait is for you to know of them.
/// const STYLE: HeaderStyle = HeaderStyle::XRateLimit { reset: Reset::Epoch };
/// # let _ = STYLE;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderStyle {
    /// `RateLimit-Policy` and `RateLimit`, by draft 11 of the IETF's
    /// *RateLimit header fields for HTTP*. Later drafts get variants of their own.
    ///
    /// The draft knows windows: a quota `q` in `w` seconds. A rate has both by what flows into its
    /// bucket, and its burst beside them under a name of its own, as the draft has it for what it
    /// does not know: 100 per second with a burst of 50 is `q=100;w=1;quorate-burst=50`, and `r` is
    /// at most the burst. Where the burst is more than the amount of the rate, `q` and `w` are as
    /// many times larger as it takes for `q` to be no less: 5 an hour with a burst of 9 is
    /// `q=10;w=7200;quorate-burst=9`. A burst that is `q` itself is left out. Permits have no
    /// window, for they come back when they are given back: 8 at once is
    /// `q=8;qu="concurrent-requests"`.
    IetfDraft11,
    /// Only `Retry-After`.
    #[default]
    RetryAfter,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`.
    XRateLimit {
        /// The meaning of `X-RateLimit-Reset`.
        reset: Reset,
    },
}

/// The meaning of `X-RateLimit-Reset`; services differ in it, and clients cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reset {
    /// The seconds until then.
    Delta,
    /// The moment, in seconds since the Unix epoch: by group time, which a majority of the
    /// members' wall clocks keep.
    ///
    /// Whoever reads it goes by another clock, and finds it earlier or later by as much as the two
    /// are apart: by a clock that is ahead it may be over already, and by one that is behind it is
    /// farther off than it is. Where the clock of the machine that writes the header (`now` of
    /// [`Decision::headers`]) is more than a minute from group time the moment is by that clock
    /// instead; so one that is five minutes behind writes moments that are in the past for all
    /// clients with a right clock, which then come too early, and are denied.
    /// [`Reset::Delta`] and `Retry-After` depend on no clock.
    Epoch,
}

/// Name and value of a field.
pub type Header = (&'static str, String);

/// Group time that is no farther than this from a machine's clock is taken for the time of all
/// clocks.
const SAME_CLOCK: Duration = Duration::from_secs(60);

/// The largest integer of a structured field (RFC 9651, section 3.3.1).
const MAX_INTEGER: u64 = 999_999_999_999_999;

impl Decision {
    /// The fields of a response to a request that was decided by `limit`, whose name is `name`, at
    /// the wall time `now`. A counter and a shadow deny nothing and have none: a client that is
    /// told that nothing is left stays away.
    ///
    /// Times are whole seconds, rounded up: a client that comes then is not denied for being
    /// early. A moment ([`Reset::Epoch`]) is rounded once: the end of a window that ends with a
    /// second is that second. It is counted from when the decision was made, in group time; from
    /// `now` if the two are more than a minute apart.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use quorate_ratelimit::{AcquireError, Header, HeaderStyle, RateLimiter};
    ///
    /// async fn check(limiter: &RateLimiter) -> Result<(u16, Vec<Header>), AcquireError> {
    ///     let decision = limiter.acquire("mail", "alice", 1).await?;
    ///     let limit = limiter.limits().get("mail").expect("it is one of ours");
    ///     let now = SystemTime::now();
    ///     let headers = decision.headers("mail", &limit, HeaderStyle::IetfDraft11, now);
    ///     Ok((if decision.allowed { 200 } else { 429 }, headers))
    /// }
    /// ```
    pub fn headers(
        &self,
        name: &str,
        limit: &Limit,
        style: HeaderStyle,
        now: SystemTime,
    ) -> Vec<Header> {
        let wait = self.retry_after.map(retry_after_seconds);
        let retry_after = wait.map(|wait| ("Retry-After", wait.to_string()));
        // Who decided may have another limit of that name.
        let Some(policy) = Policy::of(limit, self.limit) else {
            return retry_after.into_iter().collect();
        };
        // A denial is over when the same amount is admitted; else all of it is there again then.
        let reset_after = self.retry_after.unwrap_or(self.reset_after);
        let reset = wait.unwrap_or_else(|| seconds_up(reset_after));
        let mut headers = match style {
            HeaderStyle::RetryAfter => Vec::new(),
            HeaderStyle::IetfDraft11 => {
                let name = quoted(name);
                let left = self.remaining.min(MAX_INTEGER);
                vec![
                    ("RateLimit-Policy", format!("{name};{policy}")),
                    ("RateLimit", format!("{name};r={left};t={}", reset.min(MAX_INTEGER))),
                ]
            }
            HeaderStyle::XRateLimit { reset: kind } => {
                let reset = match kind {
                    Reset::Delta => reset,
                    Reset::Epoch => seconds_up(self.made(now).saturating_add(reset_after)),
                };
                vec![
                    ("X-RateLimit-Limit", self.limit.to_string()),
                    ("X-RateLimit-Remaining", self.remaining.to_string()),
                    ("X-RateLimit-Reset", reset.to_string()),
                ]
            }
        };
        headers.extend(retry_after);
        headers
    }

    /// Returns the moment of the decision, since the Unix epoch: from then on its times run.
    fn made(&self, now: SystemTime) -> Duration {
        let now = since_epoch(now);
        let made = Duration::from_nanos(self.group_time.0);
        if made.abs_diff(now) <= SAME_CLOCK { made } else { now }
    }
}

/// Returns the value of `Retry-After` for a wait: whole seconds, rounded up, and one at least, for
/// a caller that comes earlier is denied again.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use quorate_ratelimit::retry_after_seconds;
///
/// assert_eq!(retry_after_seconds(Duration::from_millis(1_001)), 2);
/// assert_eq!(retry_after_seconds(Duration::ZERO), 1);
/// ```
pub fn retry_after_seconds(wait: Duration) -> u64 {
    seconds_up(wait).max(1)
}

/// The body of a 429 as a problem document (RFC 9457, `application/problem+json`), for a request
/// that limits of these names refuse.
///
/// # Examples
///
/// ```
/// use quorate_ratelimit::quota_exceeded;
///
/// let body = quota_exceeded(["mail"]);
/// assert!(body.contains(r#""status":429"#) && body.contains(r#""violated-policies":["mail"]"#));
/// ```
pub fn quota_exceeded<'a>(violated: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = violated.into_iter().map(quoted).collect();
    format!(
        "{{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\",\
         \"title\":\"Too Many Requests\",\"status\":429,\"violated-policies\":[{}]}}",
        names.join(",")
    )
}

/// The units that a limit admits in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    quota: u64,
    /// The time, in whole seconds; of permits, which are held at once, none.
    window: Option<u64>,
    /// The most at once, where that is not the quota.
    burst: Option<u64>,
}

impl Policy {
    /// Returns the quota of a limit of which `most` is admitted at once, as the peer said that
    /// decided; what denies nothing has none.
    fn of(limit: &Limit, most: u64) -> Option<Self> {
        let window = match limit.kind {
            _ if limit.is_shadow => return None,
            Kind::Counter => return None,
            Kind::Rate { amount, period } => return Some(Self::of_rate(amount, period, most)),
            Kind::Concurrent { .. } => None,
            Kind::Calendar { calendar, .. } => Some(calendar.nominal_seconds()),
            Kind::Window { length, .. }
            | Kind::Sliding { length, .. }
            | Kind::ApproximateSliding { length, .. } => Some(seconds_up(length).max(1)),
        };
        Some(Self { quota: most, window, burst: None })
    }

    /// Returns what flows into a bucket in as many periods as are whole seconds, and no less than
    /// the burst.
    fn of_rate(amount: u64, period: Duration, burst: u64) -> Self {
        const SECOND: u128 = 1_000;
        let millis = period.as_millis().max(1);
        // As few periods as end with a second.
        let whole = SECOND / common_divisor(millis, SECOND);
        let quota = u128::from(amount).saturating_mul(whole);
        let times = u128::from(burst).div_ceil(quota.max(1)).max(1);
        let of = |times: u128| {
            let window = millis * whole / SECOND;
            let policy = [quota, window].map(|number| number.saturating_mul(times));
            let fits = policy.into_iter().all(|number| number <= u128::from(MAX_INTEGER));
            (fits, policy.map(|number| u64::try_from(number).unwrap_or(u64::MAX)))
        };
        // What no field can carry is told by the rate alone: that much is true.
        let (fits, policy) = of(times);
        let [quota, window] = if fits { policy } else { of(1).1 };
        Self { quota, window: Some(window), burst: (burst != quota).then_some(burst) }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "q={}", self.quota.min(MAX_INTEGER))?;
        match self.window {
            Some(window) => write!(f, ";w={}", window.min(MAX_INTEGER))?,
            None => f.write_str(";qu=\"concurrent-requests\"")?,
        }
        match self.burst {
            Some(burst) => write!(f, ";quorate-burst={}", burst.min(MAX_INTEGER)),
            None => Ok(()),
        }
    }
}

fn common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn seconds_up(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A name as a string of structured fields, and of JSON: names of limits are printable ASCII.
fn quoted(name: &str) -> String {
    let mut quoted = String::from('"');
    for c in name.chars() {
        if c == '"' || c == '\\' {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use quorate::{Answer, Basis, Cell, GroupTime, Model, Position};

    use super::*;
    use crate::limiter::decision::Origin;
    use crate::model::limits::Limits;
    use crate::rule::operation::Operation;

    const START: u64 = 1_753_000_000_250_000_000;

    /// Takes these amounts, one after the other, and returns the last decision.
    fn decided(limit: Limit, amounts: &[u64]) -> Decision {
        let limits = Limits::builder().limit("l", limit).build().expect("usable");
        let key = limits.key("l", "k").expect("known");
        let mut cell = Cell::new(None);
        let mut answer = Answer::default();
        for amount in amounts {
            let item = Operation::Acquire.item(key.as_ref(), *amount);
            cell = Cell::new(cell.value().copied());
            answer =
                limits.model().decide(&[item], std::slice::from_mut(&mut cell), GroupTime(START));
        }
        let origin = Origin {
            basis: Basis::Primary,
            decided_by: quorate::Decider::UNKNOWN,
            group_id: None,
            position: Position::BLANK,
            group_time: GroupTime(START),
        };
        Decision::of_answer("l", 1, &answer, origin).expect("decided")
    }

    fn headers(limit: Limit, amounts: &[u64], style: HeaderStyle) -> String {
        let now = SystemTime::UNIX_EPOCH + Duration::from_nanos(START);
        let headers = decided(limit, amounts).headers("a \"b\"", &limit, style, now);
        headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    #[test]
    fn an_admission_says_what_is_left_in_each_style() {
        let minute = Limit::window(100, Duration::from_secs(60));
        // The window ends at 1_753_000_020.
        assert_eq!(headers(minute, &[30], HeaderStyle::RetryAfter), "");
        assert_eq!(
            headers(minute, &[30], HeaderStyle::IetfDraft11),
            "RateLimit-Policy: \"a \\\"b\\\"\";q=100;w=60\nRateLimit: \"a \\\"b\\\"\";r=70;t=20\n"
        );
        let x = |reset| headers(minute, &[30], HeaderStyle::XRateLimit { reset });
        assert!(x(Reset::Delta).ends_with("X-RateLimit-Remaining: 70\nX-RateLimit-Reset: 20\n"));
        assert!(x(Reset::Epoch).ends_with("X-RateLimit-Reset: 1753000020\n"));
    }

    /// It was a second late: the moment and the wait were rounded up, each by itself.
    #[test]
    fn a_moment_is_rounded_up_once_and_from_when_it_was_decided() {
        const EPOCH: HeaderStyle = HeaderStyle::XRateLimit { reset: Reset::Epoch };
        let wall = SystemTime::UNIX_EPOCH + Duration::from_nanos(START);
        let reset = |limit: Limit, amounts: &[u64], now: SystemTime| {
            let headers = decided(limit, amounts).headers("l", &limit, EPOCH, now);
            headers[2].1.parse::<u64>().expect("it is a number")
        };
        let minute = Limit::window(100, Duration::from_secs(60));
        let rate = Limit::per_second(1).burst(1);
        // Said a moment after it was decided, and by a clock that is a little behind or ahead of
        // it.
        for apart in [0, 3, 700, 59_000].map(Duration::from_millis) {
            for now in [wall + apart, wall - apart] {
                assert_eq!(reset(minute, &[30], now), 1_753_000_020);
                assert_eq!(reset(minute, &[100, 1], now), 1_753_000_020);
                // A second after a quarter past.
                assert_eq!(reset(rate, &[1, 1], now), 1_753_000_002);
            }
        }
        // A clock of its own day: as long from then on.
        let hour = Duration::from_secs(3600);
        assert_eq!(reset(minute, &[30], wall + hour), 1_753_003_620);
        assert_eq!(reset(minute, &[30], wall - hour), 1_752_996_420);
    }

    #[test]
    fn a_denial_says_when_to_come_again_and_all_fields_agree() {
        let rate = Limit::per_minute(4).burst(2);
        assert_eq!(
            headers(rate, &[2, 1], HeaderStyle::IetfDraft11),
            "RateLimit-Policy: \"a \\\"b\\\"\";q=4;w=60;quorate-burst=2\n\
             RateLimit: \"a \\\"b\\\"\";r=0;t=15\nRetry-After: 15\n"
        );
        assert_eq!(headers(rate, &[2, 1], HeaderStyle::RetryAfter), "Retry-After: 15\n");
        // The peer that decided has a window of the name that is a counter here.
        let minute = Limit::window(1, Duration::from_secs(60));
        let denied = decided(minute, &[1, 1]);
        let told = |style| denied.headers("l", &Limit::counter(), style, SystemTime::UNIX_EPOCH);
        let retry_after = [("Retry-After", "20".to_owned())];
        assert_eq!(told(HeaderStyle::RetryAfter), retry_after);
        assert_eq!(told(HeaderStyle::IetfDraft11), retry_after);
        // Sooner than a second is a second: zero would be at once.
        let fast = Limit::per_second(1000).burst(1);
        assert_eq!(headers(fast, &[1, 1], HeaderStyle::RetryAfter), "Retry-After: 1\n");
    }

    /// 100 per second with a burst of 50 read as 50 per second.
    #[test]
    fn the_policy_of_a_rate_is_the_rate_and_its_burst_stands_beside_it() {
        let ms = Duration::from_millis;
        for (limit, policy) in [
            (Limit::per_second(100).burst(50), "q=100;w=1;quorate-burst=50"),
            (Limit::per_second(100), "q=100;w=1"),
            (Limit::per_second(100).burst(250), "q=300;w=3;quorate-burst=250"),
            (Limit::per_second(100).burst(200), "q=200;w=2"),
            (Limit::per_hour(5).burst(9), "q=10;w=7200;quorate-burst=9"),
            (Limit::per_day(1).burst(5), "q=5;w=432000"),
            (Limit::per(1, ms(100)), "q=10;w=1;quorate-burst=1"),
            (Limit::per(7, ms(3)).burst(7000), "q=7000;w=3"),
            (Limit::per(3, ms(1500)).burst(1), "q=6;w=3;quorate-burst=1"),
            (Limit::per(1, ms(366 * 86_400_000)).burst(7), "q=7;w=221356800"),
        ] {
            let text = headers(limit, &[1], HeaderStyle::IetfDraft11);
            let told =
                text.lines().next().and_then(|line| line.split_once(';')).expect("a policy").1;
            assert_eq!(told, policy, "{limit}");
            let number = |name: &str| -> u64 {
                let field = text.split([';', '\n']).find_map(|field| field.strip_prefix(name));
                field.expect("it is there").parse().expect("a number")
            };
            let (quota, window, left) = (number("q="), number("w="), number("r="));
            // In a window as much flows as the quota says, and what is left is no more than it.
            let Kind::Rate { amount, period } = limit.kind else { panic!("{limit}") };
            let flows = u128::from(amount) * u128::from(window) * 1_000_000_000;
            assert_eq!(u128::from(quota) * period.as_nanos(), flows, "{limit}");
            assert!(left < quota && left < limit.capacity(), "{limit}: {text}");
        }
        // The rate is told where the burst would take longer to flow than a field can say.
        let slow = Limit::per(1, ms(366 * 86_400_000)).burst(1 << 50);
        let text = headers(slow, &[1], HeaderStyle::IetfDraft11);
        assert!(text.contains("q=1;w=31622400;quorate-burst=999999999999999\n"), "{text}");
    }

    #[test]
    fn numbers_stay_within_structured_fields_and_counters_have_none() {
        let large = Limit::window(u64::MAX, Duration::from_secs(60));
        let text = headers(large, &[1], HeaderStyle::IetfDraft11);
        assert!(text.contains(";q=999999999999999;w=60") && text.contains(";r=999999999999999;"));
        assert_eq!(headers(Limit::counter(), &[5], HeaderStyle::IetfDraft11), "");
    }

    /// One permit read as one request in 30 seconds.
    #[test]
    fn permits_are_so_many_at_once_and_have_no_window() {
        let jobs = Limit::concurrent(8);
        let policy = |limit: Limit| Policy::of(&limit, limit.capacity()).map(|it| it.to_string());
        assert_eq!(policy(jobs).as_deref(), Some("q=8;qu=\"concurrent-requests\""));
        assert_eq!(policy(jobs.lease(Duration::from_secs(300))), policy(jobs));
    }

    #[test]
    fn a_shadow_tells_no_client_to_stay_away() {
        let tried = Limit::window(1, Duration::from_secs(60)).shadow();
        for style in [
            HeaderStyle::IetfDraft11,
            HeaderStyle::RetryAfter,
            HeaderStyle::XRateLimit { reset: Reset::Delta },
        ] {
            assert_eq!(headers(tried, &[1, 1], style), "", "{style:?}");
        }
    }

    #[test]
    fn a_body_names_who_refuses() {
        let body = quota_exceeded(["a", "b \"c\""]);
        assert!(body.ends_with(r#""violated-policies":["a","b \"c\""]}"#), "{body}");
    }
}
