//! Settings as words: how files, options and status write them.
//!
//! Every setting that is one of a few has the same words everywhere: they are read by [`FromStr`],
//! written by [`Display`](fmt::Display), and both by serde. Durations are a whole number and a
//! unit, `250ms`, `10s`, `5m`, `1h` or `1d`; [`duration()`] and the modules for serde's `with` are
//! for settings of one's own beside those of a peer.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//!
//! use quorate::words::{Written, duration};
//! use quorate::{Acknowledge, SyncPolicy};
//!
//! assert_eq!("majority".parse(), Ok(Acknowledge::Majority));
//! assert_eq!("500ms".parse(), Ok(SyncPolicy::Every(Duration::from_millis(500))));
//! assert_eq!(SyncPolicy::EveryBatch.to_string(), "every-batch");
//! assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
//! assert_eq!(Written(Duration::from_secs(120)).to_string(), "2m");
//! let error = "all".parse::<Acknowledge>().unwrap_err();
//! assert_eq!(error.to_string(), "\"all\" is no value of acknowledge: write primary or majority");
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

use crate::base::told::shortened;

/// Longest part of what was written that an error repeats, in characters.
const MAX_SHOWN: usize = 64;

/// Returns true of what is written only where it is set.
#[cfg(feature = "driver")]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

/// A word that a setting does not have; says which it has.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no {what}: write {known}")]
pub struct UnknownWord {
    what: &'static str,
    word: String,
    known: String,
}

impl UnknownWord {
    /// Of a setting that is called `what` and is written as `known` says.
    pub fn new(what: &'static str, word: &str, known: impl Into<String>) -> Self {
        Self { what, word: shortened(word, MAX_SHOWN), known: known.into() }
    }

    /// The same of a setting that is one of these words.
    pub fn of(what: &'static str, word: &str, words: &[&str]) -> Self {
        let known = match words {
            [] => String::new(),
            [only] => (*only).to_owned(),
            [first @ .., last] => format!("{} or {last}", first.join(", ")),
        };
        Self::new(what, word, known)
    }
}

impl fmt::Debug for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Gives an enumeration its words: to be read, to be written, and by serde's `Deserialize`.
#[doc(hidden)]
#[macro_export]
macro_rules! words {
    ($type:ident, $what:literal, $($variant:ident => $word:literal),+ $(,)?) => {
        impl $type {
            /// Its words, as files, options and status write them.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::words::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::words::UnknownWord::of($what, word, Self::WORDS)),
                }
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
            where
                D: ::serde::Deserializer<'de>,
            {
                $crate::words::read(deserializer)
            }
        }
    };
}

/// Has serde read what is written as text.
#[doc(hidden)]
pub fn read<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let word = String::deserialize(deserializer)?;
    word.parse().map_err(serde::de::Error::custom)
}

/// Units of a duration and their nanoseconds, the largest first.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a duration: a whole number and `ms`, `s`, `m`, `h` or `d` (and `us` or `ns`).
///
/// # Errors
///
/// If it is not written so, or longer than a [`Duration`] can be.
pub fn duration(text: &str) -> Result<Duration, UnknownWord> {
    read_duration(text).ok_or_else(|| {
        let known = "a whole number and a unit, like 250ms, 10s, 5m, 1h or 1d";
        UnknownWord::new("duration", text, known)
    })
}

fn read_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let nanos = number.parse::<u128>().ok()?.checked_mul(*nanos)?;
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).ok()?))
}

/// A duration as [`duration()`] reads it, by the largest unit that leaves no rest.
#[derive(Clone, Copy, Debug)]
pub struct Written(pub Duration);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.pad("0s");
        }
        let fits = |(_, unit): &&(&str, u128)| nanos.is_multiple_of(*unit);
        let (name, unit) = UNITS.iter().find(fits).unwrap_or(&("ns", 1));
        f.pad(&format!("{}{name}", nanos / unit))
    }
}

/// For serde's `with`: a duration by its words, in a field that may be left out (`default`).
pub mod optional_duration {
    use super::{Deserialize, Deserializer, Duration, Serializer, Written, duration, fmt};

    /// Writes it.
    ///
    /// # Errors
    ///
    /// Those of the format.
    pub fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(&Written(*value)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// Those of the format, and those of [`duration`].
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let read = Option::<Text>::deserialize(deserializer)?;
        Ok(read.map(|Text(duration)| duration))
    }

    /// A duration as it is read.
    struct Text(Duration);

    impl<'de> Deserialize<'de> for Text {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_str(Words).map(Self)
        }
    }

    struct Words;

    impl serde::de::Visitor<'_> for Words {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration with its unit, in quotes, like \"250ms\" or \"10s\"")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
            duration(text).map_err(E::custom)
        }
    }
}

/// Reads a number of a field that has a name, and says which numbers it takes.
macro_rules! whole_number {
    ($name:ident, $type:ty, $expected:literal) => {
        pub(crate) fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
            struct Number;

            impl serde::de::Visitor<'_> for Number {
                type Value = $type;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str($expected)
                }

                fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$type, E> {
                    let unexpected = serde::de::Unexpected::Unsigned(number);
                    number.try_into().map_err(|_| E::invalid_value(unexpected, &self))
                }

                fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$type, E> {
                    let unexpected = serde::de::Unexpected::Signed(number);
                    number.try_into().map_err(|_| E::invalid_value(unexpected, &self))
                }
            }

            deserializer.deserialize_u64(Number)
        }
    };
}

whole_number!(bound, usize, "a bound: a whole number, 0 or more, without quotes");
#[cfg(feature = "driver")]
whole_number!(priority, u8, "a priority: a whole number, 0 to 255, without quotes");

/// A priority that may be left out.
#[cfg(feature = "driver")]
pub(crate) fn optional_priority<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u8>, D::Error> {
    struct Read(u8);

    impl<'de> Deserialize<'de> for Read {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            priority(deserializer).map(Self)
        }
    }

    let read = Option::<Read>::deserialize(deserializer)?;
    Ok(read.map(|Read(priority)| priority))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::config::{Acknowledge, Mode, OnReconnect};
    use crate::config::{Storage, StorageKind, SyncPolicy};

    /// Each word is read as the value that is written so, by text and by serde.
    fn check<T>(what: &str, words: &[&str])
    where
        T: FromStr<Err = UnknownWord> + fmt::Display + fmt::Debug + PartialEq,
        T: Serialize + DeserializeOwned,
    {
        for word in words {
            let value: T = word.parse().expect("one of its words");
            assert_eq!(value.to_string(), *word);
            let json = serde_json::to_string(&value).expect("it has a word");
            assert_eq!(json, format!("\"{word}\""), "as status has it");
            assert_eq!(serde_json::from_str::<T>(&json).expect("the same"), value);
        }
        let error = "nothing".parse::<T>().expect_err("no word of it").to_string();
        assert!(error.starts_with(&format!("\"nothing\" is no {what}: write ")), "{error}");
        for word in words {
            assert!(error.contains(word), "{error} does not name {word}");
        }
        let said = serde_json::from_str::<T>("\"nothing\"").expect_err("no word of it").to_string();
        assert!(said.starts_with(&error), "{said}");
        for wrong in ["", " ", &words[0].to_uppercase(), &format!(" {}", words[0])] {
            assert!(wrong.parse::<T>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_word_of_every_setting_is_read_and_written() {
        check::<Mode>("mode", &["strict", "relaxed"]);
        check::<OnReconnect>("value of on_reconnect", &["merge", "overwrite"]);
        check::<Acknowledge>("value of acknowledge", &["primary", "majority"]);
        check::<StorageKind>("kind of storage", &["memory", "disk"]);
        check::<SyncPolicy>("sync policy", &["every-batch", "os"]);
        #[cfg(feature = "driver")]
        check::<crate::Tls>("stage of TLS", &["off", "permissive", "required"]);
        assert_eq!(Mode::WORDS, ["strict", "relaxed"]);
    }

    #[test]
    fn an_error_shows_no_more_than_a_line_of_what_was_written() {
        let error = "é".repeat(1_000).parse::<Mode>().expect_err("no mode");
        let shown = format!("\"{}…\" is no mode: write strict or relaxed", "é".repeat(64));
        assert_eq!((error.to_string(), format!("{error:?}")), (shown.clone(), shown));
    }

    #[test]
    fn a_sync_policy_is_a_word_or_a_time() {
        let every = |millis| SyncPolicy::Every(Duration::from_millis(millis));
        for (text, policy) in [("1s", every(1_000)), ("500ms", every(500)), ("1m", every(60_000))] {
            assert_eq!(text.parse(), Ok(policy));
            assert_eq!(policy.to_string(), text);
        }
        let error = "sometimes".parse::<SyncPolicy>().expect_err("no policy").to_string();
        assert_eq!(
            error,
            "\"sometimes\" is no sync policy: write every-batch, os, or the longest time between \
             two syncs, like 1s or 500ms"
        );
    }

    #[test]
    fn storage_is_a_word_or_a_directory() {
        let disk = |dir: &str, sync| Storage::Disk { dir: dir.into(), sync };
        for (text, storage) in [
            ("memory", Storage::Memory),
            ("disk:/var/lib/q", Storage::disk("/var/lib/q")),
            ("disk:/a,sync=b,sync=os", disk("/a,sync=b", SyncPolicy::Os)),
            ("disk:a b,sync=every-batch", disk("a b", SyncPolicy::EveryBatch)),
        ] {
            assert_eq!(text.parse(), Ok(storage), "{text}");
        }
        for wrong in ["disk", "disk:", "disk:,sync=os", "disk:/a,sync=often", "/var/lib/q", ""] {
            let error = wrong.parse::<Storage>().expect_err("none of them").to_string();
            assert!(error.contains("memory") || error.contains("every-batch"), "{error}");
        }
        // In a file it may be a table.
        let table = r#"{"dir": "/var/lib/q", "sync": "500ms"}"#;
        let read: Storage = serde_json::from_str(table).expect("a table");
        assert_eq!(read, disk("/var/lib/q", SyncPolicy::Every(Duration::from_millis(500))));
        let read: Storage = serde_json::from_str(r#"{"dir": "/var/lib/q"}"#).expect("a table");
        assert_eq!(read, Storage::disk("/var/lib/q"));
        for (wrong, why) in [
            (r#"{"dir": "/a", "synk": "1s"}"#, "unknown field `synk`, expected `dir` or `sync`"),
            (r#"{"sync": "1s"}"#, "missing field `dir`"),
            (r#"{"dir": "/a", "sync": "1"}"#, "\"1\" is no sync policy: write every-batch, os"),
            (r#""tape""#, "\"tape\" is no storage: write memory or disk:DIR"),
            ("7", "memory, disk:DIR, or a table with dir and sync"),
        ] {
            let said = serde_json::from_str::<Storage>(wrong).expect_err("refused").to_string();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn anything_that_is_no_duration_is_refused() {
        for text in ["", "s", "60", "60 s", "-1s", "1.5s", "1w", "1S", "1sm", "+1s", "1d1h"] {
            assert!(duration(text).is_err(), "{text}");
        }
        let error = duration("10").expect_err("no unit").to_string();
        assert!(
            error.starts_with("\"10\" is no duration: write a whole number and a unit"),
            "{error}"
        );
        for huge in ["18446744073709551615d", &format!("{}s", "9".repeat(40))] {
            assert!(duration(huge).is_err(), "does not fit: {huge}");
        }
    }

    fn any_duration() -> impl Strategy<Value = Duration> {
        let whole = any::<u64>().prop_map(Duration::from_secs);
        let any = (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n));
        prop_oneof![whole, any, (0..100_000_u64).prop_map(Duration::from_millis)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            time in any_duration(),
            dir in "[ -~é]{1,40}",
            sync in prop_oneof![
                Just(SyncPolicy::EveryBatch),
                Just(SyncPolicy::Os),
                any_duration().prop_map(SyncPolicy::Every),
            ],
        ) {
            prop_assert_eq!(duration(&Written(time).to_string()), Ok(time));
            prop_assert_eq!(sync.to_string().parse(), Ok(sync));
            let json = serde_json::to_string(&sync).expect("it has a word");
            prop_assert_eq!(serde_json::from_str::<SyncPolicy>(&json).expect("the same"), sync);
            let storage = Storage::Disk { dir: dir.into(), sync };
            prop_assert_eq!(storage.to_string().parse(), Ok(storage.clone()));
            let json = serde_json::to_string(&storage).expect("it has a word");
            prop_assert_eq!(serde_json::from_str::<Storage>(&json).expect("the same"), storage);
        }

        #[test]
        fn no_text_is_read_as_what_is_written_otherwise(text in "[a-z0-9:,= /-]{0,20}") {
            if let Ok(policy) = text.parse::<SyncPolicy>() {
                prop_assert_eq!(policy.to_string().parse::<SyncPolicy>(), Ok(policy));
            }
            if let Ok(storage) = text.parse::<Storage>() {
                prop_assert_eq!(storage.to_string().parse::<Storage>(), Ok(storage));
            }
        }
    }
}
