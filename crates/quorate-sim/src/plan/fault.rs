//! Faults, and what ends each of them.

use std::time::Duration;

use quorate::Incarnation;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The wall clock of a peer jumps.
    ClockStep,
    /// A host loses power: its connections stay silent.
    Crash,
    /// A peer's clock runs at another speed.
    Drift,
    /// A path comes and goes.
    Flap,
    /// An operator pauses, resumes, sets or ends the monitor.
    Arrange,
    /// An operator has a peer forced to be primary, without those that do not run.
    Force,
    /// An operator has a peer forced to be primary, without those that it does not reach.
    ForceBlindly,
    /// A member ends for good, and a peer with another name comes in its place.
    Replace,
    /// A planned hand-over.
    HandOver,
    /// A peer is cut off from all others.
    Isolate,
    /// A member ends for good, and is forgotten.
    Forget,
    /// A peer that is no member asks to become one.
    Join,
    /// A process is killed; its host closes its connections.
    Kill,
    /// A majority is killed at once.
    KillMajority,
    /// A client or joiner says what is not so.
    Lie,
    /// A member asks to be counted out.
    Leave,
    /// The order in which peers are promoted changes.
    Priority,
    /// All that one peer sends, or receives, is lost.
    OneWay,
    /// A process is frozen.
    Pause,
    /// A machine is suspended.
    Sleep,
    /// A peer's messages take long.
    Slow,
    /// Paths from a peer, or to it, carry a few bytes a second.
    Thin,
    /// The members fall into groups that do not hear each other.
    Split,
    /// Heartbeats pass between two peers, data do not.
    Stall,
    /// A virtual machine is paused, and its clocks stand.
    Standstill,
    /// A bit of a disk is flipped, or the disk replaced by a new one.
    DiskDamage,
    /// A disk refuses an operation.
    DiskFailure,
    /// A disk is full.
    DiskFull,
    /// All connections of a peer are reset, and it lives.
    Reset,
    /// A peer is restarted with another setting, which the others refuse, or with theirs again.
    Roll,
    /// All connections of a peer are reset, and a second process is started under its name.
    Strand,
    /// A process whose event loop does not turn, while calls are decided at its store.
    Starve,
    /// Connections are closed at one end, and the other end does not see it for long.
    OneEnd,
    /// Two peers do not hear each other.
    Unlink,
    /// Two sites do not hear each other.
    SiteCut,
    /// An operator has the sites change places, gives one up, or promotes one.
    Sites,
    /// A member is about to be stopped: it steps aside and hands over, and then goes on after all.
    StepAside,
}

/// The end of a fault.
#[derive(Clone, Debug)]
pub(crate) enum Undo {
    GoOn { peer: usize, incarnation: Incarnation, setting: Setting },
    Flap { one: usize, other: usize, is_cut: bool, left: u64, period: Duration },
    Heal(Vec<(usize, usize)>),
    Mend { peer: usize },
    Restart { peer: usize },
    Resume { peer: usize, incarnation: Incarnation },
    StepBack { peer: usize, incarnation: Incarnation },
    SetWall { peer: usize, by: Duration },
    Unslow(Vec<(usize, usize)>, Duration),
    Unthin(Vec<(usize, usize)>),
    Unstall(Vec<(usize, usize)>),
    Wake { peer: usize, incarnation: Incarnation },
}

/// The moment at which a wall clock is set right after the clocks of its machine have stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    AtOnce,
    After(Duration),
    Never,
}
