//! Errors as `main` shows them: by `Debug`, to a person.
//!
//! `fn main() -> Result<(), Box<dyn Error>>` ends with the `Debug` of an error. So that of the
//! errors of operations says what their `Display` does, and what they come from, in one line; their
//! values are there for code to look at.

use std::error::Error;
use std::fmt;

/// Writes an error and what it comes from, in one line.
///
/// # Errors
///
/// Those of the formatter.
#[doc(hidden)]
pub fn tell(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Many say their cause themselves.
        let more = error.to_string();
        if !said.contains(&more) {
            said.push_str(": ");
            said.push_str(&more);
        }
        cause = error.source();
    }
    f.write_str(&said)
}

/// An error with all of its causes, for logs.
#[cfg(feature = "driver")]
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'a));

#[cfg(feature = "driver")]
impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Has `Debug` of these errors say what a person is to read.
#[doc(hidden)]
#[macro_export]
macro_rules! told_to_people {
    ($($error:ty),+ $(,)?) => {$(
        impl ::std::fmt::Debug for $error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::tell(self, f)
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::base::error::{DecideError, NoPrimaryReason, PolicyError, RemoveError, SwitchError};

    /// The text that `main` shows.
    fn shown(error: impl std::error::Error + 'static) -> String {
        let boxed: Box<dyn std::error::Error> = error.into();
        format!("{boxed:?}")
    }

    #[test]
    fn what_main_shows_of_an_error_is_a_sentence() {
        let reason = NoPrimaryReason::LeaseEnded;
        let said = shown(DecideError::NoPrimary { reason });
        let expected = "no primary: the lease of this primary has ended: nothing is decided until \
                        a majority answers";
        assert_eq!(said, expected);
        let waited = Duration::from_secs(30);
        let to = || "b".into();
        for (error, said) in [
            (
                shown(SwitchError::NotMember { to: to() }),
                "b is not a member of this group: name one of those in the status",
            ),
            (
                shown(PolicyError::ShuttingDown),
                "this peer is shutting down: see at another one whether the change was made",
            ),
            (
                shown(RemoveError::TimedOut { peer: to(), waited }),
                "b was not counted out within 30s: the change may still be made; see the members \
                 in the status",
            ),
        ] {
            assert_eq!(error, said);
        }
    }

    #[cfg(feature = "driver")]
    #[test]
    fn what_an_error_comes_from_is_said_once() {
        use crate::driver::StartError;

        let denied = || std::io::Error::other("not today");
        let said = shown(StartError::Bind { address: "127.0.0.1:1".into(), source: denied() });
        assert_eq!(said, "cannot listen on 127.0.0.1:1: not today");
        let said = shown(StartError::Config(Vec::new()));
        assert_eq!(said, "the settings are not usable: ");
        let said = shown(StartError::Thread(denied()));
        assert_eq!(said, "cannot start a thread of the peer's own: not today");
    }
}
