//! What somebody at the other end of an admin connection may do.

use std::fmt;

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

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        })
    }
}
