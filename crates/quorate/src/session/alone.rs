//! A call for which there is no primary: refused, or decided on the local copy.

use crate::base::error::{DecideError, NoPrimaryReason};
use crate::config::Mode;
use crate::model::{Answer, DecideContext, Item, Model};
use crate::store::{Overlay, Refused, Store};

/// What a peer decides by where it is alone.
#[derive(Clone, Copy)]
pub struct Alone<'a> {
    /// The group's mode; the model may say another for an operation.
    pub mode: Mode,
    /// The copy of the group's cells.
    pub store: &'a Store,
    /// What was decided alone before.
    pub overlay: &'a Overlay,
    /// The model.
    pub model: &'a dyn Model,
}

impl Alone<'_> {
    /// Decides on the local copy at this moment of group time.
    ///
    /// # Errors
    ///
    /// [`DecideError::NoPrimary`] with `reason` in strict mode, and where this peer was counted
    /// out; else [`DecideError::Invalid`] and [`DecideError::Overloaded`]. Nothing was written.
    pub fn decide(
        &self,
        items: &[Item<'_>],
        context: DecideContext,
        reason: NoPrimaryReason,
    ) -> Result<Answer, DecideError> {
        // What a group has given up is not to be decided beside it, in any mode.
        let is_out = matches!(reason, NoPrimaryReason::CountedOut | NoPrimaryReason::Removed);
        if is_out || self.model.mode_of(items, self.mode) == Mode::Strict {
            return Err(DecideError::NoPrimary { reason });
        }
        match self.overlay.decide(self.store, context, items, self.model) {
            Ok(answer) => Ok(answer),
            Err(Refused::Invalid { what, bound }) => Err(DecideError::Invalid { what, bound }),
            Err(Refused::Full { what, bound }) => Err(DecideError::Overloaded { what, bound }),
            // The others are about merges, and about being primary.
            Err(_) => Err(DecideError::NoPrimary { reason }),
        }
    }
}
