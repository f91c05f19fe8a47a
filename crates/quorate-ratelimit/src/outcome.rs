//! What a decision about one key says.

/// The upper 16 bits of a cell's last word say by which kind of limit, and at which rate or window
/// length, it was written. A limit that was changed does not misread cells of its old form.
pub(crate) const TAG_SHIFT: u32 = 48;
/// Starts of windows travel in milliseconds.
pub(crate) const NANOS_PER_MS: u64 = 1_000_000;

/// Whether the amount is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    /// The amount is above the capacity: it is admitted at no time.
    Never,
    /// A shadow limit would have denied it: it is admitted, and nothing is taken.
    Shadow,
}

/// Whether a decision is carried out or only asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Ask,
    Take,
}

/// A decision about one key; times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Units that were taken, or given back.
    pub(crate) granted: u64,
    /// 0 unless denied.
    pub(crate) retry_after: u64,
    pub(crate) reset_after: u64,
    /// Start of the window.
    pub(crate) window: Option<u64>,
}
