//! Numbers of a limiter for operators: counts, metrics, alerts, the keys used most.

use crate::limiter::RateLimiter;
use crate::model::error::AcquireError;
use crate::numbers::alert::Alerts;
use crate::numbers::counters::Counts;
use crate::numbers::metric::Metric;
use crate::numbers::sources::Sources;
use crate::numbers::stats::Stats;
use crate::numbers::text::text;
use crate::numbers::top::{Denied, Ranking, Top, Used};

/// The name for all limits that have come since the limiter was made.
const OTHERS: &str = "(others)";

impl RateLimiter {
    /// Counts of the calls at this limiter and its clones so far. Another limiter of the same peer
    /// counts by itself, and so does every peer.
    ///
    /// Calls that end meanwhile may be in it or not. It is put together here: for each limit one
    /// line of memory is read of every thread that has ever called.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// fn denied(limiter: &RateLimiter) -> u64 {
    ///     limiter.stats().limits.get("api").map_or(0, |counts| counts.denied)
    /// }
    /// ```
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { totals: self.counters().of_none(), ..Stats::default() };
        for (number, (name, _)) in self.code().iter().enumerate() {
            let counts = self.counters().of(number);
            stats.totals += counts;
            stats.limits.insert(name.to_owned(), counts);
        }
        let others = self.counters().of(self.code().iter().count());
        if others != Counts::default() {
            stats.totals += others;
            // A limit may be called so too: then both stand under one name.
            *stats.limits.entry(OTHERS.to_owned()).or_default() += others;
        }
        stats
    }

    /// Metrics for a monitoring system, of this moment: the numbers of [`RateLimiter::stats`],
    /// and of the peer's status and stats.
    ///
    /// The labels are names of limits and peers; where the group was given a name, each number has
    /// it as `group`. No key is ever among them: there are as many keys as callers, and callers are
    /// nobody's business.
    ///
    /// # Examples
    ///
    /// See [`Metric`].
    pub fn metrics(&self) -> Vec<Metric> {
        let limits = self.limits_status();
        let sources = Sources {
            stats: self.stats(),
            revision: limits.revision,
            differing: limits.differing.len(),
            missing: limits.missing.len(),
            status: self.peer().status(),
            peer: self.peer().stats(),
        };
        sources.metrics()
    }

    /// [`RateLimiter::metrics`] as Prometheus scrapes them, in its text format 0.0.4: serve it with
    /// the content type [`METRICS_CONTENT_TYPE`](crate::METRICS_CONTENT_TYPE). A metric that has no
    /// values at present is left out.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{METRICS_CONTENT_TYPE, RateLimiter};
    ///
    /// /// The head and the body of the answer to `GET /metrics`.
    /// fn answer(limiter: &RateLimiter) -> String {
    ///     let text = limiter.metrics_text();
    ///     format!("HTTP/1.1 200 OK\r\ncontent-type: {METRICS_CONTENT_TYPE}\r\n\r\n{text}")
    /// }
    /// ```
    pub fn metrics_text(&self) -> String {
        text(&self.metrics())
    }

    /// Hands [`RateLimiter::metrics`] to the recorder of the crate `metrics`: the one that the
    /// process has installed, or the local one of this thread; none is installed here. With the
    /// feature `metrics`.
    ///
    /// Call it now and then, such as every few seconds or before the recorder is read. Names and
    /// labels are those of [`RateLimiter::metrics`], so publish one limiter of a group to a
    /// recorder. The parts of a histogram are counters, its `_sum` a gauge, under the names that
    /// Prometheus has for them.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// async fn publish(limiter: RateLimiter) {
    ///     loop {
    ///         limiter.publish_metrics();
    ///         tokio::time::sleep(Duration::from_secs(5)).await;
    ///     }
    /// }
    /// ```
    #[cfg(feature = "metrics")]
    pub fn publish_metrics(&self) {
        for metric in self.metrics() {
            crate::numbers::publish::publish(&metric);
        }
    }

    /// Alerts from now on, of calls that are made at this limiter and its clones; limits say by
    /// [`Limit::alert_at`](crate::Limit::alert_at) at what percentages.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::RateLimiter;
    ///
    /// async fn warn(limiter: &RateLimiter) {
    ///     let mut alerts = limiter.alerts();
    ///     while let Some(alert) = alerts.next().await {
    ///         let key = String::from_utf8_lossy(&alert.key);
    ///         println!("{key} has used {}% of {}", alert.percent, alert.limit);
    ///     }
    /// }
    /// ```
    pub fn alerts(&self) -> Alerts {
        self.alert_sender().subscribe()
    }

    /// The `n` keys of a limit that are used most and that are denied most, of each list at most
    /// 1,000.
    ///
    /// It goes through all cells that this peer holds, about 20 ns each, on a thread of its own; a
    /// client holds none. Asked at the primary it is as of now, at another peer late by what is
    /// under way.
    ///
    /// # Errors
    ///
    /// [`AcquireError::UnknownLimit`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_ratelimit::{AcquireError, RateLimiter};
    ///
    /// async fn heaviest(limiter: &RateLimiter) -> Result<Option<String>, AcquireError> {
    ///     let top = limiter.top("api", 1).await?;
    ///     Ok(top.used.first().map(|first| format!("{}: {}", first.key, first.used)))
    /// }
    /// ```
    pub async fn top(&self, limit: &str, n: usize) -> Result<Top, AcquireError> {
        let id = self.known_id(limit)?;
        let limiter = self.clone();
        let used = tokio::task::spawn_blocking(move || limiter.most_used(id, n)).await;
        let mut denied = Ranking::new(n);
        for (key, count) in self.denials().all() {
            if let Some(key) = key_under(id, &key) {
                denied.push((count, key));
            }
        }
        Ok(Top {
            // It does not panic, and a runtime that ends asks for nothing.
            used: used.unwrap_or_default(),
            denied: denied
                .sorted()
                .map(|(key, denied)| Denied { key: key.text, key_hex: key.hex, denied })
                .collect(),
        })
    }

    fn most_used(&self, id: u32, n: usize) -> Vec<Used> {
        let table = self.current().present();
        let Some(named) = table.find(id) else { return Vec::new() };
        let mut used = Ranking::new(n);
        let at = named.rule.clock(self.peer().group_time()).0;
        self.peer().visit_cells(&mut |key, value, _| {
            let Some(key) = key_under(id, key) else { return };
            let present = named.present(Some(value)).0;
            let units = present.map_or(0, |value| named.rule.used(&value, at));
            if units > 0 {
                used.push((units, key));
            }
        });
        let used = used.sorted();
        used.map(|(key, used)| Used { key: key.text, key_hex: key.hex, used }).collect()
    }
}

/// Returns the caller's key in the key of a cell of this limit; `None` if it is of another.
fn key_under(id: u32, key: &[u8]) -> Option<Box<[u8]>> {
    key.strip_prefix(&id.to_le_bytes()).map(Box::from)
}
