//! The stage of `local_group`: all processes, how they stand, and what of it is shown.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use quorate_examples::ledger::Ledger;

use crate::caller::{self, Caller, Tally};
use crate::peer::{Digest, Notice, Settings, Standing, unix_micros};
use crate::process::{News, Process};
use crate::screen::Screen;
use crate::{IO_TIMEOUT, MOMENT};

/// Callers of each peer.
const CALLERS: usize = 8;
/// How often the table is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// Time over which the decisions per second of the table are measured.
const RATE_INTERVAL: Duration = Duration::from_millis(500);
/// Notices that wait to be looked at; a peer that has more to say waits.
const MAX_NEWS: usize = 1024;

/// One peer: its process, if it runs, and the last that was heard of it.
pub(crate) struct Part {
    pub(crate) settings: Settings,
    pub(crate) standing: Standing,
    pub(crate) digest: Option<Digest>,
    process: Option<Process>,
    /// Where it answers checks.
    address: watch::Sender<Option<SocketAddr>>,
    tally: Arc<Tally>,
    per_second: u64,
    counted: u64,
    /// What it said last to be at risk at the other site, in milliseconds and units, and when it
    /// had looked, since the start.
    pub(crate) at_risk: Option<(Duration, (u64, u64))>,
}

impl Part {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            standing: Standing::default(),
            digest: None,
            process: None,
            address: watch::Sender::new(None),
            tally: Arc::default(),
            per_second: 0,
            counted: 0,
            at_risk: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        *self.address.borrow()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.address().is_some()
    }

    fn row(&self) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let pid = self.process.as_ref().map(|process| process.pid().to_string());
        format!(
            "  {:<5}{:<9}{:<13}{:>4}{:>11}{:>10}{:>9}{:>8}{:>8}",
            self.name(),
            pid.as_deref().unwrap_or("-"),
            self.role(),
            self.standing.place.1,
            self.per_second,
            count(&self.tally.admitted),
            count(&self.tally.denied),
            count(&self.tally.refused),
            count(&self.tally.unknown),
        )
    }

    fn role(&self) -> String {
        match (&self.process, &self.standing.primary) {
            (None, _) => "killed".to_owned(),
            (_, Some(primary)) if matches!(&*self.standing.role, "replica" | "standby") => {
                format!("{} of {primary}", self.standing.role)
            }
            (_, None) if matches!(&*self.standing.role, "replica" | "standby") => {
                "no primary".to_owned()
            }
            _ => self.standing.role.clone(),
        }
    }
}

const HEADINGS: &str =
    "  peer process  role         term  decided/s  admitted   denied refused unknown";

/// All peers and the screen.
pub(crate) struct Stage {
    pub(crate) start: Instant,
    /// That in microseconds since the Unix epoch.
    start_us: u64,
    pub(crate) screen: Screen,
    pub(crate) parts: Vec<Part>,
    /// What everybody waits for, and until when at the earliest.
    pub(crate) countdown: Option<(&'static str, Instant)>,
    news: mpsc::Receiver<News>,
    newsroom: mpsc::Sender<News>,
    last_frame: Instant,
    last_rates: Instant,
}

impl Stage {
    /// Peers of these settings, none of which runs yet.
    pub(crate) fn new(settings: Vec<Settings>, is_json: bool) -> Self {
        let (newsroom, news) = mpsc::channel(MAX_NEWS);
        let start = Instant::now();
        Self {
            start,
            start_us: unix_micros(),
            screen: Screen::new(is_json, start),
            parts: settings.into_iter().map(Part::new).collect(),
            countdown: None,
            news,
            newsroom,
            last_frame: start,
            last_rates: start,
        }
    }

    /// Starts a peer's process.
    pub(crate) fn start_peer(&mut self, peer: usize) -> Result<(), String> {
        let part = &mut self.parts[peer];
        let process = Process::start(peer, &part.settings, self.newsroom.clone())
            .map_err(|error| format!("cannot start the process of {}: {error}", part.name()))?;
        let sentence = format!("{} starts as process {}", part.name(), process.pid());
        part.process = Some(process);
        self.screen.tell(&sentence);
        Ok(())
    }

    /// Ends a peer's process by SIGKILL.
    pub(crate) async fn kill_peer(&mut self, peer: usize) -> Result<(), String> {
        let part = &mut self.parts[peer];
        let process = part.process.take().ok_or("that peer does not run")?;
        let was = if part.standing.role == "primary" { " was the primary" } else { "" };
        let sentence = format!("kill -9 {}: {}{was}", process.pid(), part.name());
        process.kill().await.map_err(|error| format!("cannot kill it: {error}"))?;
        part.address.send_replace(None);
        part.standing = Standing::default();
        self.screen.tell(&sentence);
        Ok(())
    }

    /// Tells a peer to work out its digest.
    pub(crate) async fn ask_digest(&mut self, peer: usize) -> Result<(), String> {
        let part = &mut self.parts[peer];
        part.digest = None;
        let process = part.process.as_mut().ok_or("that peer does not run")?;
        process.order("digest").await.map_err(|error| format!("cannot ask for a digest: {error}"))
    }

    /// Tells a peer to be primary without these, which are gone for good.
    pub(crate) async fn force(&mut self, peer: usize, gone: &[usize]) -> Result<(), String> {
        let names: Vec<_> = gone.iter().map(|peer| self.parts[*peer].name()).collect();
        let order = format!("force {}", names.join(" "));
        let process = self.parts[peer].process.as_mut().ok_or("that peer does not run")?;
        process.order(&order).await.map_err(|error| format!("cannot give an order: {error}"))
    }

    /// Tells a peer what its site is to be: `activate`, `switch`, or `promote` by force.
    pub(crate) async fn arrange_site(&mut self, peer: usize, wish: &str) -> Result<(), String> {
        let process = self.parts[peer].process.as_mut().ok_or("that peer does not run")?;
        let order = format!("site {wish}");
        process.order(&order).await.map_err(|error| format!("cannot give an order: {error}"))
    }

    /// Starts the callers of all peers.
    pub(crate) fn start_callers(&self, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<Ledger>> {
        let of_each = |peer: usize| (0..CALLERS).map(move |number| (peer, number));
        let callers = (0..self.parts.len()).flat_map(of_each).map(|(peer, number)| {
            let part = &self.parts[peer];
            let number = peer * CALLERS + number;
            let address = part.address.subscribe();
            Caller::new(number, address, stop.clone(), part.tally.clone(), self.start)
        });
        callers.map(|caller| tokio::spawn(caller.run())).collect()
    }

    /// Ends the callers; what they have written down.
    pub(crate) async fn end_callers(
        &mut self,
        stop: watch::Sender<bool>,
        callers: Vec<JoinHandle<Ledger>>,
    ) -> Result<Ledger, String> {
        stop.send_replace(true);
        let longest = IO_TIMEOUT + MOMENT;
        self.wait("the callers", longest, |_| callers.iter().all(JoinHandle::is_finished)).await?;
        let mut ledger = caller::ledger();
        for caller in callers {
            ledger.append(caller.await.map_err(|error| error.to_string())?);
        }
        Ok(ledger)
    }

    /// Asks a peer for the count of every key.
    pub(crate) async fn last_counts(&self, peer: usize, ledger: &mut Ledger) -> Result<(), String> {
        let part = &self.parts[peer];
        let address = part.address().ok_or_else(|| format!("{} is gone", part.name()))?;
        let counts = caller::last_counts(address, self.start, ledger).await;
        counts.map_err(|error| format!("the last counts: {error}"))
    }

    /// Asks these peers for their digests until all are of one position; `None` if they do not come
    /// to one within so many tries.
    pub(crate) async fn digests(
        &mut self,
        peers: &[usize],
        tries: usize,
    ) -> Result<Option<Vec<Digest>>, String> {
        for _ in 0..tries {
            for peer in peers {
                self.ask_digest(*peer).await?;
            }
            let all = |stage: &Self| peers.iter().all(|peer| stage.parts[*peer].digest.is_some());
            self.wait("the digests", MOMENT, all).await?;
            let digests = peers.iter().filter_map(|peer| self.parts[*peer].digest.clone());
            let digests: Vec<_> = digests.collect();
            if digests.iter().all(|digest| digest.place == digests[0].place) {
                return Ok(Some(digests));
            }
            self.play(Duration::from_millis(200)).await?;
        }
        Ok(None)
    }

    /// The running peer that says it is primary, in the highest term if several do.
    pub(crate) fn primary(&self) -> Option<usize> {
        let is_primary = |part: &Part| part.is_running() && part.standing.role == "primary";
        let primaries = (0..self.parts.len()).filter(|peer| is_primary(&self.parts[*peer]));
        primaries.max_by_key(|peer| self.parts[*peer].standing.place)
    }

    /// Whether all peers that run follow the primary, and it counts them as members.
    pub(crate) fn is_settled(&self) -> bool {
        let Some(primary) = self.primary().map(|peer| &self.parts[peer]) else { return false };
        let follows = |part: &Part| {
            part.standing.role == "replica"
                && part.standing.primary.as_deref() == Some(primary.name())
                && primary.standing.members.iter().any(|member| member == part.name())
        };
        let mut started = self.parts.iter().filter(|part| part.process.is_some());
        started.all(|part| part.name() == primary.name() || follows(part))
    }

    /// Calls refused so far because there was no primary.
    pub(crate) fn refused(&self) -> u64 {
        self.parts.iter().map(|part| part.tally.refused.load(Ordering::Relaxed)).sum()
    }

    /// Calls so far of which nobody knows whether they were decided.
    pub(crate) fn unknown(&self) -> u64 {
        self.parts.iter().map(|part| part.tally.unknown.load(Ordering::Relaxed)).sum()
    }

    /// Decisions so far that peers made alone.
    pub(crate) fn local(&self) -> u64 {
        self.parts.iter().map(|part| part.tally.local.load(Ordering::Relaxed)).sum()
    }

    /// Lets everything run for a while.
    pub(crate) async fn play(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(end).await?;
        }
        Ok(())
    }

    /// Lets everything run until something is so; an error if it takes too long.
    pub(crate) async fn wait(
        &mut self,
        what: &str,
        longest: Duration,
        until: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        let end = Instant::now() + longest;
        while !until(self) {
            if Instant::now() >= end {
                return Err(format!("waited {longest:?} in vain for {what}"));
            }
            self.turn(end).await?;
        }
        Ok(())
    }

    /// Looks at one piece of news, or draws the next frame.
    async fn turn(&mut self, end: Instant) -> Result<(), String> {
        let frame = self.last_frame + FRAME;
        if let Ok(Some(news)) = tokio::time::timeout_at(frame.min(end), self.news.recv()).await {
            self.take(news)?;
        }
        if Instant::now() >= frame {
            self.draw();
        }
        Ok(())
    }

    fn take(&mut self, News { peer, pid, notice }: News) -> Result<(), String> {
        let part = &mut self.parts[peer];
        if part.process.as_ref().map(Process::pid) != Some(pid) {
            return Ok(()); // The last words of a process that was killed.
        }
        match notice {
            Some(Notice::Started(address)) => {
                part.address.send_replace(Some(address));
            }
            Some(Notice::Status(standing)) => {
                if let Some(site) = &standing.site
                    && let Some(rpo) = site.rpo
                {
                    let since = site.at_us.saturating_sub(self.start_us);
                    part.at_risk = Some((Duration::from_micros(since), rpo));
                }
                part.standing = standing;
            }
            Some(Notice::Digest(digest)) => part.digest = Some(digest),
            Some(Notice::Event(sentence)) => {
                self.screen.tell(&format!("{} {sentence}", self.parts[peer].name()));
            }
            Some(Notice::Failed(problem)) => {
                return Err(format!("{}: {problem}", part.name()));
            }
            None => return Err(format!("the process of {} has ended unasked", part.name())),
        }
        Ok(())
    }

    fn draw(&mut self) {
        let now = Instant::now();
        self.last_frame = now;
        let measured = now - self.last_rates;
        if measured >= RATE_INTERVAL {
            self.last_rates = now;
            for part in &mut self.parts {
                let decided = part.tally.decided();
                let gain = (decided - part.counted) as f64;
                part.per_second = (gain / measured.as_secs_f64()) as u64;
                part.counted = decided;
            }
        }
        let waiting = self.countdown.map(|(what, end)| {
            let left = end.saturating_duration_since(now).as_secs_f64();
            format!("{what}: {left:.1} s")
        });
        let mut table = vec![String::new(), HEADINGS.to_owned()];
        table.extend(self.parts.iter().map(Part::row));
        table.push(waiting.as_ref().map_or_else(String::new, |text| format!("  {text}")));
        let primary = self.primary().map_or("no primary", |peer| self.parts[peer].name());
        let per_second: u64 = self.parts.iter().map(|part| part.per_second).sum();
        let refused = self.refused();
        let waiting = waiting.map_or_else(String::new, |text| format!("; {text}"));
        let summary = format!(
            "primary: {primary}; {per_second} decisions a second; {refused} calls refused{waiting}"
        );
        self.screen.draw(&table, &summary);
    }
}

/// Loopback addresses that were free a moment ago, all different.
pub(crate) fn free_addresses(count: usize) -> std::io::Result<Vec<SocketAddr>> {
    let bind = |_| TcpListener::bind("127.0.0.1:0");
    let listeners = (0..count).map(bind).collect::<std::io::Result<Vec<_>>>()?;
    listeners.iter().map(TcpListener::local_addr).collect()
}
