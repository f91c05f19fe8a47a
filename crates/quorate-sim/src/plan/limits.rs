//! The part of the real limits that is drawn, in the runs that ask them.

use quorate::Mode;

use crate::base::random::Random;
use crate::plan::Plan;

/// The part of the limits that is drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct RealPlan {
    /// Thousandths of a window that a peer alone has, if not all of it.
    pub(crate) share: Option<u16>,
    /// Now and then the max of windows becomes another.
    pub(crate) is_changing: bool,
}

impl RealPlan {
    /// Of a sequence of its own: the rest of a seed stays what it was.
    pub(crate) fn draw(plan: &Plan) -> Self {
        let mut random = Random::new(plan.seed ^ 0x7368_6172_6573);
        if !plan.asks_real_limits() {
            return Self::default();
        }
        let drawn = random.pick(&[None, Some(250), Some(333), Some(500)]);
        let share = drawn.filter(|_| plan.group.mode == Mode::Relaxed);
        Self { share, is_changing: random.chance(400) }
    }

    /// Returns what a peer alone may admit of a window of so many units, in one outage.
    pub(crate) fn part(&self, max: u64) -> u64 {
        self.share.map_or(max, |per_mille| (max * u64::from(per_mille)).div_ceil(1_000))
    }
}
