//! What is asked about limits, as it is read.

use std::collections::BTreeMap;

use quorate::MAX_ITEMS;
use quorate::admin::{Access, Nothing, Refused, of};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::limiter::hold_id::of_hex;
use crate::model::file::LimitSpec;
use crate::model::policy::Carry;

/// The number of keys that are told unless another one is asked for.
const KEYS: usize = 10;
/// The most of them.
const MAX_KEYS: usize = 1000;

/// Something that is asked about limits.
pub(super) enum LimitsAsk {
    Get,
    Put(Put),
    Ask(Amount),
    Peek(Amount),
    Reset(Reset),
    Explain(Explain),
    Top(TopOf),
    Stats,
}

impl LimitsAsk {
    /// Reads an ask by its name and fields, if it is one of these.
    pub(super) fn read(ask: &str, fields: &Map<String, Value>) -> Option<Result<Self, Refused>> {
        Some(match ask {
            "get" => of(fields).map(|Nothing {}| Self::Get),
            "put" => of(fields).map(Self::Put),
            "ask" => of(fields).map(Self::Ask),
            "peek" => of(fields).map(Self::Peek),
            "reset" => of(fields).map(Self::Reset),
            // One item needs no list.
            "explain" if !fields.contains_key("items") => {
                of(fields).map(|item| Self::Explain(Explain { items: vec![item] }))
            }
            "explain" => of(fields).and_then(Explain::checked).map(Self::Explain),
            "top" => of(fields).and_then(TopOf::checked).map(Self::Top),
            "stats" => of(fields).map(|Nothing {}| Self::Stats),
            _ => return None,
        })
    }

    /// Returns what it needs of whoever asks.
    pub(super) fn access(&self) -> Access {
        match self {
            Self::Get | Self::Peek(_) | Self::Explain(_) | Self::Top(_) | Self::Stats => {
                Access::Look
            }
            Self::Ask(_) => Access::Call,
            // Of which key is nobody's business.
            Self::Reset(Reset { limit, .. }) => Access::act(format!("limits.reset of {limit}")),
            Self::Put(_) => Access::act("limits.put"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Put {
    pub(super) limits: BTreeMap<String, LimitSpec>,
    #[serde(default)]
    pub(super) carry: Carry,
}

/// A key of a caller: bytes, which as text or in hexadecimal digits stand in a document.
pub(super) struct Bytes(pub(super) Vec<u8>);

#[derive(Deserialize)]
#[serde(try_from = "Written<u64>")]
pub(super) struct Amount {
    pub(super) limit: String,
    pub(super) key: Bytes,
    pub(super) amount: u64,
}

#[derive(Deserialize)]
#[serde(try_from = "Written<Absent>")]
pub(super) struct Reset {
    pub(super) limit: String,
    pub(super) key: Bytes,
}

/// The field that an ask does not have.
enum Absent {}

impl<'de> Deserialize<'de> for Absent {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("there is no amount of this ask"))
    }
}

/// A limit, a key and perhaps an amount, as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<A> {
    limit: String,
    #[serde(default = "none")]
    key: Option<String>,
    #[serde(default = "none")]
    key_hex: Option<String>,
    #[serde(default = "none")]
    amount: Option<A>,
}

fn none<T>() -> Option<T> {
    None
}

impl<A> Written<A> {
    fn key(&self) -> Result<Bytes, &'static str> {
        match (&self.key, &self.key_hex) {
            (Some(text), None) => Ok(Bytes(text.as_bytes().to_vec())),
            (None, Some(digits)) => of_hex(digits).map(Bytes).ok_or(HEX),
            (Some(_), Some(_)) => Err("key and key_hex are two keys: give one of them"),
            (None, None) => Err("missing field `key` (or `key_hex`, of a key that is no text)"),
        }
    }
}

const HEX: &str = "key_hex takes two hexadecimal digits for each byte";

impl TryFrom<Written<u64>> for Amount {
    type Error = &'static str;

    fn try_from(written: Written<u64>) -> Result<Self, Self::Error> {
        let key = written.key()?;
        Ok(Self { limit: written.limit, key, amount: written.amount.unwrap_or(1) })
    }
}

impl TryFrom<Written<Absent>> for Reset {
    type Error = &'static str;

    fn try_from(written: Written<Absent>) -> Result<Self, Self::Error> {
        let key = written.key()?;
        Ok(Self { limit: written.limit, key })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Explain {
    pub(super) items: Vec<Amount>,
}

impl Explain {
    fn checked(self) -> Result<Self, Refused> {
        let count = self.items.len();
        match (1..=MAX_ITEMS).contains(&count) {
            true => Ok(self),
            false => {
                let detail = format!("{count} items together: ask for 1 to {MAX_ITEMS}");
                Err(Refused::bad_request(detail))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopOf {
    pub(super) limit: String,
    #[serde(default = "keys")]
    pub(super) n: usize,
}

fn keys() -> usize {
    KEYS
}

impl TopOf {
    fn checked(self) -> Result<Self, Refused> {
        match self.n {
            1..=MAX_KEYS => Ok(self),
            n => Err(Refused::bad_request(format!("n is {n}: ask for 1 to {MAX_KEYS} keys"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(ask: &str, fields: Value) -> Result<LimitsAsk, String> {
        let Value::Object(fields) = fields else { panic!("an object") };
        LimitsAsk::read(ask, &fields).expect("there is such an ask").map_err(|refused| {
            assert_eq!(refused.error, "bad_request");
            refused.detail
        })
    }

    #[test]
    fn a_key_is_text_or_digits() {
        let key = |fields: Value| match read("peek", fields) {
            Ok(LimitsAsk::Peek(amount)) => (amount.key.0, amount.amount),
            Ok(_) => panic!("another ask"),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(key(json!({ "limit": "api", "key": "é" })), ("é".as_bytes().to_vec(), 1));
        let digits = json!({ "limit": "api", "key_hex": "00fFa0", "amount": 0 });
        assert_eq!(key(digits), (vec![0x00, 0xff, 0xa0], 0));
        assert_eq!(key(json!({ "limit": "api", "key_hex": "" })), (vec![], 1));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (ask, fields, said) in [
            ("peek", json!({ "limit": "api" }), "missing field `key`"),
            ("peek", json!({ "key": "k" }), "missing field `limit`"),
            ("peek", json!({ "limit": "api", "key": "k", "key_hex": "00" }), "two keys"),
            ("peek", json!({ "limit": "api", "key_hex": "0" }), "two hexadecimal digits"),
            ("peek", json!({ "limit": "api", "key_hex": "+1" }), "two hexadecimal digits"),
            ("peek", json!({ "limit": "api", "key": "k", "amount": -1 }), "invalid value"),
            ("ask", json!({ "limit": "api", "key": 7 }), "invalid type"),
            ("reset", json!({ "limit": "api", "key": "k", "amount": 1 }), "no amount"),
            ("get", json!({ "limit": "api" }), "unknown field `limit`"),
            ("put", json!({}), "missing field `limits`"),
            ("put", json!({ "limits": {}, "carry": "drop" }), "no value of carry"),
            ("put", json!({ "limits": { "api": { "brust": 1 } } }), "unknown field `brust`"),
            ("explain", json!({ "items": [] }), "ask for 1 to 16"),
            ("top", json!({ "limit": "api", "n": 0 }), "ask for 1 to 1000"),
            ("top", json!({ "limit": "api", "n": 1001 }), "ask for 1 to 1000"),
        ] {
            let error = read(ask, fields.clone()).err().expect("refused");
            assert!(error.contains(said), "{ask} {fields}: {error}");
        }
    }
}
