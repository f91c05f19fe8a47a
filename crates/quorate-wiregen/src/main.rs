//! Writes the generated half of the wire module; see the library of this crate.

use std::{fs, io};

fn main() -> io::Result<()> {
    fs::write(quorate_wiregen::generated_path(), quorate_wiregen::generate()?)
}
