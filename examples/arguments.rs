//! Arguments that clap has no parser for.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use quorate::{Acknowledge, Mode, OnReconnect, StorageKind, SyncPolicy, Tls};
use quorate_ratelimit::{AtCapacity, HeaderStyle, Reset};

/// Parses `250ms`, `10s`, `5m`, `1h` or `1d`.
///
/// # Errors
///
/// A sentence that says how a duration is written.
pub fn duration(text: &str) -> Result<Duration, String> {
    let help = || "write a whole number and a unit, like 250ms, 10s, 5m, 1h or 1d".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| help())?;
    let unit_ms: u64 = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(help()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(help)
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
    one_of([("strict", Mode::Strict), ("relaxed", Mode::Relaxed)])
}

/// Parses `merge` or `overwrite`.
pub fn on_reconnect() -> impl TypedValueParser<Value = OnReconnect> {
    one_of([("merge", OnReconnect::Merge), ("overwrite", OnReconnect::Overwrite)])
}

/// Parses `primary` or `majority`.
pub fn acknowledge() -> impl TypedValueParser<Value = Acknowledge> {
    one_of([("primary", Acknowledge::Primary), ("majority", Acknowledge::Majority)])
}

/// Parses `off`, `permissive` or `required`.
pub fn tls() -> impl TypedValueParser<Value = Tls> {
    one_of([("off", Tls::Off), ("permissive", Tls::Permissive), ("required", Tls::Required)])
}

/// Parses `retry-after`, `ietf`, `x-epoch` or `x-delta`.
pub fn headers() -> impl TypedValueParser<Value = HeaderStyle> {
    one_of([
        ("retry-after", HeaderStyle::RetryAfter),
        ("ietf", HeaderStyle::IetfDraft11),
        ("x-epoch", HeaderStyle::XRateLimit { reset: Reset::Epoch }),
        ("x-delta", HeaderStyle::XRateLimit { reset: Reset::Delta }),
    ])
}

/// Parses `refuse` or `admit`.
pub fn at_capacity() -> impl TypedValueParser<Value = AtCapacity> {
    one_of([("refuse", AtCapacity::Refuse), ("admit", AtCapacity::Admit)])
}

/// Parses `memory` or `disk`.
pub fn storage() -> impl TypedValueParser<Value = StorageKind> {
    one_of([("memory", StorageKind::Memory), ("disk", StorageKind::Disk)])
}

/// Parses `every-batch`, `os`, or the longest time between two syncs, like `1s`.
///
/// # Errors
///
/// A sentence that says what there is.
pub fn sync(text: &str) -> Result<SyncPolicy, String> {
    match text {
        "every-batch" => Ok(SyncPolicy::EveryBatch),
        "os" => Ok(SyncPolicy::Os),
        text => duration(text).map(SyncPolicy::Every).map_err(|_| {
            "write every-batch, os, or the longest time between two syncs, like 1s or 500ms".into()
        }),
    }
}

fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    choices: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(choices.map(|(name, _)| name)).try_map(move |given| {
        let choice = choices.iter().find(|(name, _)| *name == given);
        choice.map(|(_, value)| *value).ok_or("not one of the choices")
    })
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
            assert_eq!(duration(text), Err(how.to_owned()), "{text}");
        }
        for text in ["", "a", "a="] {
            let how = "write name=host:port, like a=127.0.0.1:7101";
            assert_eq!(member(text), Err(how.to_owned()), "{text}");
        }
        for text in ["", "never", "5"] {
            let how = "write every-batch, os, or the longest time between two syncs, like 1s or \
                       500ms";
            assert_eq!(sync(text), Err(how.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_sync_policy_is_a_word_or_an_interval() {
        assert_eq!(sync("every-batch"), Ok(SyncPolicy::EveryBatch));
        assert_eq!(sync("os"), Ok(SyncPolicy::Os));
        assert_eq!(sync("500ms"), Ok(SyncPolicy::Every(Duration::from_millis(500))));
        assert!(sync("sometimes").is_err_and(|said| said.contains("every-batch, os, or")));
    }
}
