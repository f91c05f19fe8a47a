//! Writes `crates/quorate/src/wire/generated.rs` from `crates/quorate/proto/quorate.proto`.
//!
//! The generated file is committed, so that nobody who builds the library needs a protobuf
//! compiler. `cargo run -p quorate-wiregen` writes it anew; a test of this crate fails while the
//! committed file is not what would be written.

use std::io;
use std::path::{Path, PathBuf};

use prost_build::{Config, Module};

/// What stands above the generated code.
const HEADER: &str = "\
// Written by `cargo run -p quorate-wiregen` from proto/quorate.proto: change that file instead.

";

/// Where the generated file is committed.
pub fn generated_path() -> PathBuf {
    library().join("src/wire/generated.rs")
}

/// The text of the generated file.
///
/// # Errors
///
/// If the proto file cannot be read or is not valid; nothing was written.
pub fn generate() -> io::Result<String> {
    let folder = library().join("proto");
    let set = protox::compile(["quorate.proto"], [folder]).map_err(io::Error::other)?;
    let files = set
        .file
        .into_iter()
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    // Keys and group ids stay slices of the frame they came in.
    let modules = Config::new().bytes(["."]).generate(files)?;
    Ok(modules.into_values().fold(HEADER.to_owned(), |text, module| text + &module))
}

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../quorate")
}
