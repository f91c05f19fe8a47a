//! Mixtures of faults: which come, and how often.

use crate::base::random::Random;
use crate::plan::fault::Fault;

/// A mixture of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Calm,
    Clocks,
    Disks,
    Flaps,
    HandOvers,
    Kills,
    Lasting,
    Liars,
    LyingOperators,
    Members,
    Mixed,
    Partitions,
    Pauses,
    Restarts,
    Sites,
    Slow,
    Upkeep,
}

impl Profile {
    /// Those that are drawn, where none is asked for.
    const DRAWN: [Self; 16] = [
        Self::Calm,
        Self::Clocks,
        Self::Disks,
        Self::Flaps,
        Self::HandOvers,
        Self::Kills,
        Self::Lasting,
        Self::Liars,
        Self::LyingOperators,
        Self::Members,
        Self::Mixed,
        Self::Partitions,
        Self::Pauses,
        Self::Restarts,
        Self::Slow,
        Self::Upkeep,
    ];

    /// All that may be asked for.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::DRAWN.into_iter().chain([Self::Sites])
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Clocks => "clocks",
            Self::Disks => "disks",
            Self::Flaps => "flaps",
            Self::HandOvers => "hand-overs",
            Self::Kills => "kills",
            Self::Lasting => "lasting",
            Self::Liars => "liars",
            Self::LyingOperators => "lying-operators",
            Self::Members => "members",
            Self::Mixed => "mixed",
            Self::Partitions => "partitions",
            Self::Pauses => "pauses",
            Self::Restarts => "restarts",
            Self::Sites => "sites",
            Self::Slow => "slow",
            Self::Upkeep => "upkeep",
        }
    }

    pub(crate) fn draw(random: &mut Random) -> Self {
        if random.chance(400) { Self::Mixed } else { random.pick(&Self::DRAWN) }
    }

    pub(crate) fn weights(self) -> Vec<(Fault, u64)> {
        use Fault::{
            Arrange, ClockStep, Crash, DiskDamage, DiskFailure, DiskFull, Drift, Flap, Force,
            ForceBlindly, Forget, HandOver, Isolate, Join, Kill, KillMajority, Leave, Lie, OneEnd,
            OneWay, Pause, Priority, Replace, Reset, Roll, SiteCut, Sites, Sleep, Slow, Split,
            Stall, Standstill, Starve, StepAside, Strand, Thin, Unlink,
        };
        match self {
            Self::Calm => vec![(HandOver, 1)],
            Self::Clocks => vec![
                (ClockStep, 5),
                (Drift, 3),
                (Kill, 1),
                (Isolate, 1),
                (Pause, 1),
                (Sleep, 2),
                (Standstill, 3),
            ],
            Self::Disks => vec![
                (Crash, 4),
                (DiskDamage, 2),
                (DiskFailure, 3),
                (DiskFull, 2),
                (Isolate, 1),
                (Kill, 2),
                (KillMajority, 2),
            ],
            Self::Flaps => {
                vec![(Flap, 5), (Unlink, 2), (Stall, 2), (OneEnd, 3), (OneWay, 1), (Reset, 3)]
            }
            Self::HandOvers => vec![
                (HandOver, 6),
                (Isolate, 1),
                (Kill, 1),
                (Pause, 1),
                (Reset, 1),
                (Slow, 1),
                (StepAside, 3),
            ],
            Self::Kills => vec![(Kill, 4), (Crash, 3), (KillMajority, 1), (Strand, 2)],
            // They begin by a script of their own.
            Self::Lasting => Vec::new(),
            Self::Liars => vec![(Crash, 2), (HandOver, 1), (Isolate, 2), (Kill, 2), (Lie, 20)],
            Self::LyingOperators => {
                vec![(ForceBlindly, 5), (Isolate, 4), (Join, 2), (Kill, 2), (Split, 4)]
            }
            Self::Members => vec![
                (Crash, 1),
                (Forget, 3),
                (HandOver, 1),
                (Isolate, 2),
                (Join, 5),
                (Kill, 3),
                (Leave, 4),
                (Lie, 2),
                (Pause, 1),
                (Priority, 1),
                (Split, 1),
                (Unlink, 1),
            ],
            Self::Mixed => vec![
                (ClockStep, 1),
                (Crash, 3),
                (DiskDamage, 1),
                (DiskFailure, 1),
                (DiskFull, 1),
                (Drift, 1),
                (Flap, 1),
                (HandOver, 2),
                (Isolate, 3),
                (Kill, 4),
                (KillMajority, 1),
                (Lie, 1),
                (OneEnd, 1),
                (OneWay, 2),
                (Pause, 3),
                (Reset, 1),
                (Roll, 1),
                (Sleep, 1),
                (Slow, 1),
                (Split, 3),
                (Stall, 1),
                (Standstill, 1),
                (Starve, 1),
                (StepAside, 1),
                (Strand, 1),
                (Unlink, 2),
            ],
            Self::Partitions => vec![(Isolate, 3), (Split, 4), (OneWay, 3), (Unlink, 2)],
            Self::Pauses => {
                vec![(Pause, 5), (Starve, 4), (Isolate, 1), (Kill, 1), (Sleep, 2), (Standstill, 2)]
            }
            Self::Restarts => {
                vec![
                    (Kill, 4),
                    (Crash, 2),
                    (Isolate, 2),
                    (Split, 1),
                    (Roll, 3),
                    (Strand, 2),
                    (Unlink, 1),
                ]
            }
            Self::Sites => vec![
                (Crash, 2),
                (HandOver, 1),
                (Isolate, 2),
                (Kill, 4),
                (OneWay, 1),
                (Pause, 1),
                (Reset, 1),
                (Roll, 1),
                (SiteCut, 5),
                (Sites, 8),
                (Split, 1),
                (Unlink, 2),
            ],
            Self::Slow => vec![(Slow, 4), (Thin, 4), (Stall, 3), (Pause, 1), (Kill, 1)],
            Self::Upkeep => vec![
                (Arrange, 2),
                (Force, 2),
                (HandOver, 1),
                (Isolate, 2),
                (Join, 2),
                (Kill, 2),
                (KillMajority, 1),
                (Pause, 1),
                (Replace, 6),
                (Roll, 1),
                (Split, 2),
                (Unlink, 2),
            ],
        }
    }
}
