//! Known bugs, put back on purpose: the simulator proves that it would catch each of them.
//!
//! Code asks `bug::is(Bug::VoteTwice)` where the bug would live. Without the feature `bugs` the
//! answer is a constant `false` and nothing of it is compiled in. With it, one bug at a time is
//! set per thread.

/// A bug that can be put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    // --- elections (docs/protocol.md, section 4)
    /// A voter grants its vote to a second candidate of the same ballot.
    VoteTwice,
    /// A winner serves its own state and adopts nobody's.
    IgnoreFreshness,
    /// A winner goes by the positions of the pre-votes, taken before the voters raised their term.
    FreshnessAtPreVote,
    /// Positions are compared by sequence alone.
    SequenceWithoutTerm,
    /// A winner of better priority than its voters adopts nothing.
    PriorityBeatsFreshness,
    /// A winner serves before a majority holds the first change of its term.
    ServeBeforeFirstCommit,
    /// A primary whose connections have closed, and of which another start is seen, counts as dead.
    ClosedIsDead,
    /// A voter that hears the primary votes all the same.
    HearingVoterVotes,
    /// Votes are counted under the candidate's own membership, not the newest among the voters.
    VotesUnderOwnMembership,
    /// A winner gives up after a fixed time, however much of a state has come.
    ProgressIgnored,
    /// Every campaign is delayed by the same draw.
    FixedElectionTimer,
    /// A primary resigns though a member that a majority needs takes its copy piece by piece.
    CopyIsNoProgress,
    /// Fewer than a majority of votes are enough: half of the members.
    HalfIsMajority,
    /// A better placed member is waited for though it reaches no majority.
    LeafWaitedFor,
    /// A member that refused its vote, and comes to hold the primary unreachable, is not asked
    /// again.
    RefusalIsFinal,
    // --- amnesia and identity
    /// A restarted incarnation votes as if it were the one that the membership names.
    AmnesiacVotes,
    /// What a restarted incarnation holds and promises counts as that of the one before it.
    OldIncarnationCounts,
    /// Messages of an older incarnation than the one that is linked are handled.
    OldIncarnationHeard,
    // --- lease (section 5)
    /// The lease is longer than the failure timeout.
    LeaseTooLong,
    /// The lease counts from the receipt of the answers, not from the sending of the heartbeats.
    LeaseFromReceipt,
    /// A primary whose clock has stood still goes on under a lease that has ended meanwhile.
    StoppedClockIgnored,
    /// The data path goes by a reading from before the machine slept, until the event loop turns.
    SleepUnseen,
    /// The store decides without looking at the lease.
    LeaseNotChecked,
    /// A deposed primary keeps its authority when it hears of a higher ballot.
    OldPrimaryKeepsDeciding,
    /// The driver does not look at the authority again after the write.
    SecondLookSkipped,
    /// Calls are decided by a reading that the event loop has left, however long it has not turned.
    ClockOfTheLoop,
    // --- replication (section 3)
    /// A follower confirms a batch before it has applied it.
    AcknowledgeBeforeApply,
    /// A batch carries the values of now, not those of the cut.
    LooseCut,
    /// An operation on two keys travels by halves.
    HalfOperation,
    /// The old value of a cell that changes while a cut is open is not kept.
    PreImageSkipped,
    /// A follower moves to the end of a batch although it lacks a piece of it.
    PositionBeforeData,
    /// Cells of a full copy do not count as changed where it ends: who is behind is not sent them.
    LoadedUnstamped,
    /// A deposed tail is dropped as soon as the fork is known.
    TailDroppedEarly,
    /// The first batch after a fork lacks the keys that the follower named.
    RepairOmitted,
    /// What a follower holds of an older reign counts as an acknowledgement of the present one.
    OldReignCounts,
    /// Under `Majority` callers are answered after the primary's own write.
    AnswerBeforeCommit,
    /// Under `Primary` the cap on unreplicated units is not kept.
    CapIgnored,
    /// Units that no majority holds are counted in a word that wraps around.
    UnitsWrap,
    /// What a deposed primary gave up is not reported.
    LossUnreported,
    /// Cells are removed before they have expired by the time of the group.
    ExpiryByOwnClock,
    /// Group time goes on with decisions only: in an idle group nothing expires.
    TimeStandsStill,
    /// Followers are not told which cells may be dropped.
    ExpiryUntold,
    /// A new primary takes group time from its own wall clock, even backwards.
    GroupTimeBack,
    /// What the calendar is put forward by, the steady clock is put forward by too.
    SteadyClockJumps,
    // --- hand-over (section 8)
    /// A primary that has released its reign decides again in it.
    ReleaseTakenBack,
    /// The reign is released before the successor has reached the cut.
    ReleaseBeforeCaughtUp,
    /// A wish for a hand-over that comes late is met in a reign after the one that it asked to end:
    /// neither the answer that was kept nor the ballot stops it.
    OldWishMet,
    /// A primary that holds its callers refuses after it has written.
    RefusedWrites,
    /// A wish to switch that was answered leads to another hand-over when it is asked again.
    WishMetAgain,
    // --- founding and generations (section 6)
    /// A blank peer founds a group alone.
    BlankFoundsAlone,
    /// A new generation begins without members that it is to wait for.
    BeginsIncomplete,
    /// A new generation says that it lacks nothing, whoever took part in it.
    LossDenied,
    /// A new generation begins though a restarted member remembers that it acknowledged more.
    RememberedIgnored,
    /// A position is acknowledged before the bound lasts that a restarted member remembers.
    BoundSavedLate,
    /// A blank majority founds although a member with data is there and refused.
    RefusedHolderIgnored,
    /// A member whose storage has failed keeps what it holds to itself, and is waited for.
    FailedHolderSilent,
    /// A blank peer waits for members with data that do not reach enough others to stand.
    HubDefers,
    /// A blank majority founds although a member with data answers.
    BlankIgnoresSurvivor,
    /// A blank incarnation pledges itself to two survivors.
    PledgeTwice,
    /// A member of an older generation keeps its cells when it joins the newer one.
    GenerationsMixed,
    // --- membership (section 7)
    /// A restarted peer replaces its old incarnation in one step, without a joint phase.
    MembershipWithoutJoint,
    /// A newcomer counts before it has promised anything to the primary.
    UnpromisedLearner,
    /// A change of the members begins before the one before it is committed.
    ChangeBeforeCommitted,
    /// A change begins although its members have promised nothing since the last one.
    ChangeWithoutPromises,
    /// A joiner counts before it has been brought up to date.
    JoinerCountsAtOnce,
    /// Who leaves is told before a majority knows, and votes no more.
    RemovalToldEarly,
    /// What a client or joiner claims counts as if it were a member's.
    StrangerBelieved,
    /// A member that reaches no other takes a primary on the word of those that it lists itself.
    LiarsVouch,
    /// A list of members keeps out whom a newer one names.
    OlderListKeepsOut,
    /// A peer that a newer generation needs the vote of goes by the list of its own.
    OlderListVotes,
    // --- upkeep and force (section 15)
    /// A stale member is forgotten although nobody has come in its place.
    ForgetsWithoutReplacement,
    /// A member that the primary does not reach is silent, whoever else reaches it.
    ForgetsWhatOthersReach,
    /// A pause keeps nobody from being forgotten.
    ForgetsInPause,
    /// A member that is there and refused is taken for gone.
    ForgetsUnmet,
    /// A member that is neither in reach nor named as gone does not stand in the way of a force.
    ForceWithUnaccounted,
    /// A majority of those who are not named as gone is enough for a force.
    ForceByMajorityOfRest,
    /// A member that is there and refused may be named as gone.
    ForcePastRefused,
    /// A force passes over a state that was met and is later.
    ForcePastHolder,
    /// A blank peer that asks to join does not follow whom it has voted for.
    JoinerLeavesItsVote,
    /// A peer that a newer generation has counted out goes on as it was.
    DisownedDecides,
    /// A refusal within this peer's own generation counts it out.
    DisownedInOneGeneration,
    /// A primary that a newer generation has passed over goes on beside it.
    OvertakenGoesOn,
    // --- sites (section 16)
    /// A blank peer of a site founds a group without being told to.
    SiteFoundsByItself,
    /// A blank peer of the standby site takes up what a founding has that may come to nothing.
    StandbyTakesUnborn,
    /// A peer of the standby site gives its state up for any group.
    StandbyYieldsToStranger,
    /// A site is sealed while the other one lacks what was decided.
    SealBeforeCaughtUp,
    /// A site is given the licence to decide before a majority of the other one holds the seal.
    LicenseBeforeCommit,
    /// A sealed site decides again without the agreement of the other one.
    SealTakenBack,
    /// A primary that inherits a seal decides all the same.
    SealedDecides,
    /// A peer that hears of a later site epoch goes on in its own.
    LowerEpochDecides,
    /// Two sites may make the same site epoch.
    EpochOfEitherParity,
    /// A promotion that is to lose nothing counts names, whatever those peers hold.
    PromotionByNamesUnforced,
    /// Who has voted for the other site votes by a licence that is older than that.
    LicenceKeptByVoter,
    /// Who has voted for the other site stands by a licence that is older than that.
    LicenceKeptByCandidate,
    /// A site that was down as a whole serves before it has heard of the other one.
    UnconfirmedServes,
    /// What one peer of the other site holds counts as held by most of them.
    OneIsBacking,
    /// What an earlier start of a peer of the other site held counts as held.
    EarlierStartBacks,
    /// Whoever is to be listed, or to count, has to hold what the others hold now.
    CaughtUpIsEven,
    // --- what lasts (section 13)
    /// A vote is sent before it is saved.
    VoteBeforeSave,
    /// A batch is acknowledged before it lasts.
    AcknowledgeBeforeSync,
    /// The primary counts itself as holding what its log lacks.
    OwnLogIgnored,
    /// A restarted peer votes while a promise that it does not remember may still run.
    RestartForgetsPromise,
    // --- calls (docs/architecture.md, on calls)
    /// A call that may have been written is tried again by itself.
    UnknownTriedAgain,
    // --- relaxed mode (docs/architecture.md, on relaxed mode)
    /// A merge is counted again when it is sent again.
    OverlayMergedTwice,
    /// What was decided alone is forgotten before a majority holds its merge.
    OverlayForgottenEarly,
    /// What was decided alone is forgotten when the primary says that it does not know yet.
    OverlayForgottenUnheld,
    // --- policies (docs/protocol.md, section 14)
    /// A change of the policy is answered before a majority holds it.
    PolicyAnsweredEarly,
    // --- limits (the crate quorate-ratelimit)
    /// An answer that rests on what an earlier call left is given before a majority holds that.
    RepeatNotHeld,
    /// A reservation that was settled is settled again.
    CommitTwice,
    /// A slice of a sliding window leaves before the length has passed since its end.
    SliceLeavesEarly,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 110] = [
        Self::VoteTwice,
        Self::IgnoreFreshness,
        Self::FreshnessAtPreVote,
        Self::SequenceWithoutTerm,
        Self::PriorityBeatsFreshness,
        Self::ServeBeforeFirstCommit,
        Self::ClosedIsDead,
        Self::HearingVoterVotes,
        Self::VotesUnderOwnMembership,
        Self::ProgressIgnored,
        Self::FixedElectionTimer,
        Self::CopyIsNoProgress,
        Self::HalfIsMajority,
        Self::LeafWaitedFor,
        Self::RefusalIsFinal,
        Self::AmnesiacVotes,
        Self::OldIncarnationCounts,
        Self::OldIncarnationHeard,
        Self::LeaseTooLong,
        Self::LeaseFromReceipt,
        Self::StoppedClockIgnored,
        Self::SleepUnseen,
        Self::LeaseNotChecked,
        Self::OldPrimaryKeepsDeciding,
        Self::SecondLookSkipped,
        Self::ClockOfTheLoop,
        Self::AcknowledgeBeforeApply,
        Self::LooseCut,
        Self::HalfOperation,
        Self::PreImageSkipped,
        Self::PositionBeforeData,
        Self::LoadedUnstamped,
        Self::TailDroppedEarly,
        Self::RepairOmitted,
        Self::OldReignCounts,
        Self::AnswerBeforeCommit,
        Self::CapIgnored,
        Self::UnitsWrap,
        Self::LossUnreported,
        Self::ExpiryByOwnClock,
        Self::TimeStandsStill,
        Self::ExpiryUntold,
        Self::GroupTimeBack,
        Self::SteadyClockJumps,
        Self::ReleaseTakenBack,
        Self::ReleaseBeforeCaughtUp,
        Self::OldWishMet,
        Self::RefusedWrites,
        Self::WishMetAgain,
        Self::BlankFoundsAlone,
        Self::BeginsIncomplete,
        Self::LossDenied,
        Self::RememberedIgnored,
        Self::BoundSavedLate,
        Self::RefusedHolderIgnored,
        Self::FailedHolderSilent,
        Self::HubDefers,
        Self::BlankIgnoresSurvivor,
        Self::PledgeTwice,
        Self::GenerationsMixed,
        Self::MembershipWithoutJoint,
        Self::UnpromisedLearner,
        Self::ChangeBeforeCommitted,
        Self::ChangeWithoutPromises,
        Self::JoinerCountsAtOnce,
        Self::RemovalToldEarly,
        Self::StrangerBelieved,
        Self::LiarsVouch,
        Self::OlderListKeepsOut,
        Self::OlderListVotes,
        Self::ForgetsWithoutReplacement,
        Self::ForgetsWhatOthersReach,
        Self::ForgetsInPause,
        Self::ForgetsUnmet,
        Self::ForceWithUnaccounted,
        Self::ForceByMajorityOfRest,
        Self::ForcePastRefused,
        Self::ForcePastHolder,
        Self::JoinerLeavesItsVote,
        Self::DisownedDecides,
        Self::DisownedInOneGeneration,
        Self::OvertakenGoesOn,
        Self::SiteFoundsByItself,
        Self::StandbyTakesUnborn,
        Self::StandbyYieldsToStranger,
        Self::SealBeforeCaughtUp,
        Self::LicenseBeforeCommit,
        Self::SealTakenBack,
        Self::SealedDecides,
        Self::LowerEpochDecides,
        Self::EpochOfEitherParity,
        Self::PromotionByNamesUnforced,
        Self::LicenceKeptByVoter,
        Self::LicenceKeptByCandidate,
        Self::UnconfirmedServes,
        Self::OneIsBacking,
        Self::EarlierStartBacks,
        Self::CaughtUpIsEven,
        Self::VoteBeforeSave,
        Self::AcknowledgeBeforeSync,
        Self::OwnLogIgnored,
        Self::RestartForgetsPromise,
        Self::UnknownTriedAgain,
        Self::OverlayMergedTwice,
        Self::OverlayForgottenEarly,
        Self::OverlayForgottenUnheld,
        Self::PolicyAnsweredEarly,
        Self::RepeatNotHeld,
        Self::CommitTwice,
        Self::SliceLeavesEarly,
    ];
}

/// A place in the store between two locks, where other threads may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// A cut is open and one more shard is about to be collected; no lock is held.
    BetweenShards,
}

#[cfg(not(feature = "bugs"))]
mod switch {
    use super::{Bug, Point};

    /// Returns true if this bug is put back: never, without the feature `bugs`.
    #[inline(always)]
    pub const fn is(_bug: Bug) -> bool {
        false
    }

    /// Returns true if any bug is put back: never, without the feature `bugs`.
    #[inline(always)]
    pub const fn is_any() -> bool {
        false
    }

    /// Lets the simulator act at this point: never, without the feature `bugs`.
    #[inline(always)]
    pub const fn at(_point: Point) {}
}

#[cfg(feature = "bugs")]
mod switch {
    use std::cell::{Cell, RefCell};

    use super::{Bug, Point};

    /// What the simulator does at a [`Point`].
    pub type Visitor = Box<dyn FnMut(Point)>;

    thread_local! {
        static SET: Cell<Option<Bug>> = const { Cell::new(None) };
        static VISITOR: RefCell<Option<Visitor>> = const { RefCell::new(None) };
    }

    /// Returns true if this bug is put back on this thread.
    #[inline]
    pub fn is(bug: Bug) -> bool {
        SET.get() == Some(bug)
    }

    /// Returns true if any bug is put back on this thread: what holds without one need not hold
    /// then, and it is for the checkers to find out.
    #[inline]
    pub fn is_any() -> bool {
        SET.get().is_some()
    }

    /// Returns the bug that is put back on this thread.
    pub fn put_back() -> Option<Bug> {
        SET.get()
    }

    /// Puts one bug back on this thread, in place of any other; `None` for none.
    pub fn set(bug: Option<Bug>) {
        SET.set(bug);
    }

    /// Sets what is done at every point on this thread.
    pub fn visit(visitor: Option<Visitor>) {
        VISITOR.set(visitor);
    }

    /// Lets the simulator act at this point. What it does there is not visited itself.
    pub fn at(point: Point) {
        let visitor = VISITOR.take();
        if let Some(mut visitor) = visitor {
            visitor(point);
            VISITOR.with_borrow_mut(|slot| _ = slot.get_or_insert(visitor));
        }
    }
}

pub use switch::*;
