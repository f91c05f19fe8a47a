//! Messages that a scenario loses or delays.

use crate::network::filter::{Filter, Verdict};
use crate::network::packet::Payload;
use crate::world::World;

impl World {
    /// From here on a filter looks at every message.
    pub(crate) fn add_filter(&mut self, filter: Filter) {
        self.filters.push(filter);
    }

    /// Every message goes its ordinary way again.
    pub(crate) fn clear_filters(&mut self) {
        self.filters.clear();
    }

    /// All filters but the first one go.
    pub(crate) fn keep_first_filter(&mut self) {
        self.filters.truncate(1);
    }

    /// Runs until a message has been delayed, for some failure timeouts at most.
    pub(crate) fn wait_for_delayed(&mut self) {
        let bound = self.plan.timeout() * 2;
        self.run_while(bound, |world| world.filters.iter().any(Filter::has_delayed));
    }

    /// Returns what becomes of a message in this scenario: the first filter that meets it decides.
    pub(super) fn filter(&mut self, from: usize, to: usize, payload: &Payload) -> Verdict {
        let met = self.filters.iter_mut().find_map(|filter| filter.meet(from, to, payload));
        met.unwrap_or(Verdict::Passes)
    }
}
