//! The files of docs/deploy start this program: their arguments are read as it reads its own, and
//! what else they say of it (ports, probes, times) is held against that.

mod kubernetes;
mod plain;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use yaml_rust2::{Yaml, YamlLoader};

use crate::Options;

/// What a peer needs beside the failure timeout to end in good order: the requests under way, the
/// hand-over, its files.
const TO_END: Duration = Duration::from_secs(15);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deploy")
}

fn file(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a file.
fn documents(text: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The value at the end of a path like `spec/template`.
fn at<'y>(value: &'y Yaml, path: &str) -> &'y Yaml {
    path.split('/').fold(value, |value, name| &value[name])
}

fn text<'y>(value: &'y Yaml, path: &str) -> &'y str {
    at(value, path).as_str().unwrap_or_else(|| panic!("no text {path} in {value:?}"))
}

fn number(value: &Yaml, path: &str) -> i64 {
    at(value, path).as_i64().unwrap_or_else(|| panic!("no number {path} in {value:?}"))
}

fn list<'y>(value: &'y Yaml, path: &str) -> &'y [Yaml] {
    at(value, path).as_vec().unwrap_or_else(|| panic!("no list {path} in {value:?}"))
}

/// A list that may be left out.
fn optional<'y>(value: &'y Yaml, path: &str) -> &'y [Yaml] {
    at(value, path).as_vec().map_or(&[], Vec::as_slice)
}

fn texts(value: &Yaml, path: &str) -> Vec<String> {
    let texts = list(value, path).iter().map(|text| text.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().unwrap_or_else(|| panic!("{path} is not all text: {value:?}"))
}

/// Reads arguments as the program does when it starts.
fn options(arguments: &[String]) -> Options {
    let all = ["peer".to_owned()].into_iter().chain(arguments.iter().cloned());
    let options =
        Options::try_parse_from(all).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    crate::check(&options).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    options
}

/// How long a peer may take to end.
fn time_to_end(options: &Options) -> Duration {
    let leaving = if options.leave_on_stop { options.io_timeout } else { Duration::ZERO };
    options.failure_timeout + TO_END + leaving
}

fn port(address: &str) -> i64 {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or_else(|| panic!("no port in {address}"))
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// Where a peer listens for the others.
fn listens(options: &Options) -> &str {
    let own = || options.peers.iter().find(|(name, _)| *name == options.name);
    let own = options.listen.as_deref().or_else(|| own().map(|(_, address)| address.as_str()));
    own.unwrap_or_else(|| panic!("{} listens nowhere", options.name))
}

/// Every list of founders names this peer, and nobody twice.
fn check_founders(options: &Options) {
    let mut names: Vec<&str> = options.peers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&options.name.as_str()), "{} is not in {names:?}", options.name);
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
}

/// The image is nobody's: whoever forgets to put one in its place pulls none.
fn check_image(image: &str) {
    assert!(image.starts_with("registry.example/your-"), "{image}");
}
