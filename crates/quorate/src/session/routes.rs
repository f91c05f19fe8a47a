//! Where calls go at present, as whoever handles one sees it.

use crate::base::id::Ballot;
use crate::protocol::io::Route;

/// Where calls go, without the details of [`Route`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// The store of this peer decides.
    Here,
    /// They are forwarded.
    There,
    /// They wait for a hand-over to end.
    HandingOver,
    /// There is no primary.
    Nowhere,
}

impl RouteKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Here, Self::There, Self::HandingOver, Self::Nowhere];
}

/// The route as it is when it is asked for: another thread may change it in between.
pub trait Routes {
    /// Returns where calls go.
    fn kind(&self) -> RouteKind;

    /// Returns the reign that the route names, and the lowest ballot if it names none: what waits
    /// for a majority under an older one will not be told any more.
    fn newest_reign(&self) -> Ballot;
}

impl Routes for Route {
    fn kind(&self) -> RouteKind {
        match self {
            Self::Here { .. } => RouteKind::Here,
            Self::There { .. } => RouteKind::There,
            Self::HandingOver => RouteKind::HandingOver,
            Self::Nowhere => RouteKind::Nowhere,
        }
    }

    fn newest_reign(&self) -> Ballot {
        match self {
            Self::Here { ballot } | Self::There { ballot, .. } => *ballot,
            Self::HandingOver | Self::Nowhere => Ballot::NONE,
        }
    }
}
