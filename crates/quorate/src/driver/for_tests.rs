//! Settings of a peer that only tests use: the version that it speaks, and the clock that it goes
//! by.

use std::time::Duration;

use super::builder::PeerBuilder;
use super::clock::TestClock;

impl PeerBuilder {
    /// Speaks an older version of the protocol, as one does that has not been upgraded.
    #[doc(hidden)]
    pub fn wire_version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Takes time from tokio's clock, which tests can pause.
    #[doc(hidden)]
    pub fn tokio_clock(mut self) -> Self {
        self.tokio_clock = Some(Duration::ZERO);
        self
    }

    /// Takes time from tokio's clock, with coarse readings that lag, as the machine's do: they move
    /// on once in each `tick`.
    #[doc(hidden)]
    pub fn tokio_clock_with_ticks(mut self, tick: Duration) -> Self {
        self.tokio_clock = Some(tick);
        self
    }

    /// Takes time from this clock, which the other peers of a test go by as well.
    #[doc(hidden)]
    pub fn test_clock(mut self, clock: TestClock) -> Self {
        self.tokio_clock.get_or_insert_default();
        self.test_clock = Some(clock);
        self
    }
}
