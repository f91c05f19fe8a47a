//! A JSON document of a peer of any version: what is absent, or of another type, is unknown.

use serde_json::Value;

use crate::text::clean::clean;

/// Entries of one list that are looked at.
const MAX_LISTED: usize = 1024;

/// A part of a document, or nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document<'a>(Option<&'a Value>);

impl<'a> Document<'a> {
    pub(crate) fn of(value: &'a Value) -> Self {
        Self(Some(value).filter(|value| !value.is_null()))
    }

    pub(crate) fn at(self, key: &str) -> Self {
        Self(self.0.and_then(|value| value.get(key)).filter(|value| !value.is_null()))
    }

    /// Returns true if it is there, and not `null`.
    pub(crate) fn is_there(self) -> bool {
        self.0.is_some()
    }

    /// The text under a key, fit for a terminal.
    pub(crate) fn text(self, key: &str) -> Option<String> {
        self.at(key).0?.as_str().map(clean)
    }

    pub(crate) fn number(self, key: &str) -> Option<u64> {
        self.at(key).0?.as_u64()
    }

    pub(crate) fn flag(self, key: &str) -> Option<bool> {
        self.at(key).0?.as_bool()
    }

    /// The entries of a list; none if there is no list.
    pub(crate) fn list(self, key: &str) -> impl Iterator<Item = Self> + use<'a> {
        let list = self.at(key).0.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        list.iter().take(MAX_LISTED).map(Self::of)
    }

    /// The texts of a list.
    pub(crate) fn texts(self, key: &str) -> Vec<String> {
        self.list(key).filter_map(|entry| entry.0?.as_str().map(clean)).collect()
    }

    /// The numbers of a list.
    pub(crate) fn numbers(self, key: &str) -> Vec<u64> {
        self.list(key).filter_map(|entry| entry.0?.as_u64()).collect()
    }

    /// The entries of an object, under their names as they are.
    pub(crate) fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        let object = self.0.and_then(Value::as_object).into_iter().flatten();
        object.take(MAX_LISTED).map(|(name, value)| (name.as_str(), Self::of(value)))
    }

    /// The value in one line, a text without its quotes.
    pub(crate) fn shown(self) -> String {
        match self.0 {
            None => "-".to_owned(),
            Some(Value::String(text)) => clean(text),
            Some(value) => clean(&value.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_absent_or_of_another_type_is_unknown() {
        let value = json!({"a": "x", "n": 3, "no": null, "list": ["p", 4, "q"]});
        let document = Document::of(&value);
        assert_eq!(document.text("a").as_deref(), Some("x"));
        assert_eq!(document.number("a"), None);
        assert_eq!(document.number("n"), Some(3));
        assert!(!document.at("no").is_there());
        assert_eq!(document.at("no").at("deeper").text("still"), None);
        assert_eq!(document.texts("list"), ["p", "q"]);
        assert_eq!(document.texts("n"), Vec::<String>::new());
        assert_eq!(Document::of(&Value::Null).text("a"), None);
    }

    #[test]
    fn text_is_made_fit_for_a_terminal() {
        let value = json!({"a": "x\u{1b}[1my"});
        assert_eq!(Document::of(&value).text("a").as_deref(), Some("x\u{fffd}[1my"));
        assert_eq!(Document::of(&value).shown(), r#"{"a":"x\u001b[1my"}"#);
    }
}
