//! One peer of `local_group`: what runs in each of the processes that it starts.
//!
//! The parent asks checks over TCP, one JSON object a line, as many connections as it likes. It
//! gives the orders `digest`, `force NAME ..` and `site ..` on standard input and reads notices
//! from standard output. The end of standard input means that the parent has died: so does this
//! process, then.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use quorate::transport::{Tcp, Transport};
use quorate::{
    Acknowledge, Consent, DecideError, Event, Mode, Monitor, Peer, PeerName, PeerRole, Site,
    SiteMode, SiteStatus,
};
use quorate_examples::{certificates, sentence as sentence_of};
use quorate_ratelimit::{AcquireError, Decision, Limit, Limits, RateLimiter};
use quorate_tls::TlsConfig;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::distance::Detour;

/// Units per second and most units at once of the limit `rate`.
pub(crate) const RATE: (u64, u64) = (100, 50);

const HOUR: Duration = Duration::from_secs(3600);
const STATUS_INTERVAL: Duration = Duration::from_millis(50);

/// The limits of the group: two that the callers fill, one before the kill and one after it, one
/// that they never fill, and a rate.
const LIMITS: [(&str, Limit); 4] = [
    ("small", Limit::window(1_000, HOUR)),
    ("medium", Limit::window(20_000, HOUR)),
    ("large", Limit::window(1_000_000_000, HOUR)),
    ("rate", Limit::per_second(RATE.0).burst(RATE.1)),
];

/// What the parent tells a peer at its start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) members: Vec<(String, SocketAddr)>,
    pub(crate) is_relaxed: bool,
    pub(crate) waits_for_majority: bool,
    pub(crate) failure_timeout: Duration,
    pub(crate) io_timeout: Duration,
    pub(crate) max_unreplicated: u64,
    /// Folder with certificates, if the peers talk over TLS.
    pub(crate) certificates: Option<PathBuf>,
    /// Where a peer listens that is on no list, and where it finds members.
    pub(crate) joins: Option<(SocketAddr, Vec<SocketAddr>)>,
    /// How many live members are kept, and the grace.
    pub(crate) monitor: Option<(usize, Duration)>,
    /// The site that it stands at, of two.
    pub(crate) site: Option<AtSite>,
}

/// The site that a peer stands at, and the way to the other one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AtSite {
    pub(crate) name: String,
    pub(crate) other: String,
    /// Where the peers of the other one listen, and by what address each of them is reached.
    pub(crate) ways: Vec<(SocketAddr, SocketAddr)>,
}

/// What a caller asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) limit: String,
    pub(crate) key: String,
    pub(crate) units: u64,
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Decided(Decided),
    /// Nothing was written.
    Refused(String),
    /// The units may have been counted.
    Unknown,
}

/// A decision, with all that the proof needs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Decided {
    pub(crate) allowed: bool,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) window: Option<u64>,
    pub(crate) is_local: bool,
    /// Generation, term and sequence.
    pub(crate) place: (u64, u64, u64),
}

/// What a peer tells the parent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// It has started, and answers checks there.
    Started(SocketAddr),
    /// It could not start, or not do as it was told.
    Failed(String),
    /// How it stands, many times a second.
    Status(Standing),
    /// Something happened, as a sentence.
    Event(String),
    /// The answer to the order `digest`.
    Digest(Digest),
}

/// How a peer stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) role: String,
    pub(crate) primary: Option<String>,
    /// Generation, term and sequence.
    pub(crate) place: (u64, u64, u64),
    pub(crate) overlay_units: u64,
    /// Peers that this one counts as members.
    pub(crate) members: Vec<String>,
    /// How the sites are, at a peer that stands at one.
    pub(crate) site: Option<SiteStanding>,
    /// How often it was brought up to date by a copy of everything.
    pub(crate) copies: u64,
}

/// How the sites are, as a peer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SiteStanding {
    pub(crate) is_active: bool,
    pub(crate) epoch: u64,
    /// When this was looked at, in microseconds since the Unix epoch.
    pub(crate) at_us: u64,
    pub(crate) state: String,
    /// What is at risk: milliseconds, and units.
    pub(crate) rpo: Option<(u64, u64)>,
    /// Of the last promotion, at the peer that it made primary: how long it took, and for how long
    /// nobody was heard to decide, in milliseconds.
    pub(crate) took: Option<(u64, u64)>,
}

/// What a peer holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digest {
    pub(crate) place: (u64, u64, u64),
    pub(crate) cells: u64,
    pub(crate) digest: u64,
}

/// Runs a peer until the parent is gone.
pub(crate) async fn run(settings: Settings) -> ! {
    match start(&settings).await {
        Ok(peer) => follow_orders(&peer).await,
        Err(problem) => tell(&Notice::Failed(problem)),
    }
    process::exit(0)
}

async fn start(settings: &Settings) -> Result<Peer, String> {
    let builder = LIMITS.iter().fold(Limits::builder(), |b, (name, limit)| b.limit(*name, *limit));
    let limits = builder.build().map_err(|error| error.to_string())?;
    let members = settings.members.iter().map(|(name, at)| (name.as_str(), at.to_string()));
    let mut builder = Peer::builder(settings.name.as_str(), limits.model())
        .group("local")
        .members(members)
        .mode(if settings.is_relaxed { Mode::Relaxed } else { Mode::Strict })
        .acknowledge(match settings.waits_for_majority {
            true => Acknowledge::Majority,
            false => Acknowledge::Primary,
        })
        .heartbeat(settings.failure_timeout / 10)
        .failure_timeout(settings.failure_timeout)
        .io_timeout(settings.io_timeout)
        .max_unreplicated(settings.max_unreplicated);
    if let Some((listen, contacts)) = &settings.joins {
        builder = builder.listen(listen.to_string()).join(contacts.iter().map(ToString::to_string));
    }
    if let Some((size, grace)) = settings.monitor {
        builder = builder.monitor(Monitor::new(size).grace(grace));
    }
    let tcp = Tcp::default().user_timeout(settings.failure_timeout);
    let mut transport: Arc<dyn Transport> = match &settings.site {
        Some(AtSite { ways, .. }) => Arc::new(Detour::new(tcp, ways)),
        None => Arc::new(tcp),
    };
    if let Some(AtSite { name, other, ways }) = &settings.site {
        let contacts = ways.iter().map(|(peer, _)| peer.to_string());
        builder = builder.site(Site::new(name).other(other, contacts));
    }
    if let Some(folder) = &settings.certificates {
        let [ca, certificate, key] = certificates::files(folder, &settings.name);
        let tls = TlsConfig::from_pem_files(ca, certificate, key).over(transport).transport();
        transport = Arc::new(tls.map_err(|error| sentence_of(&error))?);
    }
    builder = builder.transport(transport);
    let peer = builder.start().await.map_err(|error| sentence_of(&error))?;
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    tell(&Notice::Started(listener.local_addr().map_err(|error| error.to_string())?));
    let copies = Arc::new(AtomicU64::new(0));
    tokio::spawn(tell_events(peer.clone(), copies.clone()));
    tokio::spawn(tell_standing(peer.clone(), copies));
    tokio::spawn(serve(listener, RateLimiter::new(peer.clone(), &limits)));
    Ok(peer)
}

async fn follow_orders(peer: &Peer) {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(order)) = orders.next_line().await {
        if order == "digest" {
            let digest = peer.digest();
            let place = place(&digest.position);
            let (cells, digest) = (digest.cells, digest.digest);
            tell(&Notice::Digest(Digest { place, cells, digest }));
        }
        if let Some(wish) = order.strip_prefix("site ") {
            arrange_site(peer, wish).await;
        }
        if let Some(gone) = order.strip_prefix("force ")
            && let Err(error) = peer.force_primary(gone.split(' ')).await
        {
            tell(&Notice::Failed(error.to_string()));
        }
    }
}

async fn arrange_site(peer: &Peer, wish: &str) {
    let done = match wish {
        "activate" => peer.activate_site().await,
        "switch" => peer.switch_sites().await,
        _ => peer.promote_site(Consent::default().force()).await,
    };
    if let Err(error) = done {
        tell(&Notice::Failed(format!("{wish}: {error}")));
    }
}

/// A parent that does not read any more is about to end this process.
fn tell(notice: &Notice) {
    if let Ok(line) = serde_json::to_string(notice) {
        writeln!(std::io::stdout(), "{line}").unwrap_or_default();
    }
}

async fn tell_events(peer: Peer, copies: Arc<AtomicU64>) {
    let mut events = peer.events_after(0);
    while let Some(numbered) = events.next().await {
        if matches!(numbered.event, Event::CaughtUp { .. }) {
            copies.fetch_add(1, Ordering::Relaxed);
        }
        tell_event(&peer, &numbered.event);
    }
}

fn tell_event(peer: &Peer, event: &Event) {
    if let Some(sentence) = sentence(peer.name(), event) {
        tell(&Notice::Event(sentence));
    }
}

/// The events that tell the story, as sentences without a subject.
fn sentence(me: &PeerName, event: &Event) -> Option<String> {
    Some(match event {
        Event::Founded { group_id, .. } => format!("founds the group {group_id}"),
        Event::PrimarySuspected { primary: Some(primary), .. } => {
            format!("has had no word of {primary} for the failure timeout")
        }
        Event::FailureAgreed { agreeing, .. } => {
            let names: Vec<_> = agreeing.iter().map(|name| name.as_str()).collect();
            format!("knows that {} agree: the primary is lost", names.join(" and "))
        }
        Event::CampaignStarted { ballot } => format!("stands for election, term {}", ballot.term),
        Event::PrimaryChanged { primary: Some(primary), ballot } if primary == me => {
            format!("is the primary, term {}", ballot.term)
        }
        Event::PrimaryChanged { primary: Some(primary), ballot } => {
            format!("follows the primary {primary}, term {}", ballot.term)
        }
        Event::QuorumLost { .. } => "has lost its majority and decides nothing".to_owned(),
        Event::QuorumRegained { .. } => "has a majority again".to_owned(),
        Event::ClockDoubted { .. } => {
            "finds that its clock may have stood still, and asks the others".to_owned()
        }
        Event::SteppedDown { .. } => "is not primary any more".to_owned(),
        Event::MemberReplaced { peer } => format!("counts {peer}, which has started"),
        Event::LocalDecisionsMerged { units, dropped } => {
            format!("has merged {units} units that it admitted alone ({dropped} dropped)")
        }
        Event::LocalDecisionsDiscarded { units } => {
            format!("has discarded {units} units that it admitted alone")
        }
        Event::LocalDecisionsRefused { units, reason } => {
            format!("has dropped {units} units that it admitted alone: {reason}")
        }
        Event::ChangesLost { units, exact: true } => format!("reports {units} units lost"),
        Event::ChangesLost { units, .. } => {
            format!("does not know whether units were lost, which are at most {units}")
        }
        Event::MemberAdded { peer, members } => format!("counts {peer} in, one of {members}"),
        Event::MemberForgotten { peer, .. } => format!("forgets {peer}, which was replaced"),
        Event::PrimaryForced { gone, .. } => {
            let names: Vec<_> = gone.iter().map(|name| name.as_str()).collect();
            format!("is primary by force, without {}", names.join(" and "))
        }
        Event::SiteChanged { site, active, epoch } => {
            let does = if site == active { "decides" } else { "follows" };
            format!("knows that its site {site} {does}, in site epoch {epoch}")
        }
        Event::SitePromoted { site, forced, .. } => {
            let how = if *forced { " by force" } else { ", and nothing is lost" };
            format!("is primary of site {site}, which was promoted{how}")
        }
        Event::NewGeneration { generation, .. } => format!("starts generation {generation}"),
        Event::ConfigMismatch { peer, field, ours, theirs } => {
            format!("and {peer} differ in {field}: {ours} here, {theirs} there")
        }
        _ => return None,
    })
}

/// What is told of the sites.
fn standing_of(site: &SiteStatus, at_us: u64) -> SiteStanding {
    let promotion = site.last_promotion.as_ref();
    SiteStanding {
        is_active: site.mode == SiteMode::Active,
        epoch: site.epoch,
        at_us,
        state: format!("{:?}", site.state),
        rpo: site.rpo_ms.zip(site.rpo_units),
        took: promotion.and_then(|promotion| promotion.took_ms.zip(promotion.outage_ms)),
    }
}

async fn tell_standing(peer: Peer, copies: Arc<AtomicU64>) {
    let mut told = None;
    loop {
        // Before it is looked at: what is decided afterwards is not in it.
        let at_us = unix_micros();
        let status = peer.status();
        let members = status.peers.iter().filter(|peer| peer.is_member);
        let standing = Standing {
            role: match status.role {
                PeerRole::Primary => "primary",
                PeerRole::Replica => "replica",
                PeerRole::Standby => "standby",
                _ => "joining",
            }
            .to_owned(),
            primary: status.primary.as_ref().map(ToString::to_string),
            place: place(&status.position),
            overlay_units: status.overlay_units,
            members: members.map(|peer| peer.name.to_string()).collect(),
            site: status.site.as_ref().map(|site| standing_of(site, at_us)),
            copies: copies.load(Ordering::Relaxed),
        };
        if told.as_ref() != Some(&standing) {
            tell(&Notice::Status(standing.clone()));
            told = Some(standing);
        }
        tokio::time::sleep(STATUS_INTERVAL).await;
    }
}

fn place(position: &quorate::Position) -> (u64, u64, u64) {
    (position.ballot.generation.to_bits(), position.ballot.term.0, position.sequence.0)
}

async fn serve(listener: TcpListener, limiter: RateLimiter) {
    while let Ok((stream, _)) = listener.accept().await {
        // A caller that is gone needs no answer.
        let limiter = limiter.clone();
        tokio::spawn(async move { answer(stream, limiter).await.unwrap_or_default() });
    }
}

async fn answer(mut stream: TcpStream, limiter: RateLimiter) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    let mut calls = BufReader::new(reader).lines();
    while let Some(line) = calls.next_line().await? {
        let call: Call = serde_json::from_str(&line)?;
        let reply = reply(limiter.acquire(&call.limit, &call.key, call.units).await);
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
    }
    Ok(())
}

fn reply(outcome: Result<Decision, AcquireError>) -> Reply {
    match outcome {
        Ok(decision) => Reply::Decided(Decided {
            allowed: decision.allowed,
            limit: decision.limit,
            remaining: decision.remaining,
            window: decision.window.and_then(unix_millis),
            is_local: decision.basis.is_local(),
            place: place(&decision.position),
        }),
        Err(AcquireError::Undecided(DecideError::OutcomeUnknown { .. })) => Reply::Unknown,
        Err(error) => Reply::Refused(error.to_string()),
    }
}

/// Microseconds since the Unix epoch: by a clock that all processes of this machine share.
#[expect(clippy::disallowed_methods, reason = "what is told is compared with when it was so")]
pub(crate) fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn unix_millis(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}
