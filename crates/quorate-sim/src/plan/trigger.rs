//! Faults at states: what goes wrong just when something happens, for schedules that chance alone
//! would seldom meet.

use crate::base::random::Random;
use crate::plan::fault::Fault;
use crate::plan::profile::Profile;

/// An occasion in the life of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    Campaign,
    Elected,
    Follow,
    Fork,
    Held,
    LastPiece,
    MemberReplaced,
    Pull,
    Release,
    Tail,
    Vote,
    VoteReply,
}

/// The deed of a trigger, and its victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// This fault at the peer itself.
    Here(Fault),
    /// This fault at the peer that it talks to.
    There(Fault),
}

/// A fault that strikes at a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trigger {
    pub(crate) occasion: Occasion,
    pub(crate) action: Action,
    pub(crate) per_mille: u64,
}

impl Trigger {
    const OCCASIONS: [(Occasion, u64); 12] = [
        (Occasion::Campaign, 300),
        (Occasion::Elected, 200),
        (Occasion::Follow, 100),
        (Occasion::Fork, 400),
        (Occasion::Held, 10),
        (Occasion::LastPiece, 10),
        (Occasion::MemberReplaced, 200),
        (Occasion::Pull, 400),
        (Occasion::Release, 400),
        (Occasion::Tail, 400),
        (Occasion::Vote, 100),
        (Occasion::VoteReply, 100),
    ];

    /// Up to three triggers; none in calm runs.
    pub(crate) fn draw(random: &mut Random, profile: Profile) -> Vec<Self> {
        if profile == Profile::Calm || random.chance(400) {
            return Vec::new();
        }
        let count = random.between(1, 3);
        (0..count).map(|_| Self::draw_one(random)).collect()
    }

    fn draw_one(random: &mut Random) -> Self {
        let (occasion, per_mille) = random.pick(&Self::OCCASIONS);
        let faults = [Fault::Kill, Fault::Crash, Fault::Isolate, Fault::Pause, Fault::OneWay];
        let fault = random.pick(&faults);
        let action = if random.chance(500) { Action::Here(fault) } else { Action::There(fault) };
        Self { occasion, action, per_mille }
    }
}
