//! Messages that a scenario loses or delays.

use crate::network::filter::{Filter, Verdict};
use crate::network::packet::Payload;
use crate::world::World;

impl World {
    /// Runs until a message has been delayed, for some failure timeouts at most.
    pub(crate) fn wait_for_delayed(&mut self) {
        let bound = self.plan.timeout() * 2;
        self.run_while(bound, |world| world.filters.iter().any(Filter::has_delayed));
    }

    /// What becomes of a message in this scenario: the first filter that meets it decides.
    pub(super) fn filter(&mut self, from: usize, to: usize, payload: &Payload) -> Verdict {
        let met = self.filters.iter_mut().find_map(|filter| filter.meet(from, to, payload));
        met.unwrap_or(Verdict::Passes)
    }
}
