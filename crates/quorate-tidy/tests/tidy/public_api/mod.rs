//! The public face of every published crate, held against a list of it.
//!
//! The list is made from the sources and not by the compiler: types stand in it as they are
//! written, and what is public under several paths is described under the shortest of them.

mod declaration;
mod face;
mod krate;
mod macros;
mod names;
mod text;

use std::collections::BTreeSet;
use std::fs;

use crate::public_api::face::Face;
use crate::public_api::krate::Krate;
use crate::public_api::macros::Macros;
use crate::source::{root, sources};

/// The crates that are published.
const CRATES: [&str; 4] = ["quorate", "quorate-ratelimit", "quorate-tls", "quorate-tower"];

/// Set to anything, it has the lists written anew.
const UPDATE: &str = "UPDATE_PUBLIC_API";

fn macros() -> Macros {
    let mut macros = Macros::default();
    for source in sources().iter().filter(|source| source.krate().is_some()) {
        if source.text.contains("macro_rules!") {
            macros.read(&root().join(&source.path));
        }
    }
    macros
}

#[test]
fn the_public_api_is_what_its_lists_say() {
    let macros = macros();
    let mut wrong = Vec::new();
    for name in CRATES {
        let folder = root().join("crates").join(name);
        let krate = Krate::read(&folder, &macros);
        let lines: Vec<String> = Face::of(&krate).lines.into_iter().collect();
        assert!(lines.len() > 20, "the face of {name} is not found: {lines:?}");
        let file = folder.join("public-api.txt");
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&file, lines.join("\n") + "\n").expect("the list is written");
            continue;
        }
        let text = fs::read_to_string(&file).unwrap_or_default();
        let listed: BTreeSet<&str> = text.lines().collect();
        let found: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
        wrong.extend(listed.difference(&found).map(|line| format!("- {line}")));
        wrong.extend(found.difference(&listed).map(|line| format!("+ {line}")));
    }
    assert!(
        wrong.is_empty(),
        "the public API is another:\n{}\nIf that is meant: {UPDATE}=1 cargo test -p quorate-tidy \
         public_api, and an entry in CHANGELOG.md",
        wrong.join("\n")
    );
}

/// Whoever reads it on docs.rs has no folder `docs`.
#[test]
fn documentation_of_the_core_names_pages_by_their_address() {
    let krate = Krate::read(&root().join("crates/quorate"), &macros());
    let astray = Face::of(&krate).astray;
    assert!(astray.is_empty(), "these name a page that users do not have: {astray:?}");
}

#[test]
fn a_face_has_what_can_be_named_and_nothing_else() {
    let folder = std::env::temp_dir().join(format!("quorate-face-{}", std::process::id()));
    fs::create_dir_all(folder.join("src")).expect("a folder for temporary files");
    let source = r#"
        mod inner {
            /// A number.
            #[derive(Clone, Debug)]
            #[non_exhaustive]
            pub struct Shown { pub(crate) hidden: u8, pub field: Vec<u8> }
            impl Shown {
                pub fn get<'a>(&'a mut self, mut key: impl Fn(&str) -> bool) -> Option<&'a [u8]>
                where
                    Self: Sized,
                { None }
                pub(crate) fn not(&self) {}
                #[doc(hidden)]
                pub fn nor(&self) {}
            }
            impl PartialEq<str> for Shown { fn eq(&self, _: &str) -> bool { true } }
            impl Iterator for Shown { type Item = u8; fn next(&mut self) -> Option<u8> { None } }
            impl Clone for Private { fn clone(&self) -> Self { Self } }
            pub struct Private;
            #[doc(hidden)]
            pub struct Hidden;
        }
        pub use inner::{Hidden, Shown as Renamed};
        pub mod outer {
            pub use crate::Renamed;
            /// As of docs/wire.md.
            pub enum Choice { One, Two { of: u8 }, #[doc(hidden)] Three }
            /// As of [docs/wire.md](https://example.org/blob/main/docs/wire.md).
            pub trait Able { type Error; fn must(&self); fn may(&self) {} }
            #[cfg(test)]
            pub fn only_in_tests() {}
        }
        pub use std::fmt;
        macro_rules! number { ($(#[$doc:meta])* $name:ident) => { pub struct $name(pub u64); }; }
        number! { /// Counted.
        Count }
    "#;
    fs::write(folder.join("src/lib.rs"), source).expect("written");
    let mut macros = Macros::default();
    macros.read(&folder.join("src/lib.rs"));
    let mut krate = Krate::read(&folder, &macros);
    "k".clone_into(&mut krate.name);
    fs::remove_dir_all(&folder).expect("it is there");
    let expected = [
        "k::Count: pub struct Count(pub u64)",
        "k::Renamed.field: pub field: Vec<u8>",
        "k::Renamed: #[non_exhaustive] pub struct Shown { .. }",
        "k::Renamed: derives Clone",
        "k::Renamed: derives Debug",
        "k::Renamed: impl Iterator for Shown { type Item = u8; }",
        "k::Renamed: impl PartialEq<str> for Shown",
        "k::Renamed::get: pub fn get<'a>(&'a mut self, key: impl Fn(&str) -> bool) \
         -> Option<&'a [u8]> where Self: Sized",
        "k::fmt: pub use std::fmt",
        "k::outer: pub mod outer",
        "k::outer::Able: pub trait Able",
        "k::outer::Able::Error: type Error;",
        "k::outer::Able::may: fn may(&self) { .. }",
        "k::outer::Able::must: fn must(&self)",
        "k::outer::Choice: pub enum Choice",
        "k::outer::Choice::One: One",
        "k::outer::Choice::Two: Two { of: u8 }",
        "k::outer::Renamed: pub use k::Renamed",
    ];
    let face = Face::of(&krate);
    assert_eq!(face.lines.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(face.astray.into_iter().collect::<Vec<_>>(), ["k::outer::Choice"]);
}
