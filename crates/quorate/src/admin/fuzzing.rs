//! The body of a fuzz target, which a test also runs on the committed corpus.

use super::answer::{Answer, Effect, Refused};
use super::ask::Ask;
use super::document::Document;

/// Any bytes are an ask, which is written and read the same, or are refused with a sentence; any
/// bytes are an answer, or none.
pub fn asks(data: &[u8]) {
    let _ = Answer::read(data);
    let document = match Document::read(data) {
        Ok(document) => document,
        Err(refused) => return is_good(&refused),
    };
    match Ask::read(&document) {
        Some(Ok(ask)) => {
            let written = serde_json::to_vec(&ask).expect("it is plain");
            let again = Document::read(&written).expect("it has been written");
            assert_eq!(Ask::read(&again), Some(Ok(ask)));
        }
        Some(Err(refused)) => is_good(&refused),
        // It is for somebody else.
        None => {}
    }
}

fn is_good(refused: &Refused) {
    assert_eq!((&*refused.error, refused.effect), ("bad_request", Effect::None));
    assert!(!refused.detail.is_empty());
}
