//! The limits of the example `peer` themselves: what they are, how they are changed, and who uses
//! them.
//!
//! ```text
//! GET /v1/limits                        the group's limits, as a limits file
//! PUT /v1/limits?carry=keep             a limits file: the whole group decides by it from now on;
//!                                       what was taken is kept, or carry=proportional, or
//!                                       carry=reset; where --admin-http is; not with
//!                                       --limits-file-wins
//! GET /v1/top?limit=NAME&n=10           the keys that are used, and denied, most: whoever sees
//!                                       them sees whose they are; where --admin-http is
//! ```

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, put};
use axum::{Json, Router};
use quorate::PolicyError;
use quorate_ratelimit::{Carry, Limits, LimitsSource, LimitsSpec, Top};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::flags::in_flags;
use crate::limits::refused;
use crate::problem::Problem;
use crate::service::{Current, Service};

/// The paths about limits as such.
pub(crate) fn routes() -> Router<Current> {
    Router::new().route("/v1/limits", get(limits))
}

/// What callers have no say in.
pub(crate) fn admin_routes() -> Router<Current> {
    Router::new().route("/v1/limits", put(change)).route("/v1/top", get(top))
}

async fn limits(State(service): State<Service>) -> Result<impl IntoResponse, Problem> {
    let text = toml::to_string(&LimitsSpec::from(&service.limiter.limits()));
    let internal = |error: toml::ser::Error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "not_written", error.to_string())
    };
    let revision = service.limiter.limits_status().revision;
    let text = format!("# revision {revision}\n{}", text.map_err(internal)?);
    Ok(([(header::CONTENT_TYPE, "application/toml")], text))
}

const CARRY: &str = "carry says what becomes of what was taken: keep, proportional or reset, like \
                     PUT /v1/limits?carry=keep";

const FILE_WINS: &str = "this group decides by the limits file of its primary \
                         (--limits-file-wins), which would set them back: change the file at all \
                         peers; nothing was changed";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    #[serde(default)]
    carry: Carry,
}

async fn change(
    State(service): State<Service>,
    how: Result<Query<How>, QueryRejection>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Query(How { carry }) = how.map_err(|_| Problem::bad_request(CARRY))?;
    if service.limiter.limits_status().source == LimitsSource::WinningFile {
        return Err(Problem::new(StatusCode::CONFLICT, "file_wins", FILE_WINS));
    }
    let unusable = |error: &dyn std::fmt::Display| Problem::bad_request(error.to_string());
    let text = std::str::from_utf8(&body).map_err(|error| unusable(&error))?;
    let limits = parse(text).map_err(|error| unusable(&error))?;
    let revision = service.limiter.change_limits(&limits, carry).await?;
    Ok(Json(json!({ "revision": revision })))
}

/// Reads a limits file; one without a limit would have every request refused.
pub(crate) fn parse(text: &str) -> Result<Limits, String> {
    spec(text)?.build().map_err(|error| error.to_string())
}

/// The same, unchecked.
pub(crate) fn spec(text: &str) -> Result<LimitsSpec, String> {
    let spec: LimitsSpec = toml::from_str(text).map_err(|error| in_one_line(&error, text))?;
    if spec.limits.is_empty() {
        return Err("there is no limit in it: write one, like limits.api.rate = \"100/s\"".into());
    }
    Ok(spec)
}

/// What is wrong with a text, with the line that is.
fn in_one_line(error: &toml::de::Error, text: &str) -> String {
    /// What of the line is shown.
    const MOST: usize = 60;
    let message = error.message().replace('\n', "; ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return message;
    };
    let number = before.matches('\n').count();
    let line: String =
        text.lines().nth(number).unwrap_or_default().trim().chars().take(MOST).collect();
    match &*line {
        "" => format!("line {}: {message}", number + 1),
        line => format!("line {}, `{line}`: {message}", number + 1),
    }
}

const TOP: &str = "name a limit, and how many keys, like GET /v1/top?limit=default&n=10";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    limit: String,
    #[serde(default = "ten")]
    n: usize,
}

fn ten() -> usize {
    10
}

async fn top(
    State(service): State<Service>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Top>, Problem> {
    let Query(Which { limit, n }) = which.map_err(|_| Problem::bad_request(TOP))?;
    let top = service.limiter.top(&limit, n).await;
    top.map(Json).map_err(|error| refused(error, &service.limiter.limits()))
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        let (status, name) = match error {
            PolicyError::Refused { .. } | PolicyError::TooLong { .. } => {
                (StatusCode::BAD_REQUEST, "limits_refused")
            }
            PolicyError::NoPrimary { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_primary"),
            // It may be done already: the revision tells.
            PolicyError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
            PolicyError::NotAllowed => (StatusCode::FORBIDDEN, "client"),
            PolicyError::OldVersion => (StatusCode::CONFLICT, "old_version"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "not_changed"),
        };
        let said = in_flags(&error.to_string());
        Self::new(status, name, format!("{said}; GET /v1/limits shows what is decided by"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They had four lines, or did not say which limit, key or line it is.
    #[test]
    fn what_is_wrong_with_a_file_is_told_in_one_line_with_its_place() {
        let said = |text: &str| parse(text).map(drop).expect_err("it cannot be used");
        for (text, sentence) in [
            ("", "there is no limit in it: write one, like limits.api.rate = \"100/s\""),
            ("[limits.api]\nrate = 5\n", "line 2, `rate = 5`: rate takes a text, like \"100/s\""),
            (
                "[limits.api]\nrate = \"5/s\"\nalert_at = [300]\n",
                "line 3, `alert_at = [300]`: alert_at takes one or two numbers of percent, like \
                 [80, 100]",
            ),
            (
                "[limits.api]\nrate = \"5/s\"\nalert_at = [0]\n",
                "limit api: alert_at 0 is not usable: use one or two different numbers of percent, \
                 1 to 100",
            ),
            (
                "[limits.plan]\ncalendar = \"week\"\nmax = 5\nstarts_on = \"Someday\"\n",
                "limit plan: a week cannot begin on starts_on = \"Someday\": write a weekday, like \
                 \"sunday\"",
            ),
            (
                "[limits.plan]\ncalendar = \"week\"\nmax = 5\nstarts_on = 300\n",
                "line 4, `starts_on = 300`: starts_on is a weekday of a week, or a day of a month, \
                 1 to 31",
            ),
            (
                "[limits.mail]\nwindow = \"60s\"\n",
                "limit mail: window = \"60s\" lacks its max: say how many units it admits, like \
                 max = 1000",
            ),
            (
                "[limits.jobs]\nconcurrent = 0\n",
                "limit jobs: concurrent = 0 would admit nothing: use at least 1",
            ),
        ] {
            assert_eq!(said(text), sentence);
        }
        let misspelt = said("[limits.api]\n\nbrust = 5\n");
        assert!(misspelt.starts_with("line 3, `brust = 5`: unknown field `brust`"), "{misspelt}");
        let broken = said("[limits.api\nrate = 5\n");
        assert!(broken.starts_with("line 1, `[limits.api`: "), "{broken}");
        assert!(!broken.contains('\n'));
    }
}
