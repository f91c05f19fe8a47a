//! The ruling about one key.

/// Starts of windows travel in milliseconds.
pub(crate) const NANOS_PER_MS: u64 = 1_000_000;

/// The verdict on an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    /// The amount is above the capacity: it is admitted at no time.
    Never,
    /// A shadow limit would have denied it: it is admitted, and nothing is taken.
    Shadow,
    /// The permit or reservation has ended.
    Ended,
    /// Limits of this kind do not have this operation.
    Unsupported,
}

/// A ruling about one key; times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ruling {
    pub(crate) verdict: Verdict,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Units that count beyond the limit, which were debited; nothing remains then.
    pub(crate) beyond: u64,
    /// Units that were taken, or given back.
    pub(crate) granted: u64,
    /// 0 unless denied.
    pub(crate) retry_after: u64,
    /// The time until nothing counts any more; of what is held, how long it lasts.
    pub(crate) reset_after: u64,
    /// Start of the window.
    pub(crate) window: Option<u64>,
    pub(crate) marks: Marks,
}

/// Marks of a ruling that is out of the ordinary; most have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The thresholds that were crossed by it: the first, the second.
    pub(crate) crossed: [bool; 2],
    /// True if it is the answer of an earlier call: nothing was taken by this one.
    pub(crate) is_repeated: bool,
    /// True if units of the key are reserved, some of which may have lapsed.
    pub(crate) has_reservations: bool,
}

impl Ruling {
    /// Makes a ruling that says nothing but a verdict.
    #[inline]
    pub(crate) fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            limit: 0,
            remaining: 0,
            beyond: 0,
            granted: 0,
            retry_after: 0,
            reset_after: 0,
            window: None,
            marks: Marks::default(),
        }
    }

    /// Returns this ruling as the answer of an earlier call.
    pub(crate) fn repeated(mut self) -> Self {
        self.marks = Marks { is_repeated: true, ..Marks::default() };
        self
    }
}
