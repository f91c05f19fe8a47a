//! What somebody at the other end of an admin connection may do.

use crate::admin::Access;

/// What somebody may do who has no part in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum Role {
    /// Anything.
    Admin,
    /// Look.
    Viewer,
}

impl Role {
    /// Returns true if an ask that needs this is for it.
    pub(in crate::driver) fn may(self, access: &Access) -> bool {
        self == Self::Admin || *access == Access::Look
    }
}
