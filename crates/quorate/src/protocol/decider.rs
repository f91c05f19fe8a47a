//! The model, as the state machine holds it.

use std::fmt;
use std::sync::Arc;

use crate::model::Model;

/// The model, which says what a change of the policy comes to.
pub(super) struct Decider(pub(super) Arc<dyn Model>);

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decider").finish_non_exhaustive()
    }
}
