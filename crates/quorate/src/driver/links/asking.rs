//! The handshake of whoever is no peer and wants to ask one, or give it orders: the admin lane
//! (docs/wire.md, section 8).
//!
//! The proof comes first, for who has none is told nothing of the group. No setting is compared,
//! nobody is met, and nothing is kept of one that is let in but its place.

use bytes::Bytes;

use crate::base::event::RefusedBy;
use crate::base::told::printable;
use crate::driver::admin::role::Role;
use crate::driver::links::dial_error::HandshakeError;
use crate::driver::links::handshake::{Agreed, Handshake};
use crate::driver::links::refusals::Refusal;
use crate::driver::links::settings::Difference;
use crate::protocol::io::ADMIN_VERSION;
use crate::protocol::message::Lane;
use crate::transport::{Claim, Protection, host};
use crate::wire::{self, Frame, Hello, Refuse, kind};

/// The field of a refusal that is about the lane itself.
const LANE: &str = "admin";
/// The field of a refusal that is about how many are connected.
const PLACES: &str = "max_admins";

impl Handshake<'_> {
    /// Does the rest of a handshake that has begun with a `Hello` of the admin lane.
    pub(super) async fn let_ask(mut self, hello: Hello) -> Result<Agreed, HandshakeError> {
        let role = match self.role(&hello).await {
            Ok(role) => role,
            Err(difference) => {
                self.keep_unwanted(&difference);
                return Err(self.turn_down(difference).await);
            }
        };
        if let Some(difference) = self.objection(&hello) {
            if difference.field == LANE {
                self.keep_unwanted(&difference);
            }
            return Err(self.turn_down(difference).await);
        }
        let settled = self.admitted.as_mut().map_or(Ok(()), |place| place.settle_admin(role));
        if let Err(full) = settled {
            let ours = full.to_string();
            self.part(Refuse { field: PLACES.to_owned(), ours, theirs: String::new() }).await;
            return Err(full.into());
        }
        let own = self.hello(Lane::Admin, None);
        let verdict = Frame::Calls(wire::Calls::from_body(Bytes::new()));
        self.send(&[Frame::Hello(own), verdict]).await?;
        match self.receive().await? {
            (kind::CALLS, body) if body.is_empty() => {}
            (kind, _) => return Err(HandshakeError::Unexpected { kind }),
        }
        let Self { stream, buffer, .. } = self;
        Ok(Agreed { stream, buffer, hello, reservation: None, role: Some(role) })
    }

    /// Finds out what the other end may ask: by what the transport has proved, and where it proves
    /// nothing by where the other end is.
    async fn role(&mut self, hello: &Hello) -> Result<Role, Difference> {
        if let Some(proof) = &self.stream.proof {
            let claims = [Claim::Admin(&hello.peer), Claim::Viewer(&hello.peer)];
            return match claims.map(|claim| proof.is_of(claim)) {
                [true, _] => Ok(Role::Admin),
                [_, true] => Ok(Role::Viewer),
                [false, false] => {
                    let [to_act, to_look] = claims.map(|claim| proof.wanted(claim));
                    let wanted = format!("{to_act}, or to look {to_look}");
                    Err(Difference::new("certificate", wanted, proof.certificate()))
                }
            };
        }
        let address = &self.stream.peer_address;
        let is_private = match self.stream.protection {
            Protection::Local => true,
            Protection::Plain => self.shared.transport.is_private(address).await.unwrap_or(false),
            // It is encrypted, and says nothing of who is there.
            Protection::Tls => false,
        };
        let ours = "open over TLS, and in plain text on this machine";
        let theirs = "in plain text from another one";
        is_private.then_some(Role::Admin).ok_or_else(|| Difference::new(LANE, ours, theirs))
    }

    /// Says what else does not fit.
    fn objection(&self, hello: &Hello) -> Option<Difference> {
        if self.shared.is_admin_closed {
            let theirs = format!("by {}", hello.peer);
            return Some(Difference::new(LANE, "closed", theirs));
        }
        let (oldest, newest) = hello.versions;
        if oldest > self.shared.version || newest < ADMIN_VERSION {
            let ours = format!("{ADMIN_VERSION} to {}", self.shared.version);
            return Some(Difference::new("version", ours, format!("{oldest} to {newest}")));
        }
        let group = &self.shared.group.group;
        let is_meant = hello.group.is_empty() || hello.group == *group;
        (!is_meant).then(|| Difference::new("group", group, &hello.group))
    }

    /// Keeps for the status that somebody has asked who may not, by the host, for whoever it is has
    /// no name here. That a tool has another group in mind, or is older, is its own concern.
    fn keep_unwanted(&self, difference: &Difference) {
        let Difference { field, ours, theirs } = difference;
        let address = self.stream.peer_address.clone();
        self.shared.refused_stranger(Refusal {
            peer: host(&address).to_owned(),
            address,
            field: field.clone(),
            ours: printable(ours),
            theirs: printable(theirs),
            at_ms: self.shared.clock.wall_ms(),
            by: RefusedBy::Us,
        });
    }

    /// Says why, and closes.
    async fn turn_down(&mut self, difference: Difference) -> HandshakeError {
        let Difference { field, ours, theirs } = difference;
        let [ours, theirs] = [ours, theirs].map(|text| printable(&text));
        let refuse = Refuse { field: field.clone(), ours: ours.clone(), theirs: theirs.clone() };
        self.part(refuse).await;
        HandshakeError::Refused { field, ours, theirs }
    }
}
