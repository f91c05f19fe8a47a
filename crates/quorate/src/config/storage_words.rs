//! Storage and sync policies as text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::storage::{Storage, SyncPolicy};
use crate::words::{UnknownWord, Written, duration, read};

const EVERY_BATCH: &str = "every-batch";
const OS: &str = "os";
const MEMORY: &str = "memory";
/// The words before a directory, and before the sync policy behind it.
const DISK: &str = "disk:";
const SYNC: &str = ",sync=";

/// Written as `every-batch`, `os`, or the longest time between two syncs, like `1s`.
impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryBatch => f.pad(EVERY_BATCH),
            Self::Os => f.pad(OS),
            Self::Every(interval) => Written(*interval).fmt(f),
        }
    }
}

impl FromStr for SyncPolicy {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let known = "every-batch, os, or the longest time between two syncs, like 1s or 500ms";
        match word {
            EVERY_BATCH => Ok(Self::EveryBatch),
            OS => Ok(Self::Os),
            time => duration(time)
                .map(Self::Every)
                .map_err(|_| UnknownWord::new("sync policy", word, known)),
        }
    }
}

impl Serialize for SyncPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SyncPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

/// Written as `memory`, or `disk:DIR,sync=POLICY`; what is no UTF-8 in a directory is shown as far
/// as it can be.
impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.pad(MEMORY),
            Self::Disk { dir, sync } => write!(f, "{DISK}{}{SYNC}{sync}", dir.display()),
        }
    }
}

/// Read from `memory`, `disk:DIR` or `disk:DIR,sync=POLICY`.
impl FromStr for Storage {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let unknown = || {
            let known = "memory or disk:DIR, or with a sync policy disk:DIR,sync=1s";
            UnknownWord::new("storage", word, known)
        };
        if word == MEMORY {
            return Ok(Self::Memory);
        }
        let disk = word.strip_prefix(DISK).ok_or_else(unknown)?;
        let (dir, sync) = match disk.rsplit_once(SYNC) {
            Some((dir, sync)) => (dir, sync.parse()?),
            None => (disk, SyncPolicy::default()),
        };
        if dir.is_empty() {
            return Err(unknown());
        }
        Ok(Self::Disk { dir: dir.into(), sync })
    }
}

/// Storage on disk as a table.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    dir: PathBuf,
    #[serde(default)]
    sync: SyncPolicy,
}

/// Written as `memory`, or a table with `dir` and `sync`.
impl Serialize for Storage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Memory => serializer.serialize_str(MEMORY),
            Self::Disk { dir, sync } => {
                Disk { dir: dir.clone(), sync: *sync }.serialize(serializer)
            }
        }
    }
}

/// Read from text, or from a table with `dir` and, if it is not the default, `sync`.
impl<'de> Deserialize<'de> for Storage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Storage;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("memory, disk:DIR, or a table with dir and sync")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Storage, E> {
                word.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Storage, A::Error> {
                let Disk { dir, sync } = Disk::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Storage::Disk { dir, sync })
            }
        }

        deserializer.deserialize_any(Written)
    }
}
