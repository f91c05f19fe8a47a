//! Arguments that clap has no parser for.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use quorate::words::UnknownWord;
use quorate::{Acknowledge, Mode, OnReconnect, StorageKind, SyncPolicy, Tls};
use quorate_ratelimit::{AtCapacity, HeaderStyle};

/// Parses `250ms`, `10s`, `5m`, `1h` or `1d`.
///
/// # Errors
///
/// A sentence that says how a duration is written.
pub fn duration(text: &str) -> Result<Duration, UnknownWord> {
    quorate::words::duration(text)
}

/// Parses one member of a group, `name=host:port`.
///
/// # Errors
///
/// A sentence that says how a member is written.
pub fn member(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, address)) if !name.is_empty() && !address.is_empty() => {
            Ok((name.to_owned(), address.to_owned()))
        }
        _ => Err("write name=host:port, like a=127.0.0.1:7101".to_owned()),
    }
}

/// Parses `strict` or `relaxed`.
pub fn mode() -> impl TypedValueParser<Value = Mode> {
    one_of(Mode::WORDS)
}

/// Parses `merge` or `overwrite`.
pub fn on_reconnect() -> impl TypedValueParser<Value = OnReconnect> {
    one_of(OnReconnect::WORDS)
}

/// Parses `primary` or `majority`.
pub fn acknowledge() -> impl TypedValueParser<Value = Acknowledge> {
    one_of(Acknowledge::WORDS)
}

/// Parses `off`, `permissive` or `required`.
pub fn tls() -> impl TypedValueParser<Value = Tls> {
    one_of(Tls::WORDS)
}

/// Parses `retry-after`, `ietf`, `x-epoch` or `x-delta`.
pub fn headers() -> impl TypedValueParser<Value = HeaderStyle> {
    one_of(HeaderStyle::WORDS)
}

/// Parses `refuse` or `admit`.
pub fn at_capacity() -> impl TypedValueParser<Value = AtCapacity> {
    one_of(AtCapacity::WORDS)
}

/// Parses `memory` or `disk`.
pub fn storage() -> impl TypedValueParser<Value = StorageKind> {
    one_of(StorageKind::WORDS)
}

/// Parses `every-batch`, `os`, or the longest time between two syncs, like `1s`.
///
/// # Errors
///
/// A sentence that says what there is.
pub fn sync(text: &str) -> Result<SyncPolicy, UnknownWord> {
    text.parse()
}

/// Parses one of these words, which `--help` lists.
fn one_of<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = UnknownWord> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "10", "s", "1.5s", "10 s", "-1s", "99999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn members_have_a_name_and_an_address() {
        assert_eq!(member("a=127.0.0.1:7101"), Ok(("a".into(), "127.0.0.1:7101".into())));
        for wrong in ["", "a", "=127.0.0.1:7101", "a="] {
            assert!(member(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_write() {
        let how = "write a whole number and a unit, like 250ms, 10s, 5m, 1h or 1d";
        for text in ["", "10", "1w", "99999999999999999d"] {
            let said = duration(text).expect_err("no duration").to_string();
            assert_eq!(said, format!("{text:?} is no duration: {how}"));
        }
        for text in ["", "a", "a="] {
            let how = "write name=host:port, like a=127.0.0.1:7101";
            assert_eq!(member(text), Err(how.to_owned()), "{text}");
        }
        for text in ["", "never", "5"] {
            let how = "write every-batch, os, or the longest time between two syncs, like 1s or \
                       500ms";
            let said = sync(text).expect_err("no policy").to_string();
            assert_eq!(said, format!("{text:?} is no sync policy: {how}"));
        }
    }

    #[test]
    fn a_sync_policy_is_a_word_or_an_interval() {
        assert_eq!(sync("every-batch"), Ok(SyncPolicy::EveryBatch));
        assert_eq!(sync("os"), Ok(SyncPolicy::Os));
        assert_eq!(sync("500ms"), Ok(SyncPolicy::Every(Duration::from_millis(500))));
        let said = sync("sometimes").expect_err("no policy").to_string();
        assert!(said.contains("every-batch, os, or"), "{said}");
    }
}
