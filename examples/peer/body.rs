//! Bodies: JSON objects and nothing else, and times as they stand in them.

use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use quorate_examples::sentence;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};

use crate::problem::Problem;

/// What has to be written as an object: an array of the fields' values, which serde takes for one,
/// says something else when a field is added.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(OfObject(deserializer)).map(Self)
    }
}

/// Reads a struct from an object only.
struct OfObject<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for OfObject<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Reads a body; whether its content type will do the door has said, for which `curl -d` is enough.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, Problem> {
    let Json(Object(value)) = Json::from_bytes(body).map_err(|error| {
        let what = match &error {
            JsonRejection::JsonDataError(_) => "the body is JSON, but does not fit",
            _ => "the body is not valid JSON",
        };
        // The cause alone: it names the field and the place.
        let cause = error.source().map(sentence).unwrap_or_default();
        Problem::bad_request(format!("{what}: {cause}; send {example}"))
    })?;
    Ok(value)
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
