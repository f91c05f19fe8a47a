//! An ask as it comes: an object with the name of the ask, and its fields.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::admin::answer::Refused;

/// The field that names an ask.
const ASK: &str = "ask";

/// The name of an ask, and its fields, unread.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) ask: String,
    pub(crate) fields: Map<String, Value>,
}

impl Document {
    /// Reads a document. Its length is bounded where it comes from; serde_json bounds its depth.
    ///
    /// # Errors
    ///
    /// If it is no JSON, no object, names no ask, or has a field twice.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Refused> {
        serde_json::from_slice(bytes).map_err(|error| {
            let what = match error.is_data() {
                true => "the document does not fit",
                false => "the document is not valid JSON",
            };
            Refused::bad_request(format!("{what}: {error}; send {{\"ask\":\"status\"}}"))
        })
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfDocument)
    }
}

struct OfDocument;

impl<'de> Visitor<'de> for OfDocument {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the field \"ask\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value: Value = map.next_value()?;
            // One of the two would count, and nobody could tell which.
            if fields.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("the field {name:?} is there twice")));
            }
        }
        match fields.remove(ASK) {
            Some(Value::String(ask)) => Ok(Document { ask, fields }),
            Some(_) => Err(A::Error::custom("the field \"ask\" is a text, like \"status\"")),
            None => Err(A::Error::missing_field(ASK)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(text: &str) -> String {
        let refused = Document::read(text.as_bytes()).expect_err("refused");
        assert_eq!(refused.error, "bad_request");
        refused.detail
    }

    #[test]
    fn a_document_is_an_ask_and_its_fields() {
        let read = Document::read(br#" {"to":"b","ask":"switch"} "#).expect("usable");
        assert_eq!(read.ask, "switch");
        assert_eq!(Value::Object(read.fields), json!({ "to": "b" }));
    }

    #[test]
    fn what_is_no_document_is_refused_with_the_reason() {
        for (text, said) in [
            ("", "not valid JSON"),
            ("status", "not valid JSON"),
            (r#"{"ask":"status"} {}"#, "not valid JSON"),
            (r#"["status"]"#, "does not fit"),
            (r#""status""#, "does not fit"),
            ("{}", "missing field `ask`"),
            (r#"{"ask":7}"#, "is a text"),
            (r#"{"ask":"status","ask":"leave"}"#, "\"ask\" is there twice"),
            (r#"{"ask":"forget","peer":"b","peer":"c"}"#, "\"peer\" is there twice"),
        ] {
            let detail = refused(text);
            assert!(detail.contains(said), "{text}: {detail}");
        }
        assert!(Document::read(b"{\"ask\":\"\xff\"}").is_err(), "not UTF-8");
    }

    #[test]
    fn a_document_that_is_deep_is_refused_and_takes_no_stack() {
        let deep = format!(r#"{{"ask":"status","x":{}"#, "[".repeat(60_000));
        assert!(refused(&deep).contains("recursion limit"));
    }
}
