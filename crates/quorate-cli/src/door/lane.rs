//! Doors of real peers: the admin lane on the port at which they meet each other.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate::admin::{AdminError, Client, Effect};
use quorate::transport::{BoxFuture, Certificate, Tcp, Transport, Unwanted};
use quorate_tls::{CredentialsError, TlsConfig};
use serde_json::Value;

use crate::door::{Door, DoorError, Doors};
use crate::exit::{Exit, Failure};
use crate::text::clean::clean_reason;

/// Certificates to show and to trust.
#[derive(Clone, Debug)]
pub(crate) struct Papers {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What the URI of a certificate begins with that may ask.
const KINDS: [&str; 2] = ["quorate-admin:", "quorate-viewer:"];

/// The name of whoever has none: docs/cli.md, section 1.
const NOBODY: &str = "quorate";

/// How long a connection waits for an answer at the longest; whoever asks has a deadline of its own
/// before that.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Opens admin connections.
pub(crate) struct Lane {
    transport: Arc<dyn Transport>,
    name: String,
    group: String,
}

impl Lane {
    /// Takes certificates, or none for plain text; the name to go by, if it is not that of the
    /// certificate; and the group that is meant.
    ///
    /// # Errors
    ///
    /// If the certificates cannot be used.
    pub(crate) fn new(
        papers: Option<&Papers>,
        name: Option<&str>,
        group: Option<&str>,
    ) -> Result<Self, Failure> {
        let transport: Arc<dyn Transport> = match papers {
            None => Arc::new(Tcp::default()),
            Some(Papers { ca, certificate, key }) => {
                let made = TlsConfig::from_pem_files(ca, certificate, key).transport();
                Arc::new(made.map_err(|error| unusable(&error))?)
            }
        };
        let name = name.map(str::to_owned).unwrap_or_else(|| {
            let shown = transport.certificate();
            shown.as_ref().and_then(name_in).unwrap_or_else(user)
        });
        Ok(Self { transport, name, group: group.unwrap_or_default().to_owned() })
    }
}

/// What is said of certificates that cannot be used, and of whatever that comes from. One of
/// another CA than the peers' is what they would refuse as well.
fn unusable(error: &CredentialsError) -> Failure {
    match error {
        CredentialsError::Untrusted { .. } => {
            Failure::new(Exit::Unreached, "not_allowed", format!("{error:?}"))
        }
        _ => Failure::usage("unusable_certificate", format!("{error:?}")),
    }
}

/// The name that a certificate lets its holder ask by.
fn name_in(certificate: &Certificate) -> Option<String> {
    let of_kind = |kind: &str| {
        certificate.names.iter().find_map(|name| name.strip_prefix(kind)).map(str::to_owned)
    };
    KINDS.into_iter().find_map(of_kind)
}

/// The name of whoever is logged in, as far as it can be a peer's.
fn user() -> String {
    let user = std::env::var("USER").unwrap_or_default();
    let is_usual = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    let user: String = user.chars().filter(|c| is_usual(*c)).take(64).collect();
    if user.is_empty() { NOBODY.to_owned() } else { user }
}

impl Doors for Lane {
    fn open<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Box<dyn Door>, DoorError>> {
        Box::pin(async move {
            let transport = self.transport.clone();
            let client = Client::connect(transport, address, &self.name, &self.group).await?;
            let client = client.timeout(LONGEST);
            Ok(Box::new(Open(client)) as Box<dyn Door>)
        })
    }
}

/// An open admin connection.
struct Open(Client);

impl Door for Open {
    fn peer(&self) -> &str {
        self.0.peer().as_str()
    }

    fn ask<'a>(&'a mut self, ask: &'a Value) -> BoxFuture<'a, Result<Value, DoorError>> {
        Box::pin(async move { Ok(self.0.ask_json(ask).await?) })
    }
}

impl From<AdminError> for DoorError {
    fn from(error: AdminError) -> Self {
        // With whatever it comes from; some of it the other end has said, who may be anybody.
        let detail = clean_reason(&format!("{error:?}"));
        let unknown = |error: &str, detail| Self::Unknown { error: error.to_owned(), detail };
        match &error {
            AdminError::Connect { source, .. } if is_unwanted(source) => {
                Self::NotAllowed { detail }
            }
            AdminError::NotLetIn { .. } | AdminError::NotThatPeer { .. } => {
                Self::NotAllowed { detail }
            }
            AdminError::Refused(refused) => {
                let error = refused.error.to_string();
                match refused.effect {
                    Effect::None => Self::Refused { error, detail },
                    _ => Self::Unknown { error, detail },
                }
            }
            AdminError::Name { .. } | AdminError::TooLong { .. } => {
                Self::Refused { error: "bad_request".to_owned(), detail }
            }
            AdminError::Lost { .. } => unknown("lost", detail),
            AdminError::TimedOut { .. } => unknown("timed_out", detail),
            AdminError::Garbled => unknown("bad_answer", detail),
            _ => Self::Unreachable { detail },
        }
    }
}

/// Returns true if one of the ends has looked at the other's certificate and does not want it.
fn is_unwanted(error: &io::Error) -> bool {
    Unwanted::of(error).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_moves_no_cursor_and_keeps_its_word() {
        let refused = quorate::admin::Refused::new("busy", "wait\u{1b}[2J");
        let error = DoorError::from(AdminError::Refused(refused.clone()));
        let detail = "wait\u{fffd}[2J".to_owned();
        assert_eq!(error, DoorError::Refused { error: "busy".to_owned(), detail: detail.clone() });
        let error = DoorError::from(AdminError::Refused(refused.unknown()));
        assert_eq!(error, DoorError::Unknown { error: "busy".to_owned(), detail });
    }

    #[test]
    fn whoever_is_not_reached_was_asked_for_nothing() {
        let address = || "x:1".to_owned();
        let source = io::Error::from(io::ErrorKind::ConnectionRefused);
        let refused = DoorError::from(AdminError::Connect { address: address(), source });
        let detail = "cannot connect to x:1: connection refused".to_owned();
        assert_eq!(refused, DoorError::Unreachable { detail });
        let [field, ours, theirs] = ["group", "web", "quota"].map(str::to_owned);
        let other = AdminError::NotLetIn { address: address(), field, ours, theirs };
        assert!(matches!(DoorError::from(other), DoorError::NotAllowed { .. }));
        let source = io::Error::from(io::ErrorKind::ConnectionReset);
        let lost = DoorError::from(AdminError::Lost { source });
        assert!(matches!(lost, DoorError::Unknown { error, .. } if error == "lost"));
    }

    #[test]
    fn a_certificate_says_by_which_name_its_holder_asks() {
        let named = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            name_in(&Certificate::new(String::new(), names, 0))
        };
        assert_eq!(named(&["alice.example", "quorate-admin:alice"]).as_deref(), Some("alice"));
        assert_eq!(named(&["quorate-viewer:bob"]).as_deref(), Some("bob"));
        assert_eq!(named(&["quorate:a"]), None);
    }
}
