//! The callers of `local_group`: tasks that ask checks over sockets, one after the other, and write
//! every answer into a ledger.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quorate_examples::ledger::{Entry, Ledger};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::peer::{Call, Decided, Reply};

/// Keys of each limit. Most calls go to keys that are never full, so that most are admitted.
const KEYS: [(&str, usize); 4] = [("small", 4), ("medium", 4), ("large", 11), ("rate", 1)];
/// How long a caller rests when it was refused or its peer is gone.
const REST: Duration = Duration::from_millis(20);

/// Every key that is asked, as (limit, key).
pub(crate) fn keys() -> Vec<(String, String)> {
    let key = |limit: &str, number: usize| (limit.to_owned(), format!("user-{number}"));
    let of = |(limit, count): (&'static str, usize)| (0..count).map(move |n| key(limit, n));
    KEYS.into_iter().flat_map(of).collect()
}

/// An empty ledger of [`keys`].
pub(crate) fn ledger() -> Ledger {
    Ledger::new(keys().into_iter().map(|(limit, key)| format!("{limit}/{key}")).collect())
}

/// What the callers of one peer were answered so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) admitted: AtomicU64,
    pub(crate) denied: AtomicU64,
    pub(crate) local: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) unknown: AtomicU64,
}

impl Tally {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that were decided, admitted or denied.
    pub(crate) fn decided(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed) + self.denied.load(Ordering::Relaxed)
    }
}

/// One caller of one peer.
pub(crate) struct Caller {
    address: watch::Receiver<Option<SocketAddr>>,
    stop: watch::Receiver<bool>,
    tally: Arc<Tally>,
    start: Instant,
    keys: Vec<(String, String)>,
    ledger: Ledger,
    /// Numbers the calls; each caller begins elsewhere.
    next: usize,
}

impl Caller {
    /// A caller of the peer that answers at `address`, while it runs; it ends when `stop` is true.
    pub(crate) fn new(
        number: usize,
        address: watch::Receiver<Option<SocketAddr>>,
        stop: watch::Receiver<bool>,
        tally: Arc<Tally>,
        start: Instant,
    ) -> Self {
        Self { address, stop, tally, start, keys: keys(), ledger: ledger(), next: number }
    }

    /// Asks until it is time to stop, whatever happens to the peer.
    pub(crate) async fn run(mut self) -> Ledger {
        while !*self.stop.borrow() {
            let address = *self.address.borrow_and_update();
            if let Some(line) = connect(address).await {
                self.ask(line).await;
            }
            tokio::time::sleep(REST).await;
        }
        self.ledger
    }

    /// Asks one call after the other until the line breaks.
    async fn ask(&mut self, mut line: Line) {
        while !*self.stop.borrow() {
            self.next += 1;
            let (key, units) = (self.next * 7 % self.keys.len(), 1 + self.next as u64 % 3);
            let asked = self.start.elapsed();
            match line.ask(&self.keys[key], units).await {
                Ok(Reply::Decided(decided)) => self.take(key, units, asked, &decided),
                Ok(Reply::Refused(_)) => {
                    Tally::add(&self.tally.refused);
                    tokio::time::sleep(REST).await;
                }
                Ok(Reply::Unknown) => self.lose_sight(key, units),
                // The call may have got through before the line broke.
                Err(_) => return self.lose_sight(key, units),
            }
        }
    }

    fn take(&mut self, key: usize, units: u64, asked: Duration, decided: &Decided) {
        Tally::add(if decided.allowed { &self.tally.admitted } else { &self.tally.denied });
        if decided.is_local {
            Tally::add(&self.tally.local);
        }
        self.ledger.record(entry(key, units, asked, self.start.elapsed(), decided));
    }

    fn lose_sight(&mut self, key: usize, units: u64) {
        Tally::add(&self.tally.unknown);
        self.ledger.record_unknown(key, units);
    }
}

/// Asks once for one unit of every key, so that the ledger ends with the group's last counts.
pub(crate) async fn last_counts(
    address: SocketAddr,
    start: Instant,
    ledger: &mut Ledger,
) -> io::Result<()> {
    let mut line = connect(Some(address)).await.ok_or(io::ErrorKind::NotConnected)?;
    for (key, name) in keys().iter().enumerate() {
        let asked = start.elapsed();
        match line.ask(name, 1).await? {
            Reply::Decided(decided) => {
                ledger.record(entry(key, 1, asked, start.elapsed(), &decided));
            }
            Reply::Refused(reason) => return Err(io::Error::other(reason)),
            Reply::Unknown => ledger.record_unknown(key, 1),
        }
    }
    Ok(())
}

fn entry(key: usize, units: u64, asked: Duration, answered: Duration, decided: &Decided) -> Entry {
    Entry {
        key,
        asked,
        answered,
        units,
        allowed: decided.allowed,
        limit: decided.limit,
        remaining: decided.remaining,
        window: decided.window,
        is_local: decided.is_local,
        place: decided.place,
    }
}

/// A connection to a peer: one call at a time.
struct Line {
    stream: BufReader<TcpStream>,
    text: String,
}

async fn connect(address: Option<SocketAddr>) -> Option<Line> {
    let stream = TcpStream::connect(address?).await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(Line { stream: BufReader::new(stream), text: String::new() })
}

impl Line {
    async fn ask(&mut self, (limit, key): &(String, String), units: u64) -> io::Result<Reply> {
        let call = Call { limit: limit.clone(), key: key.clone(), units };
        let mut line = serde_json::to_vec(&call)?;
        line.push(b'\n');
        self.stream.write_all(&line).await?;
        self.text.clear();
        self.stream.read_line(&mut self.text).await?;
        Ok(serde_json::from_str(&self.text)?)
    }
}
