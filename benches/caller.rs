//! Callers over a socket, one or many at a time, and how long each call took.

use std::net::SocketAddr;
use std::time::Duration;

use quorate_ratelimit::RateLimiter;

use crate::echo::Echo;
use crate::group::{LENGTH, MAX, WINDOW};
use crate::keys::{KEY_BYTES, Numbers};

use crate::redis_window::RedisWindow;
use crate::report::{median, quantile};
use crate::stopwatch;

/// Keys that callers choose from, each as likely.
const KEYS: u64 = 100_000;

/// Whom callers call.
#[derive(Clone)]
pub enum Server {
    /// A process that answers with what it got.
    Echo(SocketAddr),
    /// The primary of a group, through a replica in this process.
    Quorate(RateLimiter),
    /// A Redis server.
    Redis(RedisWindow),
}

impl Server {
    /// Redis at `address`, with the window that the group has.
    ///
    /// # Errors
    ///
    /// If there is no server.
    pub async fn redis(address: &str) -> redis::RedisResult<Self> {
        let window_ms = LENGTH.as_millis() as u64;
        Ok(Self::Redis(RedisWindow::connect(address, MAX, window_ms).await?))
    }

    /// As tables name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Echo(_) => "bare TCP, 32 bytes",
            Self::Quorate(_) => "quorate",
            Self::Redis(_) => "Redis, window script",
        }
    }
}

/// What came of one round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Calls in a second.
    pub per_second: f64,
    /// Half of the calls took no longer, in microseconds.
    pub p50: f64,
    /// Of a hundred calls, 99 took no longer.
    pub p99: f64,
}

/// One value of each round.
pub fn all(rounds: &[Round], what: impl Fn(&Round) -> f64) -> Vec<f64> {
    rounds.iter().map(what).collect()
}

/// The row of a table: the medians of a contender's rounds, and what `ratio` says of each.
pub fn row(
    name: &str,
    rounds: &[Round],
    ratio: impl Fn(fn(&Round) -> f64) -> String,
) -> [String; 7] {
    let value = |what: fn(&Round) -> f64| median(all(rounds, what));
    [
        name.to_owned(),
        format!("{:.0}", value(|round| round.per_second)),
        format!("{:.1}", value(|round| round.p50)),
        format!("{:.1}", value(|round| round.p99)),
        ratio(|round| round.per_second),
        ratio(|round| round.p50),
        ratio(|round| round.p99),
    ]
}

/// Has `count` callers call for `time`, each one call after the other.
pub async fn round(server: &Server, count: usize, time: Duration) -> Round {
    let start = stopwatch::now();
    let callers: Vec<_> =
        (0..count).map(|index| tokio::spawn(call(server.clone(), index as u64, time))).collect();
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await.expect("a caller does not panic"));
    }
    let elapsed = start.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    Round {
        per_second: latencies.len() as f64 / elapsed,
        p50: quantile(&latencies, 0.5),
        p99: quantile(&latencies, 0.99),
    }
}

/// Calls until `time` is over; returns how long each call took, in microseconds.
async fn call(server: Server, index: u64, time: Duration) -> Vec<f64> {
    let mut caller = Caller::new(server).await;
    let mut numbers = Numbers::below(KEYS, index);
    let mut latencies = Vec::new();
    let mut before = stopwatch::now();
    let end = before + time;
    while before < end {
        caller.call(numbers.next_key()).await;
        let after = stopwatch::now();
        latencies.push((after - before).as_secs_f64() * 1e6);
        before = after;
    }
    latencies
}

enum Caller {
    Echo(Echo),
    Quorate(RateLimiter),
    Redis(RedisWindow),
}

impl Caller {
    async fn new(server: Server) -> Self {
        match server {
            Server::Echo(address) => {
                Self::Echo(Echo::connect(address).await.expect("the child listens"))
            }
            Server::Quorate(limiter) => Self::Quorate(limiter),
            Server::Redis(redis) => Self::Redis(redis),
        }
    }

    async fn call(&mut self, key: [u8; KEY_BYTES]) {
        let is_allowed = match self {
            Self::Echo(echo) => echo.round_trip().await.is_ok(),
            Self::Quorate(limiter) => {
                limiter.acquire(WINDOW, key, 1).await.is_ok_and(|decision| decision.allowed)
            }
            Self::Redis(redis) => redis.acquire(&key).await.is_ok_and(|is_allowed| is_allowed),
        };
        assert!(is_allowed, "all are answered and nothing is denied");
    }
}
