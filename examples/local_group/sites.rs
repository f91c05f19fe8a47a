//! The story `--demo sites`: two groups of three, with 40 ms between them, of which one decides and
//! the other follows. They change places under load, and nobody is refused. Then the site that
//! decides dies as a whole, the other one is promoted by force, and what is lost is held against
//! what was told to be at risk; the old site comes back, empty, and follows.
//!
//! What an operator does here is start and kill processes, and say three words.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use quorate_examples::ledger::{Finding, Ledger, Promise};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::distance::proxies;
use crate::peer::{AtSite, Digest, RATE, Settings, SiteStanding};
use crate::stage::{Stage, free_addresses};
use crate::{BEFORE, BETWEEN, MOMENT, report};

/// Peers of a site.
const SIZE: usize = 3;
const EAST: Range<usize> = 0..SIZE;
const WEST: Range<usize> = SIZE..2 * SIZE;

/// What came of it.
pub(crate) struct Outcome {
    findings: Vec<Finding>,
    ledger: Ledger,
    /// The longest that a caller waited for its answer while the sites changed places.
    pause: Duration,
    /// Of the promotion by force: how long it took, and for how long nobody was heard to decide, in
    /// milliseconds.
    took: (u64, u64),
    /// What was told to be at risk last, units that may have been lost, and those that were.
    at_risk_ms: u64,
    at_risk: u64,
    may_be_lost: u64,
    lost: u64,
    refused: u64,
}

impl Outcome {
    /// Whether everything was proved.
    pub(crate) fn holds(&self) -> bool {
        report::holds(&self.findings)
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "holds": self.holds(),
            "proof": report::proof(&self.findings),
            "switch_pause_ms": self.pause.as_millis() as u64,
            "promotion_ms": self.took.0,
            "outage_ms": self.took.1,
            "rpo_ms_told": self.at_risk_ms,
            "rpo_units_told": self.at_risk,
            "may_be_lost_units": self.may_be_lost,
            "lost_units": self.lost,
            "decisions": self.ledger.entries().len(),
            "acknowledged_units": self.ledger.acknowledged_units(),
            "unknown_units": self.ledger.unknown_units(),
            "refused_calls": self.refused,
        })
    }
}

/// For people.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        report::verdicts(&self.findings, f)?;
        write!(
            f,
            "\n  changing places: no caller waited longer than {} ms for its answer\n  by \
             force: {} ms from the word to a primary, {} ms after the last word of the old one\n  \
             lost: {} units; the site that died had told {} to be at risk, of {} ms, and with \
             what it\n  answered afterwards {} may have been\n  {} decisions, {} calls were \
             refused meanwhile, {} units are of unknown outcome",
            self.pause.as_millis(),
            self.took.0,
            self.took.1,
            self.lost,
            self.at_risk,
            self.at_risk_ms,
            self.may_be_lost,
            self.ledger.entries().len(),
            self.refused,
            self.ledger.unknown_units(),
        )
    }
}

/// The settings of both sites: each has three of six peers, and a way to the others.
pub(crate) async fn settings(
    all: Vec<Settings>,
    each_way: Duration,
) -> Result<Vec<Settings>, String> {
    let cannot = |error| format!("no free ports on 127.0.0.1: {error}");
    let addresses = free_addresses(all.len()).map_err(cannot)?;
    let ways = proxies(addresses.clone(), each_way).await.map_err(cannot)?;
    let names: Vec<_> = all.iter().map(|settings| settings.name.clone()).collect();
    let members = |site: Range<usize>| site.map(|n| (names[n].clone(), addresses[n])).collect();
    let settings = all.into_iter().enumerate().map(|(number, settings)| {
        let [(name, own), (other, across)] = match EAST.contains(&number) {
            true => [("east", EAST), ("west", WEST)],
            false => [("west", WEST), ("east", EAST)],
        };
        let ways = across.map(|peer| (addresses[peer], ways[&addresses[peer]])).collect();
        let site = AtSite { name: name.to_owned(), other: other.to_owned(), ways };
        Settings { members: members(own), site: Some(site), ..settings }
    });
    Ok(settings.collect())
}

/// Plays it.
pub(crate) async fn play(stage: &mut Stage) -> Result<Outcome, String> {
    for peer in EAST.chain(WEST) {
        stage.start_peer(peer)?;
    }
    let are_up = |stage: &Stage| stage.parts.iter().all(|part| part.is_running());
    stage.wait("all six", MOMENT, are_up).await?;
    stage.screen.tell("nobody of two sites decides before it is told to: east is");
    stage.arrange_site(0, "activate").await?;
    stage.wait("a site that decides and one that follows", MOMENT, |s| decides(s, EAST)).await?;

    let (stop, stopped) = watch::channel(false);
    let callers = stage.start_callers(&stopped);
    stage.screen.tell("callers ask all six, over sockets");
    stage.play(BEFORE).await?;
    let before = (stage.refused() + stage.unknown(), copies(stage));
    let asked = stage.start.elapsed();
    stage.screen.tell("the two change places");
    stage.arrange_site(1, "switch").await?;
    stage.wait("the other site to decide", MOMENT, |stage| decides(stage, WEST)).await?;
    stage.play(BETWEEN).await?;
    let until = stage.start.elapsed();
    let after = (stage.refused() + stage.unknown(), copies(stage));
    let mut ledger = stage.end_callers(stop, callers).await?;
    let pause = ledger.longest_wait(asked, until);
    stage.last_counts(0, &mut ledger).await?;
    let mut findings = ledger.prove(Promise::Exact);
    findings.push(kept_quiet(before, after));

    let (stop, stopped) = watch::channel(false);
    let callers = stage.start_callers(&stopped);
    stage.play(BETWEEN).await?;
    let primary = stage.primary().ok_or("there is no primary to kill")?;
    for peer in WEST {
        stage.kill_peer(peer).await?;
    }
    let told = stage.parts[primary].at_risk;
    stage.screen.tell("west is gone as a whole, and nobody decides");
    stage.wait("east to miss it", MOMENT, |stage| all(stage, EAST, "PeerNotReachable")).await?;
    stage.screen.tell("east is told to decide without a word of west");
    let promoted = stage.start.elapsed();
    stage.arrange_site(0, "promote").await?;
    let is_promoted = |stage: &Stage| site(stage, 0).is_some_and(|site| site.took.is_some());
    stage.wait("the promotion", MOMENT, is_promoted).await?;
    let took = site(stage, 0).and_then(|site| site.took).unwrap_or_default();
    stage.play(BETWEEN).await?;
    for peer in WEST {
        stage.start_peer(peer)?;
    }
    stage.wait("the return of west", MOMENT * 2, |stage| decides(stage, EAST)).await?;
    stage.screen.tell("west is back, and follows");
    stage.play(BETWEEN).await?;

    ledger.append(stage.end_callers(stop, callers).await?);
    stage.last_counts(SIZE, &mut ledger).await?;
    let (looked, (at_risk_ms, at_risk)) = told.ok_or("west has not told what is at risk")?;
    let may_be_lost = at_risk + ledger.acknowledged_between(looked, promoted);
    findings.extend(ledger.prove(Promise::Bounded { max_lost: may_be_lost }));
    findings.push(ledger.prove_rate(RATE.0, RATE.1));
    findings.push(equal_digests(stage).await?);
    let (lost, refused) = (ledger.lost_units(), stage.refused());
    Ok(Outcome { findings, ledger, pause, took, at_risk_ms, at_risk, may_be_lost, lost, refused })
}

/// How a peer says that the sites are.
fn site(stage: &Stage, peer: usize) -> Option<&SiteStanding> {
    stage.parts[peer].standing.site.as_ref()
}

/// Returns true if all peers of a site say that it is so.
fn all(stage: &Stage, mut peers: Range<usize>, state: &str) -> bool {
    peers.all(|peer| site(stage, peer).is_some_and(|site| site.state == state))
}

/// Returns true if all six say that this site decides, and that the other one follows.
fn decides(stage: &Stage, active: Range<usize>) -> bool {
    let is_so = |peer: usize| {
        let site = site(stage, peer);
        site.is_some_and(|site| site.state == "Ready" && site.is_active == active.contains(&peer))
    };
    EAST.chain(WEST).all(is_so)
}

/// How often any of them was brought up to date by a copy.
fn copies(stage: &Stage) -> u64 {
    stage.parts.iter().map(|part| part.standing.copies).sum()
}

/// A planned change of places refuses nobody and copies nothing.
fn kept_quiet(before: (u64, u64), after: (u64, u64)) -> Finding {
    let (refused, copied) = (after.0 - before.0, after.1 - before.1);
    Finding {
        claim: "the sites changed places, with nobody refused and nothing copied",
        holds: (refused, copied) == (0, 0),
        detail: format!("{refused} calls without an answer, {copied} copies"),
    }
}

/// Looks whether all six hold equal cells.
async fn equal_digests(stage: &mut Stage) -> Result<Finding, String> {
    let peers: Vec<usize> = EAST.chain(WEST).collect();
    let digests = stage.digests(&peers, 20).await?;
    let detail = |digest: &Digest| format!("{} cells, digest {:016x}", digest.cells, digest.digest);
    Ok(report::equal_cells("both sites hold equal cells", digests, detail))
}
