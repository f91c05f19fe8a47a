//! A group that exists on paper: what each of its peers answers is written down, and what it was
//! asked is remembered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use quorate::transport::BoxFuture;
use serde_json::{Value, json};

use crate::door::{Door, DoorError, Doors};

/// The moment at which all of it is looked at, in milliseconds since the Unix epoch.
pub(crate) const NOW_MS: u64 = 1_796_043_845_123;

/// What is answered to an ask, by the word after `"ask"`.
type Answers = BTreeMap<String, Result<Value, DoorError>>;

/// Peers by their addresses.
#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    peers: BTreeMap<String, (String, Answers)>,
    kept_out: BTreeMap<String, DoorError>,
    asked: Vec<(String, Value)>,
}

impl Paper {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a peer with its status.
    pub(crate) fn peer(&self, address: &str, status: Value) -> &Self {
        let name = status["name"].as_str().unwrap_or_default().to_owned();
        let answers = Answers::from([("status".to_owned(), Ok(status))]);
        self.book().peers.insert(address.to_owned(), (name, answers));
        self
    }

    /// Says what the peer at an address answers to an ask.
    pub(crate) fn answers(
        &self,
        address: &str,
        ask: &str,
        answer: Result<Value, DoorError>,
    ) -> &Self {
        if let Some((_, answers)) = self.book().peers.get_mut(address) {
            answers.insert(ask.to_owned(), answer);
        }
        self
    }

    /// Says why nobody is let in at an address.
    pub(crate) fn keeps_out(&self, address: &str, error: DoorError) -> &Self {
        self.book().kept_out.insert(address.to_owned(), error);
        self
    }

    /// Lets in again at an address.
    pub(crate) fn lets_in(&self, address: &str) -> &Self {
        self.book().kept_out.remove(address);
        self
    }

    /// What was asked, and of whom, but for statuses.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        let asked = self.book().asked.clone();
        asked.into_iter().filter(|(_, ask)| ask["ask"] != "status").collect()
    }
}

impl Doors for Paper {
    fn open<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Box<dyn Door>, DoorError>> {
        let book = self.book();
        let opened = match (book.kept_out.get(address), book.peers.get(address)) {
            (Some(error), _) => Err(error.clone()),
            (None, Some((name, _))) => {
                let (name, address) = (name.clone(), address.to_owned());
                Ok(Box::new(Leaf { name, address, paper: self.clone() }) as Box<dyn Door>)
            }
            (None, None) => {
                let detail = format!("nobody listens at {address}");
                Err(DoorError::Unreachable { detail })
            }
        };
        Box::pin(std::future::ready(opened))
    }
}

/// A connection to one peer.
struct Leaf {
    name: String,
    address: String,
    paper: Paper,
}

impl Door for Leaf {
    fn peer(&self) -> &str {
        &self.name
    }

    fn ask<'a>(&'a mut self, ask: &'a Value) -> BoxFuture<'a, Result<Value, DoorError>> {
        let mut book = self.paper.book();
        book.asked.push((self.name.clone(), ask.clone()));
        let word = ask["ask"].as_str().unwrap_or_default();
        let unknown = || {
            let detail = format!("this peer knows no {word}");
            Err(DoorError::Refused { error: "unknown_ask".to_owned(), detail })
        };
        let answers = book.peers.get(&self.address).map(|(_, answers)| answers);
        let mut answer = answers.and_then(|answers| answers.get(word)).cloned();
        if let Some(Ok(Value::Object(answer))) = &mut answer
            && let Some(Value::Array(events)) = answer.get_mut("events")
        {
            events.retain(|event| event["number"].as_u64() > ask["since"].as_u64());
        }
        Box::pin(std::future::ready(answer.unwrap_or_else(unknown)))
    }
}

/// A healthy group of three, as its primary `a` sees it: `a`, `b` and `c` at ports 1, 2 and 3.
pub(crate) fn healthy() -> Value {
    json!({
        "name": "a", "group": "quota", "group_id": "00112233445566778899aabbccddeeff",
        "role": "primary", "generation": 1, "term": 4, "primary": "a", "quorum": true,
        "size": 3, "spare": 1, "storage": "memory", "storage_state": "memory", "mode": "strict",
        "position": {"generation": 1, "term": 4, "sequence": 65536}, "lag": 0,
        "is_counted": true, "is_current": true, "has_counted": true,
        "unreplicated_units": 3, "overlay_units": 0, "unacknowledged_units": 3,
        "cells": 830, "max_cells": 1_000_000, "bytes": 79_680, "max_bytes": 104_857_600,
        "fill": "roomy", "primary_silence_ms": 0, "waits_for": [], "tls": null,
        "certificate": null, "monitor": null, "lost": null,
        "members": [member("a", 1), member("b", 2), member("c", 3)],
        "peers": [replica("b", 2), replica("c", 3)],
        "refusals": [],
    })
}

/// A member in the list of a peer.
pub(crate) fn member(name: &str, port: u16) -> Value {
    json!({
        "name": name, "address": format!("127.0.0.1:{port}"), "is_counted": true,
        "silent_ms": 0, "is_stale": false,
    })
}

/// A replica, as its primary knows it.
pub(crate) fn replica(name: &str, port: u16) -> Value {
    json!({
        "name": name, "address": format!("127.0.0.1:{port}"), "link": "up",
        "protection": "plain", "certificate": null, "role": "replica", "kind": "member",
        "priority": 10, "lag": 0, "is_member": true, "suspects": false, "is_current": true,
        "is_stopping": false, "storage_failed": false, "reaches": [], "differs": [],
    })
}

/// What replica `name` says itself in that group.
pub(crate) fn of_replica(name: &str) -> Value {
    let mut status = healthy();
    let others = [("a", 1), ("b", 2), ("c", 3)].into_iter().filter(|(other, _)| *other != name);
    status["peers"] = others.map(|(other, port)| replica(other, port)).collect();
    status["peers"][0]["role"] = json!("primary");
    status["name"] = json!(name);
    status["role"] = json!("replica");
    status
}

/// What `a` says of that group when the two others are gone for good, at [`NOW_MS`].
pub(crate) fn alone() -> Value {
    let mut status = healthy();
    status["role"] = json!("replica");
    status["primary"] = Value::Null;
    status["quorum"] = json!(false);
    status["lost"] = json!({
        "waiting_for": ["b", "c"], "best": "a", "as_of_ms": NOW_MS, "would_force": null,
    });
    status
}

/// That one on paper, and nobody else.
pub(crate) fn without_quorum() -> Paper {
    let paper = Paper::default();
    let mut status = alone();
    status["spare"] = json!(0);
    for peer in status["peers"].as_array_mut().expect("a list") {
        peer["link"] = json!("down");
    }
    paper.peer("127.0.0.1:1", status);
    paper
}

/// All three on paper.
pub(crate) fn three() -> Paper {
    let paper = Paper::default();
    paper.peer("127.0.0.1:1", healthy());
    paper.peer("127.0.0.1:2", of_replica("b"));
    paper.peer("127.0.0.1:3", of_replica("c"));
    paper
}
