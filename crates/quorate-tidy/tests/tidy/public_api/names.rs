//! What a name in a module stands for, through imports and public uses.

use std::mem;

use proc_macro2::{TokenStream, TokenTree};
use syn::{Item, UseTree};

use crate::public_api::krate::Krate;

/// Imports that lead on, at most: a circle of them ends there.
const MAX_STEPS: usize = 16;

/// An item, by the module that defines it and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) module: usize,
    pub(crate) name: String,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Item(Id),
    Module(usize),
}

/// A name that a `use` brings, and its path; the name is `*` for all that the path has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
}

impl Krate {
    /// What a path leads to from a module; `None` if out of the crate.
    pub(crate) fn target(&self, module: usize, path: &[String]) -> Option<Target> {
        self.follow(module, path, MAX_STEPS)
    }

    fn follow(&self, module: usize, path: &[String], steps: usize) -> Option<Target> {
        let steps = steps.checked_sub(1)?;
        let (first, mut rest) = path.split_first()?;
        let mut target = match first.as_str() {
            "crate" => Target::Module(0),
            "self" => Target::Module(module),
            "super" => Target::Module(self.modules[module].parent),
            name => self.look_up(module, name, steps)?,
        };
        while let (Target::Module(inner), Some((next, after))) = (&target, rest.split_first()) {
            target = match next.as_str() {
                "super" => Target::Module(self.modules[*inner].parent),
                name => self.look_up(*inner, name, steps)?,
            };
            rest = after;
        }
        // What stands behind a type is of the type: a variant, a constant.
        Some(target)
    }

    fn look_up(&self, module: usize, name: &str, steps: usize) -> Option<Target> {
        let Self { modules, .. } = self;
        if modules[module].items.iter().any(|item| defined(item).is_some_and(|own| own == name)) {
            return Some(Target::Item(Id { module, name: name.to_owned() }));
        }
        if let Some(child) = modules[module].children.get(name) {
            return Some(Target::Module(*child));
        }
        let imports: Vec<Import> = modules[module].items.iter().flat_map(imports).collect();
        let named = imports.iter().filter(|import| import.name == name);
        let mut all = imports.iter().filter(|import| import.name == "*");
        named.filter_map(|import| self.follow(module, &import.path, steps)).next().or_else(|| {
            all.find_map(|import| match self.follow(module, &import.path, steps)? {
                Target::Module(inner) if inner != module => self.look_up(inner, name, steps - 1),
                _ => None,
            })
        })
    }
}

/// The name that an item defines, but for modules.
pub(crate) fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(it) => &it.ident,
        Item::Enum(it) => &it.ident,
        Item::Fn(it) => &it.sig.ident,
        Item::Static(it) => &it.ident,
        Item::Struct(it) => &it.ident,
        Item::Trait(it) => &it.ident,
        Item::Type(it) => &it.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// The names that an item imports.
pub(crate) fn imports(item: &Item) -> Vec<Import> {
    let mut found = Vec::new();
    if let Item::Use(item) = item {
        spread(&item.tree, &mut Vec::new(), &mut found);
    }
    found
}

fn spread(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<Import>) {
    match tree {
        UseTree::Path(it) => {
            path.push(it.ident.to_string());
            spread(&it.tree, path, found);
            path.pop();
        }
        UseTree::Group(it) => it.items.iter().for_each(|tree| spread(tree, path, found)),
        UseTree::Glob(_) => found.push(Import { name: "*".to_owned(), path: path.clone() }),
        UseTree::Name(it) => leaf(&it.ident.to_string(), None, path, found),
        UseTree::Rename(it) => {
            leaf(&it.ident.to_string(), Some(it.rename.to_string()), path, found);
        }
    }
}

fn leaf(name: &str, rename: Option<String>, path: &[String], found: &mut Vec<Import>) {
    let mut path = path.to_vec();
    // `use a::{self}` brings `a`.
    if name != "self" {
        path.push(name.to_owned());
    }
    let last = path.last().cloned().unwrap_or_default();
    found.push(Import { name: rename.unwrap_or(last), path });
}

/// All paths in some tokens.
pub(crate) fn paths_in(tokens: TokenStream) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut path: Vec<String> = Vec::new();
    // Marks since the last name: two colons lead on, anything else ends a path.
    let mut marks = String::new();
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                if marks != "::" {
                    found.push(mem::take(&mut path));
                }
                path.push(name.to_string());
                marks.clear();
            }
            TokenTree::Group(group) => {
                found.extend(paths_in(group.stream()));
                marks.push(' ');
            }
            mark => marks += &mark.to_string(),
        }
    }
    found.push(path);
    found.retain(|path| !path.is_empty());
    found
}
