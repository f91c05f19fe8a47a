//! A crate as its modules, read from its sources, with the macros of its own expanded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item};

use crate::public_api::macros::Macros;

/// A module and what it defines, but for tests.
pub(crate) struct Module {
    /// Its place among the modules.
    pub(crate) parent: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) children: BTreeMap<String, usize>,
}

/// The modules of a crate; the first is its root.
pub(crate) struct Krate {
    pub(crate) name: String,
    /// What its root says of itself.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) modules: Vec<Module>,
}

impl Krate {
    /// Reads the crate of this folder under `crates`.
    pub(crate) fn read(folder: &Path, macros: &Macros) -> Self {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
        let root = folder.join("src/lib.rs");
        let file = parsed(&root);
        let mut krate = Self { name, attributes: file.attrs, modules: Vec::new() };
        krate.add(0, file.items, &Place::of_file(&root), macros);
        krate
    }

    /// Adds a module and those in it; its place.
    fn add(&mut self, parent: usize, items: Vec<Item>, place: &Place, macros: &Macros) -> usize {
        let own = self.modules.len();
        self.modules.push(Module { parent, items: Vec::new(), children: BTreeMap::new() });
        for item in items.into_iter().flat_map(|item| macros.expanded(item)) {
            if is_for_tests(attributes(&item)) {
                continue;
            }
            let Item::Mod(mut module) = item else {
                self.modules[own].items.push(item);
                continue;
            };
            let name = module.ident.to_string();
            let (inner, place) = match module.content.take() {
                Some((_, items)) => (items, Place { folder: place.folder.join(&name) }),
                None => {
                    let path = place.file_of(&name);
                    let file = parsed(&path);
                    module.attrs.extend(file.attrs);
                    (file.items, Place::of_file(&path))
                }
            };
            let child = self.add(own, inner, &place, macros);
            self.modules[own].children.insert(name, child);
            self.modules[own].items.push(Item::Mod(module));
        }
        own
    }
}

/// Where the files of a module's children are.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn of_file(file: &Path) -> Self {
        let folder = file.parent().unwrap_or(file).to_owned();
        let stem = file.file_stem().unwrap_or_default();
        if ["lib", "mod"].iter().any(|name| stem == *name) {
            return Self { folder };
        }
        Self { folder: folder.join(stem) }
    }

    fn file_of(&self, child: &str) -> PathBuf {
        let file = self.folder.join(format!("{child}.rs"));
        if file.exists() { file } else { self.folder.join(child).join("mod.rs") }
    }
}

/// A file of Rust.
pub(crate) fn parsed(file: &Path) -> syn::File {
    let text = std::fs::read_to_string(file);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The attributes of an item.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

/// Whether an attribute says `#[cfg(test)]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

/// Whether an attribute says `#[doc(hidden)]`.
pub(crate) fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("doc")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "hidden")
    })
}
