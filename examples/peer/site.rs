//! Two sites, of which one decides and the other follows (docs/sites.md).
//!
//! ```text
//! GET  /v1/site                     which site decides, and how the other one keeps up
//! POST /v1/site {"mode":"active"}   this site decides: for the first time, or in the place of one
//!                                   that has given that up
//!               {"mode":"active","force":true,"gone":["f"]}
//!                                   without a word of the other site, and of those who are gone
//!               {"mode":"passive"}  this site gives up deciding
//! POST /v1/site/switch {}           the two change places
//! ```
//!
//! A change is answered with what GET answers, once it is made; what is so already is no change. It
//! is asked of any peer of a site, and a switch of any at all; a promotion makes the one that is
//! asked primary.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::{Args, ValueEnum};
use quorate::{AtPassive, Consent, Site, SiteError, SiteMode, SiteStatus};
use quorate_examples::arguments;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::read;
use crate::monitor::Nothing;
use crate::problem::Problem;
use crate::service::{Current, Service};

/// The site that this peer stands at, of two.
#[derive(Args)]
pub(crate) struct SiteOptions {
    /// The site of this peer, of two of which one decides; --peers are those of this site.
    #[arg(long, value_name = "NAME", requires = "other_site", conflicts_with = "client")]
    site: Option<String>,
    /// The other site, and where any of its peers are; the name alone, if only that one dials.
    #[arg(long, value_name = "NAME=HOST:PORT,..", requires = "site", value_parser = other_site)]
    other_site: Option<OtherSite>,
    /// What becomes of callers here while the other site decides.
    #[arg(long, value_name = "WHAT", requires = "site", value_enum, default_value = "forward")]
    at_passive: WhenPassive,
    /// By how much the site that follows may be behind before /v1/site says Warning.
    #[arg(long, value_name = "TIME", requires = "site", value_parser = arguments::duration)]
    site_warn: Option<Duration>,
}

/// The other site, and addresses of its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OtherSite {
    name: String,
    contacts: Vec<String>,
}

/// What becomes of callers at the site that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhenPassive {
    /// They are answered by the primary at the other site.
    Forward,
    /// They are refused.
    Refuse,
}

/// Parses `west=10.1.0.1:7101,10.1.0.2:7101`, or `west`.
fn other_site(text: &str) -> Result<OtherSite, String> {
    let (name, contacts) = text.split_once('=').map_or((text, None), |(name, contacts)| {
        (name, Some(contacts.split(',').map(str::to_owned).collect::<Vec<_>>()))
    });
    let contacts = contacts.unwrap_or_default();
    if name.is_empty() || contacts.iter().any(String::is_empty) {
        return Err("write name=host:port,host:port, like west=10.1.0.1:7101".to_owned());
    }
    Ok(OtherSite { name: name.to_owned(), contacts })
}

impl SiteOptions {
    /// The setting that they make, if they are given.
    pub(crate) fn site(&self) -> Option<Site> {
        let (name, other) = (self.site.as_ref()?, self.other_site.clone()?);
        let at_passive = match self.at_passive {
            WhenPassive::Forward => AtPassive::Forward,
            WhenPassive::Refuse => AtPassive::Refuse,
        };
        let site = Site::new(name.as_str()).other(other.name, other.contacts);
        let site = site.at_passive(at_passive);
        Some(self.site_warn.into_iter().fold(site, Site::warn_after))
    }
}

/// What callers may ask.
pub(crate) fn routes() -> Router<Current> {
    Router::new().route("/v1/site", get(site))
}

/// What changes the group.
pub(crate) fn admin_routes() -> Router<Current> {
    Router::new().route("/v1/site", post(change_site)).route("/v1/site/switch", post(switch_sites))
}

async fn site(State(Service { peer, .. }): State<Service>) -> Json<Value> {
    let standalone = || json!({ "mode": SiteMode::Standalone, "site": null });
    Json(peer.status().site.map_or_else(standalone, |site| json!(site)))
}

const CHANGE: &str = r#"{"mode":"active"}, {"mode":"passive"} or {"mode":"active","force":true}"#;

/// What this site is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Active,
    Passive,
    Standalone,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Change {
    mode: Option<Wanted>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    gone: Vec<String>,
    #[serde(default)]
    accept_data_deletion: bool,
    replication: Option<String>,
}

async fn change_site(
    State(Service { peer, .. }): State<Service>,
    body: Bytes,
) -> Result<Json<SiteStatus>, Problem> {
    let Change { mode, force, gone, accept_data_deletion, replication } = read(&body, CHANGE)?;
    if mode == Some(Wanted::Standalone) || replication.is_some() || accept_data_deletion {
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "not_built", NOT_BUILT));
    }
    let mode = mode.ok_or_else(|| Problem::bad_request(format!("send {CHANGE}")))?;
    let site = peer.status().site;
    let is_passive = site.is_some_and(|site| site.mode == SiteMode::Passive);
    // A site that decides is promoted by force only: one that was down and waits for the other.
    let is_promotion = mode == Wanted::Active && (is_passive || force);
    if !is_promotion && (force || !gone.is_empty()) {
        return Err(Problem::bad_request(OF_PROMOTIONS));
    }
    let done = match mode {
        Wanted::Active if is_promotion => {
            let consent = Consent::default().without(gone);
            peer.promote_site(if force { consent.force() } else { consent }).await?
        }
        Wanted::Active => peer.activate_site().await?,
        _ => peer.demote_site().await?,
    };
    Ok(Json(done))
}

const NOT_BUILT: &str = "the mode standalone, replication other than async, and the deletion of \
                         data are not built yet: a site is told to be active or passive; nothing \
                         was changed";
const OF_PROMOTIONS: &str = "force and gone are for a promotion: send them with mode active, gone \
                             at a site that is passive only; nothing was changed";

async fn switch_sites(
    State(Service { peer, .. }): State<Service>,
    body: Bytes,
) -> Result<Json<SiteStatus>, Problem> {
    if !body.is_empty() {
        let Nothing {} = read(&body, "{}")?;
    }
    Ok(Json(peer.switch_sites().await?))
}

impl From<SiteError> for Problem {
    fn from(error: SiteError) -> Self {
        let (status, name) = match &error {
            SiteError::NoSite => (StatusCode::NOT_FOUND, "no_site"),
            SiteError::OtherDecides => (StatusCode::CONFLICT, "other_decides"),
            SiteError::OtherHolds => (StatusCode::CONFLICT, "other_holds"),
            SiteError::NotVerified => (StatusCode::CONFLICT, "not_verified"),
            SiteError::Sealed => (StatusCode::CONFLICT, "sealed"),
            SiteError::Undecided => (StatusCode::CONFLICT, "undecided"),
            SiteError::Already => (StatusCode::CONFLICT, "already"),
            SiteError::ActiveReachable { .. } => (StatusCode::CONFLICT, "active_reachable"),
            SiteError::NeedsForce { .. } => (StatusCode::CONFLICT, "needs_force"),
            SiteError::NotReady { .. } => (StatusCode::CONFLICT, "not_ready"),
            SiteError::NoMajority { .. } => (StatusCode::CONFLICT, "no_majority"),
            SiteError::Refused { .. } => (StatusCode::CONFLICT, "refused"),
            SiteError::Promoting => (StatusCode::CONFLICT, "promoting"),
            SiteError::EpochsUsedUp => (StatusCode::CONFLICT, "epochs_used_up"),
            SiteError::OldVersion => (StatusCode::CONFLICT, "old_version"),
            // It may be changed already: GET tells.
            SiteError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
            SiteError::NotAllowed => (StatusCode::FORBIDDEN, "client"),
            SiteError::NoPrimary { .. } => return Self::busy("no_primary", &advised(&error)),
            SiteError::Busy { .. } => return Self::busy("busy", &advised(&error)),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
        };
        Self::new(status, name, advised(&error))
    }
}

/// Why nothing came of it, and what to send next.
fn advised(error: &SiteError) -> String {
    let advice = match error {
        SiteError::NoSite => "the flags are --site and --other-site",
        SiteError::OtherDecides => "POST /v1/site/switch has the two change places",
        SiteError::OtherHolds => "GET /v1/site there says how it is",
        SiteError::NotVerified => "GET /v1/site at the site that decides shows them",
        SiteError::Sealed => r#"POST /v1/site {"mode":"active"} does that, at a peer of that one"#,
        SiteError::Undecided => r#"POST /v1/site {"mode":"active"} does that, at one of the sites"#,
        SiteError::Already => "GET /v1/site shows how the other one follows",
        SiteError::ActiveReachable { .. } => {
            r#"POST /v1/site/switch, or POST /v1/site {"mode":"passive"} and then this once more"#
        }
        SiteError::NeedsForce { .. } => r#"POST /v1/site {"mode":"active","force":true} does it"#,
        SiteError::NotReady { .. } => "GET /v1/site shows how each peer stands: ask another one",
        SiteError::NoMajority { .. } | SiteError::Refused { .. } => {
            "bring it back, or name under gone whoever is gone for good; GET /v1/site shows where \
             this site stands"
        }
        SiteError::NoPrimary { .. } => "GET /v1/site and GET /v1/status say what is waited for",
        SiteError::TimedOut { .. } => "GET /v1/site shows whether it was",
        SiteError::NotAllowed | SiteError::ShuttingDown => "send it to another peer",
        _ => "nothing was changed",
    };
    format!("{error}; {advice}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use quorate::Peer;
    use quorate::transport::InProcess;
    use quorate_ratelimit::{HeaderStyle, Limit, Limits, RateLimiter};
    use tokio::time::sleep;

    use super::*;
    use crate::Options;
    use crate::http::tests::ask;
    use crate::http::{Face, routes as all_routes};

    const SITE: (&str, &str) = ("/v1/site", "/v1/site/switch");
    const ITEM: &str = r#"{"limit":"mail","key":"alice"}"#;

    /// A site of one peer, which knows of the other one.
    async fn one(network: &InProcess, name: &str, site: Option<Site>) -> Router {
        let limits = Limits::builder().limit("mail", Limit::per_day(1).burst(9)).build();
        let limits = limits.expect("usable");
        let peer = Peer::builder(name, limits.model()).members([(name, name)]);
        let peer = peer.io_timeout(Duration::from_secs(5)).transport(network.at(name));
        let peer = site.into_iter().fold(peer, |peer, site| peer.site(site));
        let peer = peer.tokio_clock().start().await.expect("the settings are valid");
        let limiter = RateLimiter::new(peer, &limits);
        all_routes(Service::new(limiter, HeaderStyle::RetryAfter, false), Face::Whole)
    }

    /// East, which is `a`, and west, which is `b`.
    async fn two(network: &InProcess) -> (Router, Router) {
        let east = Site::new("east").other("west", ["b"]);
        let west = Site::new("west").other("east", ["a"]);
        (one(network, "a", Some(east)).await, one(network, "b", Some(west)).await)
    }

    async fn post(routes: &Router, path: &str, body: &str) -> (u16, Value) {
        ask(routes, ("POST", path), body).await
    }

    async fn shown(routes: &Router) -> Value {
        let (status, site) = ask(routes, ("GET", SITE.0), "").await;
        assert_eq!(status, 200, "{site}");
        site
    }

    /// Waits until a peer says so of its site.
    async fn until(routes: &Router, mode: &str, state: &str) -> Value {
        for _ in 0..600 {
            let site = shown(routes).await;
            if site["mode"] == mode && site["state"] == state {
                return site;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("not {mode} and {state}: {}", shown(routes).await);
    }

    /// East decides, and west follows.
    async fn decided(network: &InProcess) -> (Router, Router) {
        let (east, west) = two(network).await;
        let (status, site) = post(&east, SITE.0, r#"{"mode":"active"}"#).await;
        assert_eq!((status, &site["mode"]), (200, &json!("active")), "{site}");
        until(&east, "active", "Ready").await;
        until(&west, "passive", "Ready").await;
        (east, west)
    }

    fn refused(answer: &(u16, Value)) -> (u16, &str) {
        (answer.0, answer.1["error"].as_str().unwrap_or_default())
    }

    fn site_of(more: &[&str]) -> Result<Option<Site>, String> {
        let always = ["peer", "--name", "a", "--peers", "a=127.0.0.1:1", "--http", "127.0.0.1:2"];
        let options = Options::try_parse_from(always.iter().chain(more));
        options.map(|options| options.site.site()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_site_goes_with_the_other_one() {
        assert_eq!(site_of(&[]), Ok(None));
        let both = ["--site", "east", "--other-site", "west=10.1.0.1:7101,10.1.0.2:7101"];
        let site = Site::new("east").other("west", ["10.1.0.1:7101", "10.1.0.2:7101"]);
        assert_eq!(site_of(&both), Ok(Some(site.clone())));
        let refusing = both.iter().chain(&["--at-passive", "refuse"]).copied().collect::<Vec<_>>();
        assert_eq!(site_of(&refusing), Ok(Some(site.at_passive(AtPassive::Refuse))));
        let nobody: [&str; 0] = [];
        let undialled = site_of(&["--site", "east", "--other-site", "west"]);
        assert_eq!(undialled, Ok(Some(Site::new("east").other("west", nobody))));
        for (flags, said) in [
            (&["--site", "east"][..], "--other-site"),
            (&["--other-site", "west=x:1"], "--site"),
            (&["--at-passive", "refuse"], "--site"),
            (&["--site", "east", "--other-site", "=x:1"], "write name=host:port"),
            (&["--site", "east", "--other-site", "west="], "write name=host:port"),
            (&["--site", "east", "--other-site", "west=x:1,"], "write name=host:port"),
            (&["--site", "east", "--other-site", "west=x:1", "--client"], "--client"),
        ] {
            let error = site_of(flags).expect_err("refused");
            assert!(error.contains(said), "{flags:?}: {error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_sites_are_told_which_decides_and_change_places() {
        let network = InProcess::network();
        let (east, west) = two(&network).await;
        assert_eq!(until(&east, "standalone", "Pending").await["site"], "east");
        sleep(Duration::from_secs(20)).await;
        let undecided = post(&west, "/v1/acquire", ITEM).await;
        assert_eq!(refused(&undecided), (503, "no_primary"));
        assert_eq!(undecided.1["reason"], "site_pending");
        let (status, site) = post(&east, SITE.0, r#"{"mode":"active","gone":[]}"#).await;
        assert_eq!((status, &site["mode"]), (200, &json!("active")), "{site}");
        until(&west, "passive", "Ready").await;
        assert_eq!(post(&west, "/v1/acquire", ITEM).await.0, 200, "it is forwarded");

        let (status, site) = post(&west, SITE.1, "").await;
        assert_eq!((status, &site["site"]), (200, &json!("west")), "{site}");
        let site = until(&west, "active", "Ready").await;
        assert_eq!((&site["epoch"], &site["last_promotion"]["forced"]), (&json!(2), &json!(false)));
        until(&east, "passive", "Ready").await;

        let (status, site) = post(&west, SITE.0, r#"{"mode":"passive"}"#).await;
        assert_eq!((status, &site["mode"]), (200, &json!("passive")), "{site}");
        until(&west, "passive", "BlockedWarmStandbyConversion").await;
        until(&east, "passive", "ReadyForPromotion").await;
        let sealed = post(&west, "/v1/acquire", ITEM).await;
        assert_eq!(refused(&sealed), (503, "no_primary"));
        assert_eq!(sealed.1["reason"], "site_sealed");
        let (status, site) = post(&east, SITE.0, r#"{"mode":"active"}"#).await;
        assert_eq!((status, &site["mode"]), (200, &json!("active")), "{site}");
        until(&west, "passive", "Ready").await;
        let (_, taken) = post(&west, "/v1/acquire", ITEM).await;
        assert_eq!(taken["remaining"], 7, "nothing was lost: {taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn callers_at_a_site_that_follows_are_refused_where_that_is_set() {
        let network = InProcess::network();
        let east = one(&network, "a", Some(Site::new("east").other("west", ["b"]))).await;
        let refusing = Site::new("west").other("east", ["a"]).at_passive(AtPassive::Refuse);
        let west = one(&network, "b", Some(refusing)).await;
        assert_eq!(post(&east, SITE.0, r#"{"mode":"active"}"#).await.0, 200);
        until(&west, "passive", "Ready").await;
        sleep(Duration::from_secs(1)).await;
        let answer = post(&west, "/v1/acquire", ITEM).await;
        assert_eq!(refused(&answer), (503, "no_primary"));
        assert_eq!(answer.1["reason"], "site_passive");
        let detail = answer.1["detail"].as_str().expect("a sentence");
        assert!(detail.contains("nothing was counted; with --at-passive forward"), "{detail}");
        assert_eq!(post(&east, "/v1/acquire", ITEM).await.0, 200);
    }

    #[test]
    fn each_refusal_is_told_by_a_word_and_by_what_to_send() {
        let waited = Duration::from_secs(30);
        for (error, status, name, says) in [
            (SiteError::NoSite, 404, "no_site", "--site"),
            (SiteError::OtherDecides, 409, "other_decides", "/v1/site/switch"),
            (SiteError::OtherHolds, 409, "other_holds", "GET /v1/site"),
            (SiteError::NotVerified, 409, "not_verified", "GET /v1/site"),
            (SiteError::Sealed, 409, "sealed", r#"{"mode":"active"}"#),
            (SiteError::Undecided, 409, "undecided", "POST /v1/site"),
            (SiteError::Already, 409, "already", "GET /v1/site"),
            (SiteError::NoMajority { missing: vec!["e".into()] }, 409, "no_majority", "under gone"),
            (SiteError::Promoting, 409, "promoting", "nothing was changed"),
            (SiteError::EpochsUsedUp, 409, "epochs_used_up", "found the group anew"),
            (SiteError::OldVersion, 409, "old_version", "upgrade all members"),
            (SiteError::NoPrimary { waited }, 503, "no_primary", "GET /v1/status"),
            (SiteError::TimedOut { waited }, 504, "outcome_unknown", "GET /v1/site"),
            (SiteError::NotAllowed, 403, "client", "another peer"),
            (SiteError::Busy { bound: 8 }, 503, "busy", "8 requests"),
            (SiteError::ShuttingDown, 503, "shutting_down", "another peer"),
        ] {
            let problem: Value =
                serde_json::from_str(&Problem::from(error).body()).expect("a document");
            assert_eq!((&problem["status"], &problem["error"]), (&json!(status), &json!(name)));
            let detail = problem["detail"].as_str().expect("a sentence");
            assert!(detail.contains(says), "{name}: {detail}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_word_of_the_other_site_one_is_promoted_by_force_only() {
        let network = InProcess::network();
        let (_east, west) = decided(&network).await;
        let reachable = post(&west, SITE.0, r#"{"mode":"active"}"#).await;
        assert_eq!(refused(&reachable), (409, "active_reachable"), "{}", reachable.1);
        network.cut("a", "b");
        until(&west, "passive", "PeerNotReachable").await;
        sleep(Duration::from_secs(20)).await;
        let unknown = post(&west, SITE.0, r#"{"mode":"active"}"#).await;
        assert_eq!(refused(&unknown), (409, "needs_force"), "{}", unknown.1);
        let detail = unknown.1["detail"].as_str().expect("a sentence");
        assert!(detail.contains("is lost then") && detail.contains("\"force\":true"), "{detail}");
        let (status, site) = post(&west, SITE.0, r#"{"mode":"active","force":true}"#).await;
        assert_eq!((status, &site["mode"]), (200, &json!("active")), "{site}");
        assert_eq!(site["last_promotion"]["forced"], true, "{site}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_change_of_a_site_is_refused_with_what_to_send() {
        let network = InProcess::network();
        let (east, _west) = decided(&network).await;
        for (path, body, says) in [
            (SITE.0, "", "not valid JSON"),
            (SITE.0, "[]", "expected an object"),
            (SITE.0, "{}", "send {"),
            (SITE.0, r#"{"mode":"on"}"#, "unknown variant"),
            (SITE.0, r#"{"mode":"active","yes":true}"#, "unknown field `yes`"),
            (SITE.0, r#"{"mode":"passive","force":true}"#, "with mode active"),
            (SITE.0, r#"{"mode":"active","gone":["b"]}"#, "passive only"),
            (SITE.1, r#"{"force":true}"#, "unknown field `force`"),
        ] {
            let answer = post(&east, path, body).await;
            assert_eq!(refused(&answer), (400, "bad_request"), "{body}");
            let detail = answer.1["detail"].as_str().expect("a sentence");
            assert!(detail.contains(says), "{body}: {detail}");
        }
        for body in [
            r#"{"mode":"standalone"}"#,
            r#"{"replication":"sync"}"#,
            r#"{"mode":"passive","accept_data_deletion":true}"#,
        ] {
            let answer = post(&east, SITE.0, body).await;
            assert_eq!(refused(&answer), (501, "not_built"), "{body}");
        }
        assert_eq!(shown(&east).await["mode"], "active");
        let alone = one(&network, "c", None).await;
        assert_eq!(shown(&alone).await, json!({ "mode": "standalone", "site": null }));
        for (path, body) in [(SITE.0, r#"{"mode":"active"}"#), (SITE.1, "{}")] {
            assert_eq!(refused(&post(&alone, path, body).await), (404, "no_site"), "{path}");
        }
    }
}
