//! A group of three: one peer in the bench's own process, the others in children of it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io, process};

use quorate::Peer;
use quorate_ratelimit::{Limit, Limits, RateLimiter};
use quorate_tls::TlsConfig;

use crate::certificates;
use crate::child::{self, Child};

/// The members. The first is the primary, and no other ever is.
pub const MEMBERS: [&str; 3] = ["a", "b", "c"];
/// Name of a limit that nothing here reaches, a rate.
///
/// Slow enough that a cell outlives the next cut by far: one that has expired need not travel, and
/// replication would be measured with nothing to replicate.
pub const RATE: &str = "rate";
/// Units of [`RATE`] at once; one comes back each second.
pub const BURST: u32 = u32::MAX;
/// Name of a limit that nothing here reaches, a fixed window.
pub const WINDOW: &str = "window";
/// Units of [`WINDOW`].
pub const MAX: u64 = 1 << 40;
/// Length of [`WINDOW`].
pub const LENGTH: Duration = Duration::from_secs(3600);

/// How long a group may take to be founded.
const START: Duration = Duration::from_secs(20);
/// Beyond this a primary answers only what a majority holds. The default is for services; a loop
/// that does nothing but check takes it in a few milliseconds, and it would be measured instead.
const MAX_UNREPLICATED: u64 = 50_000_000;

/// What the members talk over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Plain TCP.
    Plain,
    /// TLS, with this provider of cryptography.
    Tls(quorate_tls::Provider),
}

impl Over {
    fn name(self) -> String {
        match self {
            Self::Plain => "plain".to_owned(),
            Self::Tls(provider) => format!("{provider:?}"),
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let tls = quorate_tls::Provider::all().into_iter().map(Self::Tls);
        [Self::Plain].into_iter().chain(tls).find(|over| over.name() == name)
    }
}

/// A group whose other members run in child processes; they end when this is dropped.
#[derive(Debug)]
pub struct Group {
    addresses: Vec<String>,
    over: Over,
    /// Where its certificates are, if it has any.
    dir: PathBuf,
    _children: Vec<Child>,
}

impl Group {
    /// Starts all members but `own` as child processes.
    ///
    /// # Errors
    ///
    /// If one cannot be started.
    pub fn spawn(own: &str) -> io::Result<Self> {
        Self::spawn_over(own, Over::Plain)
    }

    /// The same over TLS or not.
    ///
    /// # Errors
    ///
    /// If one cannot be started.
    pub fn spawn_over(own: &str, over: Over) -> io::Result<Self> {
        let dir = env::temp_dir().join(format!("quorate-bench-{}-{}", process::id(), over.name()));
        if over != Over::Plain {
            certificates::make(&dir, &MEMBERS)?;
        }
        let addresses = free_addresses(MEMBERS.len())?;
        let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
        let mut children = Vec::new();
        for name in MEMBERS.into_iter().filter(|name| *name != own) {
            let arguments = vec![name.to_owned(), over.name(), dir.display().to_string()];
            children.push(Child::spawn("peer", &[arguments, addresses.clone()].concat())?);
        }
        Ok(Self { addresses, over, dir, _children: children })
    }

    /// Starts `own` in this process and waits until the group is there.
    ///
    /// # Errors
    ///
    /// If the peer does not start or the group is not founded in time.
    pub async fn join(&self, own: &str) -> io::Result<RateLimiter> {
        let limiter = start(own, self.over, &self.dir, &self.addresses).await?;
        let status = limiter.peer().wait_ready(START).await.map_err(io::Error::other)?;
        let primary = status.primary.as_ref().map(|name| name.as_str());
        if primary != Some(MEMBERS[0]) {
            return Err(io::Error::other(format!("the primary is {primary:?}")));
        }
        Ok(limiter)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What is left goes with the folder for temporary files; a plain group has none.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Runs one member in a process of its own until the parent ends.
///
/// # Errors
///
/// If it does not start.
pub fn serve(arguments: &[String]) -> io::Result<()> {
    let [name, over, dir, addresses @ ..] = arguments else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let over = Over::of_name(over).ok_or(io::ErrorKind::InvalidInput)?;
    child::end_with_parent();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let limiter = runtime.block_on(start(name, over, Path::new(dir), addresses))?;
    child::say("ready")?;
    runtime.block_on(std::future::pending::<()>());
    drop(limiter);
    Ok(())
}

async fn start(
    name: &str,
    over: Over,
    dir: &Path,
    addresses: &[String],
) -> io::Result<RateLimiter> {
    let limits = limits();
    let priority = if name == MEMBERS[0] { 1 } else { 0 };
    let mut builder = Peer::builder(name, limits.model())
        .members(MEMBERS.into_iter().zip(addresses.iter().map(String::as_str)))
        .priority(priority)
        .max_unreplicated(MAX_UNREPLICATED);
    if let Over::Tls(provider) = over {
        let [ca, certificate, key] = certificates::files(dir, name);
        let tls = TlsConfig::from_pem_files(ca, certificate, key).provider(provider).transport();
        builder = builder.transport(Arc::new(tls.map_err(io::Error::other)?));
    }
    let peer = builder.start().await.map_err(io::Error::other)?;
    Ok(RateLimiter::new(peer, &limits))
}

/// The limits of the group.
pub fn limits() -> Limits {
    Limits::builder()
        .limit(RATE, Limit::per_second(1).burst(BURST.into()))
        .limit(WINDOW, Limit::window(MAX, LENGTH))
        .build()
        .expect("these limits break no rule")
}

/// Waits until a majority of the group holds all that was decided at this primary.
pub async fn settle(limiter: &RateLimiter) {
    const PAUSE: Duration = Duration::from_millis(2);
    while limiter.peer().status().unreplicated_units > 0 {
        tokio::time::sleep(PAUSE).await;
    }
}

/// A loopback address that nobody listens on.
///
/// # Errors
///
/// If there is none.
pub fn free_address() -> io::Result<SocketAddr> {
    Ok(free_addresses(1)?[0])
}

/// Held together while they are chosen, so that they differ.
fn free_addresses(count: usize) -> io::Result<Vec<SocketAddr>> {
    let listeners: io::Result<Vec<_>> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    listeners?.iter().map(TcpListener::local_addr).collect()
}
