//! Exact rate limits that a group of peers shares.

mod divisor;
mod error;
mod hash;
mod key;
mod limit;
mod limits;
mod model;
mod period;
mod rule;
mod spec;
mod token_bucket;
mod window;

pub use error::{AcquireError, LimitError, LimitsError, LimitsErrorKind};
pub use key::Key;
pub use limit::Limit;
pub use limits::{Limits, LimitsBuilder, MAX_LIMIT_NAME_BYTES, MAX_LIMITS};
pub use model::RateLimitModel;
pub use spec::{LimitSpec, LimitsSpec};
