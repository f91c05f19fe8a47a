//! Which of two sites is to decide, as a document says it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::admin::answer::Refused;
use crate::base::id::{PeerName, is_name};
use crate::base::told::{listed, named};
use crate::config::Consent;
use crate::words::is_false;

/// Which of two sites is to decide, as a document says it: one of `{"mode":"active"}`, which may
/// have `"force":true` and `"gone":["f"]`, `{"mode":"passive"}` and `{"switch":true}`; or nothing,
/// which asks how they are.
///
/// A site that is told to be active is promoted where it is passive or sealed, and by force; where
/// neither is the case it decides for the first time. See [`Peer::promote_site`] and
/// [`Peer::activate_site`].
///
/// ```
/// use quorate::Consent;
/// use quorate::admin::{Ask, SiteDocument};
///
/// let document = SiteDocument::active(Consent::default().force());
/// let text = serde_json::to_string(&Ask::Site(document))?;
/// assert_eq!(text, r#"{"ask":"site","mode":"active","force":true}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// [`Peer::activate_site`]: crate::Peer::activate_site
/// [`Peer::promote_site`]: crate::Peer::promote_site
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct SiteDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<WantedMode>,
    #[serde(skip_serializing_if = "is_false")]
    force: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone: Vec<PeerName>,
    #[serde(skip_serializing_if = "is_false")]
    switch: bool,
}

/// What the site of the peer that is asked is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WantedMode {
    Active,
    Passive,
}

/// What a document asks for, at a peer whose site is known to be passive, or not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SiteWish {
    Activate,
    Demote,
    Promote(Consent),
    Switch,
}

impl SiteDocument {
    /// The site of the peer that is asked is to decide.
    pub fn active(consent: Consent) -> Self {
        let Consent { force, gone } = consent;
        Self { mode: Some(WantedMode::Active), force, gone, switch: false }
    }

    /// The site of the peer that is asked is to give up deciding.
    pub fn passive() -> Self {
        Self { mode: Some(WantedMode::Passive), ..Self::default() }
    }

    /// The two sites are to change places.
    pub fn switch() -> Self {
        Self { switch: true, ..Self::default() }
    }

    /// This one, if it asks for one thing.
    pub(crate) fn checked(self) -> Result<Self, Refused> {
        let is_of_promotion = self.force || !self.gone.is_empty();
        if self.switch && (self.mode.is_some() || is_of_promotion) {
            return Err(Refused::bad_request("say mode, or switch alone"));
        }
        if is_of_promotion && self.mode != Some(WantedMode::Active) {
            return Err(Refused::bad_request("force and gone go with the mode active"));
        }
        match self.gone.iter().find(|name| !is_name(name.as_str())) {
            Some(name) => {
                let detail = format!("{} is no name of a peer", named(name));
                Err(Refused::bad_request(detail))
            }
            None => Ok(self),
        }
    }

    /// What it asks for; `None` if it asks how the sites are.
    ///
    /// # Errors
    ///
    /// If peers are named as gone where nobody is promoted.
    pub(crate) fn wish(&self, is_passive: bool) -> Result<Option<SiteWish>, Refused> {
        let Self { mode, force, gone, switch } = self;
        Ok(match mode {
            _ if *switch => Some(SiteWish::Switch),
            Some(WantedMode::Active) if is_passive || *force => {
                let consent = Consent { force: *force, gone: gone.clone() };
                Some(SiteWish::Promote(consent))
            }
            Some(WantedMode::Active) if !gone.is_empty() => {
                let why = "gone is for a promotion, and this site is not passive: leave it out";
                return Err(Refused::bad_request(why));
            }
            Some(WantedMode::Active) => Some(SiteWish::Activate),
            Some(WantedMode::Passive) => Some(SiteWish::Demote),
            None => None,
        })
    }
}

/// The wish in a few words.
impl fmt::Display for SiteDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Some(WantedMode::Active) => f.write_str(" active")?,
            Some(WantedMode::Passive) => f.write_str(" passive")?,
            None if self.switch => f.write_str(" switch")?,
            None => {}
        }
        if self.force {
            f.write_str(" by force")?;
        }
        match &self.gone[..] {
            [] => Ok(()),
            gone => write!(f, " without {}", listed(gone.iter().map(PeerName::as_str))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SiteDocument, String> {
        let document = serde_json::from_str::<SiteDocument>(text);
        document.map_err(|error| error.to_string())?.checked().map_err(|refused| refused.detail)
    }

    #[test]
    fn a_document_is_written_as_it_was_read_and_told_in_a_few_words() {
        let consent = Consent::default();
        for (text, document, told) in [
            ("{}", SiteDocument::default(), ""),
            (r#"{"mode":"active"}"#, SiteDocument::active(consent.clone()), " active"),
            (
                r#"{"mode":"active","force":true,"gone":["e","f"]}"#,
                SiteDocument::active(consent.force().without(["e", "f"])),
                " active by force without e and f",
            ),
            (r#"{"mode":"passive"}"#, SiteDocument::passive(), " passive"),
            (r#"{"switch":true}"#, SiteDocument::switch(), " switch"),
        ] {
            assert_eq!(read(text), Ok(document.clone()));
            assert_eq!(serde_json::to_string(&document).expect("it can be written"), text);
            assert_eq!(document.to_string(), told);
        }
    }

    #[test]
    fn a_site_is_promoted_where_it_is_passive_and_by_force() {
        let wish = |text, is_passive| read(text).expect("usable").wish(is_passive);
        let promote = |consent| Ok(Some(SiteWish::Promote(consent)));
        let consent = Consent::default();
        let active = r#"{"mode":"active"}"#;
        assert_eq!(wish("{}", true), Ok(None));
        assert_eq!(wish(active, false), Ok(Some(SiteWish::Activate)));
        assert_eq!(wish(active, true), promote(consent.clone()));
        let forced = r#"{"mode":"active","force":true}"#;
        assert_eq!(wish(forced, false), promote(consent.clone().force()));
        let gone = r#"{"mode":"active","gone":["f"]}"#;
        assert_eq!(wish(gone, true), promote(consent.without(["f"])));
        assert!(wish(gone, false).is_err());
        assert_eq!(wish(r#"{"mode":"passive"}"#, true), Ok(Some(SiteWish::Demote)));
        assert_eq!(wish(r#"{"switch":true}"#, false), Ok(Some(SiteWish::Switch)));
    }

    #[test]
    fn two_things_at_once_and_half_of_one_are_refused() {
        for (text, says) in [
            (r#"{"mode":"active","switch":true}"#, "switch alone"),
            (r#"{"switch":true,"force":true}"#, "switch alone"),
            (r#"{"mode":"passive","force":true}"#, "go with the mode active"),
            (r#"{"gone":["f"]}"#, "go with the mode active"),
            (r#"{"mode":"active","gone":["a b"]}"#, "\"a b\" is no name of a peer"),
            (r#"{"mode":"standalone"}"#, "unknown variant `standalone`"),
            (r#"{"mode":"active","yes":true}"#, "unknown field `yes`"),
        ] {
            let error = read(text).expect_err("refused");
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
