//! The words of [`HeaderStyle`].

use std::fmt;
use std::str::FromStr;

use quorate::words::{UnknownWord, read};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::headers::{HeaderStyle, Reset};

impl HeaderStyle {
    /// Its words, as files and options write them.
    pub const WORDS: &'static [&'static str] = &["retry-after", "ietf", "x-epoch", "x-delta"];

    const ALL: [Self; 4] = [
        Self::RetryAfter,
        Self::IetfDraft11,
        Self::XRateLimit { reset: Reset::Epoch },
        Self::XRateLimit { reset: Reset::Delta },
    ];
}

/// Writes `retry-after`; `ietf`, for draft 11; `x-epoch` or `x-delta`, for `X-RateLimit-*` with the
/// reset as a moment or as a wait.
impl fmt::Display for HeaderStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RetryAfter => "retry-after",
            Self::IetfDraft11 => "ietf",
            Self::XRateLimit { reset: Reset::Epoch } => "x-epoch",
            Self::XRateLimit { reset: Reset::Delta } => "x-delta",
        })
    }
}

impl FromStr for HeaderStyle {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::WORDS.iter().zip(Self::ALL).find(|(known, _)| **known == word);
        let unknown = || UnknownWord::of("style of headers", word, Self::WORDS);
        found.map(|(_, style)| style).ok_or_else(unknown)
    }
}

impl Serialize for HeaderStyle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HeaderStyle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::calendar::Weekday;
    use crate::limiter::full_store::AtCapacity;
    use crate::model::policy::Carry;

    fn check<T>(what: &str, words: &[&str])
    where
        T: FromStr<Err = UnknownWord> + fmt::Display + fmt::Debug + PartialEq,
        T: Serialize + serde::de::DeserializeOwned,
    {
        for word in words {
            let value: T = word.parse().expect("one of its words");
            assert_eq!(value.to_string(), *word);
            let json = serde_json::to_string(&value).expect("it has a word");
            assert_eq!(json, format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<T>(&json).expect("the same"), value);
        }
        let error = "nothing".parse::<T>().expect_err("no word of it").to_string();
        let known = words[..words.len() - 1].join(", ");
        let last = words[words.len() - 1];
        assert_eq!(error, format!("\"nothing\" is no {what}: write {known} or {last}"));
        let said = serde_json::from_str::<T>("\"nothing\"").expect_err("no word of it").to_string();
        assert!(said.starts_with(&error), "{said}");
    }

    #[test]
    fn every_word_of_every_setting_is_read_and_written() {
        check::<AtCapacity>("value of at_capacity", &["refuse", "admit"]);
        check::<Carry>("value of carry", &["keep", "proportional", "reset"]);
        check::<HeaderStyle>("style of headers", &["retry-after", "ietf", "x-epoch", "x-delta"]);
        check::<Weekday>(
            "weekday",
            &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
        );
    }
}
