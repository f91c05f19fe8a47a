//! The model, as the state machine holds it.

use std::fmt;
use std::sync::Arc;

use crate::model::Model;

/// The model, which says what a change of the policy comes to.
pub(super) struct ModelHandle(pub(super) Arc<dyn Model>);

impl fmt::Debug for ModelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelHandle").finish_non_exhaustive()
    }
}
