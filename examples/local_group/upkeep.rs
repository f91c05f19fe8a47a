//! The story `--demo upkeep`: members are killed one after the other, the primary first, and a peer
//! with another name comes in the place of each; the group forgets them by itself, under load. Then
//! two of the three that are left are gone for good, and the last one is primary by force.
//!
//! What an operator does here is start and kill processes, and say one word at the end.

use std::fmt;

use quorate_examples::ledger::{Finding, Ledger, Promise};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::peer::{Digest, RATE, Settings};
use crate::stage::{Stage, free_addresses};
use crate::{BEFORE, MOMENT, NAMES, report};

/// Members that found the group, and as many that come in their places.
const SIZE: usize = 3;

/// What came of it.
pub(crate) struct Outcome {
    findings: Vec<Finding>,
    ledger: Ledger,
    forgotten: Vec<String>,
    forced: String,
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
            "forgotten": self.forgotten,
            "forced": self.forced,
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
            "\n  {} were forgotten by the group itself, {} went on by force\n  {} decisions, {} \
             calls were refused meanwhile, {} units are of unknown outcome",
            self.forgotten.join(", "),
            self.forced,
            self.ledger.entries().len(),
            self.refused,
            self.ledger.unknown_units(),
        )
    }
}

/// The settings of all that play: the founders, those that come for them, and one more.
pub(crate) fn settings(founders: Vec<Settings>) -> Result<Vec<Settings>, String> {
    let grace = founders[0].failure_timeout * 2;
    let contacts: Vec<_> = founders[0].members.iter().map(|(_, address)| *address).collect();
    let later = NAMES.len() - SIZE;
    let addresses =
        free_addresses(later).map_err(|error| format!("no free ports on 127.0.0.1: {error}"))?;
    // Whoever comes finds members at the addresses of all that have come before.
    let mut known = contacts;
    let joiners: Vec<Settings> = NAMES[SIZE..]
        .iter()
        .zip(addresses)
        .map(|(name, address)| {
            let joins = Some((address, known.clone()));
            known.push(address);
            Settings { name: (*name).to_owned(), members: Vec::new(), joins, ..founders[0].clone() }
        })
        .collect();
    let mut all = founders;
    all.extend(joiners);
    all.iter_mut().for_each(|settings| settings.monitor = Some((SIZE, grace)));
    Ok(all)
}

/// Plays it.
pub(crate) async fn play(stage: &mut Stage) -> Result<Outcome, String> {
    for peer in 0..SIZE {
        stage.start_peer(peer)?;
    }
    stage.wait("a primary that all peers follow", MOMENT, Stage::is_settled).await?;
    let (stop, stopped) = watch::channel(false);
    let callers = stage.start_callers(&stopped);
    stage.screen.tell("callers ask all peers, over sockets, for as long as they run");
    stage.play(BEFORE).await?;
    let mut forgotten = Vec::new();
    for (old, new) in (0..SIZE).zip(SIZE..) {
        replace(stage, old, new).await?;
        forgotten.push(stage.parts[old].name().to_owned());
    }
    stage.play(BEFORE).await?;
    let mut ledger = stage.end_callers(stop, callers).await?;
    // Nobody asks any more, so all three hold all that was answered.
    let equal = equal_digests(stage, &[3, 4, 5]).await?;

    let last = stage.primary().ok_or("there is no primary")?;
    let gone: Vec<usize> = (SIZE..2 * SIZE).filter(|peer| *peer != last).collect();
    for peer in &gone {
        stage.kill_peer(*peer).await?;
    }
    force(stage, last, &gone).await?;
    let (stop, stopped) = watch::channel(false);
    let callers = stage.start_callers(&stopped);
    stage.start_peer(2 * SIZE)?;
    stage.wait("the first peer of the new group", MOMENT, Stage::is_settled).await?;
    stage.play(BEFORE).await?;
    ledger.append(stage.end_callers(stop, callers).await?);

    stage.last_counts(2 * SIZE, &mut ledger).await?;
    let mut findings = ledger.prove(Promise::Exact);
    findings.push(ledger.prove_rate(RATE.0, RATE.1));
    findings.push(equal);
    findings.push(equal_digests(stage, &[last, 2 * SIZE]).await?);
    let forced = stage.parts[last].name().to_owned();
    Ok(Outcome { findings, ledger, forgotten, forced, refused: stage.refused() })
}

/// A peer comes, and once it counts another one is killed and forgotten.
async fn replace(stage: &mut Stage, old: usize, new: usize) -> Result<(), String> {
    stage.start_peer(new)?;
    stage.wait("the new peer to count", MOMENT, Stage::is_settled).await?;
    stage.kill_peer(old).await?;
    let name = stage.parts[old].name().to_owned();
    let is_forgotten = |stage: &Stage| {
        let primary = stage.primary().map(|peer| &stage.parts[peer].standing);
        stage.is_settled() && primary.is_some_and(|primary| !primary.members.contains(&name))
    };
    stage.wait("the group to forget whom was killed", MOMENT * 3, is_forgotten).await
}

/// The last one waits in vain for a majority, and is told to go on.
async fn force(stage: &mut Stage, last: usize, gone: &[usize]) -> Result<(), String> {
    let has_lost = |stage: &Stage| stage.parts[last].standing.role != "primary";
    stage.wait("the end of the last reign", MOMENT, has_lost).await?;
    stage.force(last, gone).await?;
    let is_primary = |stage: &Stage| stage.parts[last].standing.role == "primary";
    stage.wait("the primary by force", MOMENT, is_primary).await
}

/// Looks whether these peers hold equal cells.
async fn equal_digests(stage: &mut Stage, peers: &[usize]) -> Result<Finding, String> {
    let names: Vec<_> = peers.iter().map(|peer| stage.parts[*peer].name().to_owned()).collect();
    let digests = stage.digests(peers, 20).await?;
    let detail = |digest: &Digest| format!("{}: {} cells", names.join(", "), digest.cells);
    Ok(report::equal_cells("those that run hold equal cells", digests, detail))
}
