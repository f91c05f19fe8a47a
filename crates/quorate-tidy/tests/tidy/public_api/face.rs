//! The public face of a crate: all that is reachable from its root, a line for each declaration.

use std::collections::{BTreeMap, BTreeSet};

use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Fields, ImplItem, Item, ItemEnum, ItemImpl, ItemStruct, ItemTrait, Token, TraitItem,
};

use crate::public_api::declaration::{
    conditions, documentation, is_public, is_visible, leads_astray, shape, signature, spaced,
};
use crate::public_api::krate::{Krate, attributes, is_hidden};
use crate::public_api::names::{Id, Target, defined, imports, paths_in};
use crate::public_api::text::line;

/// What users of a crate can name.
pub(crate) struct Face<'a> {
    krate: &'a Krate,
    /// Items and the paths that lead to them from outside.
    paths: BTreeMap<Id, BTreeSet<String>>,
    /// Every declaration, a line each.
    pub(crate) lines: BTreeSet<String>,
    /// Paths whose documentation names a page that only the repository has.
    pub(crate) astray: BTreeSet<String>,
}

impl<'a> Face<'a> {
    /// The face of a crate.
    pub(crate) fn of(krate: &'a Krate) -> Self {
        let lines = BTreeSet::new();
        let mut face = Self { krate, paths: BTreeMap::new(), lines, astray: BTreeSet::new() };
        face.read_docs(&krate.name, &krate.attributes);
        face.walk(0, &krate.name, 0);
        face.declare_items();
        face.declare_impls();
        face
    }

    /// Looks whether documentation leads out of the package but by an address.
    fn read_docs(&mut self, path: &str, attributes: &[Attribute]) {
        let docs: Vec<String> = attributes.iter().filter_map(documentation).collect();
        if docs.iter().any(|line| leads_astray(line)) {
            self.astray.insert(path.to_owned());
        }
    }

    /// Finds what a module shows under a path.
    fn walk(&mut self, module: usize, path: &str, depth: usize) {
        assert!(depth < 16, "{path} shows itself");
        let krate = self.krate;
        for item in &krate.modules[module].items {
            let is_shown = is_public(item) && !is_hidden(attributes(item));
            if !is_shown {
                continue;
            }
            if let Some(name) = defined(item) {
                self.show(Id { module, name: name.clone() }, format!("{path}::{name}"));
            }
            if let Item::Mod(inner) = item {
                let name = inner.ident.to_string();
                let own = format!("{path}::{name}");
                self.add(&own, &inner.attrs, &format!("pub mod {name}"));
                self.walk(krate.modules[module].children[&name], &own, depth + 1);
            }
            for import in imports(item) {
                let own = format!("{path}::{}", import.name);
                match krate.target(module, &import.path) {
                    Some(Target::Item(id)) => self.show(id, own),
                    Some(Target::Module(inner)) if import.name == "*" => {
                        self.walk(inner, path, depth + 1);
                    }
                    Some(Target::Module(inner)) => self.walk(inner, &own, depth + 1),
                    None => {
                        self.lines.insert(format!("{own}: pub use {}", import.path.join("::")));
                    }
                }
            }
        }
    }

    fn show(&mut self, id: Id, path: String) {
        self.paths.entry(id).or_default().insert(path);
    }

    /// The path that an item is described under: the shortest.
    fn path(&self, id: &Id) -> Option<&String> {
        self.paths.get(id)?.iter().min_by_key(|path| (path.matches("::").count(), path.len()))
    }

    fn declare_items(&mut self) {
        for (id, paths) in self.paths.clone() {
            let own = self.path(&id).cloned().unwrap_or_default();
            for other in paths.iter().filter(|path| **path != own) {
                self.lines.insert(format!("{other}: pub use {own}"));
            }
            let krate = self.krate;
            let items = krate.modules[id.module].items.iter();
            for item in items.filter(|item| defined(item).is_some_and(|name| name == id.name)) {
                if is_public(item) && !is_hidden(attributes(item)) {
                    self.declare(&own, item);
                }
            }
        }
    }

    fn add(&mut self, path: &str, attributes: &[Attribute], declaration: &str) {
        self.read_docs(path, attributes);
        self.lines.insert(format!("{path}: {}{declaration}", conditions(attributes)));
    }

    fn declare(&mut self, path: &str, item: &Item) {
        self.derived(path, attributes(item));
        match item {
            Item::Const(it) => {
                let declared = format!("pub const {}: {}", it.ident, line(&it.ty));
                self.add(path, &it.attrs, &declared);
            }
            Item::Static(it) => {
                let declared = format!("pub static {}: {}", it.ident, line(&it.ty));
                self.add(path, &it.attrs, &declared);
            }
            Item::Type(it) => {
                let generics = line(&it.generics);
                let declared = format!("pub type {}{generics} = {}", it.ident, line(&it.ty));
                self.add(path, &it.attrs, &declared);
            }
            Item::Fn(it) => self.add(path, &it.attrs, &format!("pub {}", signature(&it.sig))),
            Item::Struct(it) => self.declare_struct(path, it),
            Item::Enum(it) => self.declare_enum(path, it),
            Item::Trait(it) => self.declare_trait(path, it),
            _ => {}
        }
    }

    fn declare_struct(&mut self, path: &str, it: &ItemStruct) {
        let (generics, bounds) = (line(&it.generics), line(&it.generics.where_clause));
        let fields = shape(&it.fields);
        let declared = format!("pub struct {}{generics}{fields}{}", it.ident, spaced(&bounds));
        self.add(path, &it.attrs, &declared);
        if let Fields::Named(fields) = &it.fields {
            for field in fields.named.iter().filter(|field| is_visible(&field.vis)) {
                let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
                let own = format!("{path}.{name}");
                self.add(&own, &field.attrs, &format!("pub {name}: {}", line(&field.ty)));
            }
        }
    }

    fn declare_enum(&mut self, path: &str, it: &ItemEnum) {
        let (generics, bounds) = (line(&it.generics), line(&it.generics.where_clause));
        let declared = format!("pub enum {}{generics}{}", it.ident, spaced(&bounds));
        self.add(path, &it.attrs, &declared);
        for variant in it.variants.iter().filter(|variant| !is_hidden(&variant.attrs)) {
            let mut bare = variant.clone();
            bare.attrs.clear();
            bare.fields.iter_mut().for_each(|field| field.attrs.clear());
            let own = format!("{path}::{}", variant.ident);
            self.add(&own, &variant.attrs, &line(&bare));
        }
    }

    fn declare_trait(&mut self, path: &str, it: &ItemTrait) {
        let mut head = it.clone();
        head.items.clear();
        head.attrs.clear();
        let declared = line(&head);
        self.add(path, &it.attrs, declared.trim_end_matches([' ', '{', '}']));
        it.items.iter().for_each(|item| self.declare_of_trait(path, item));
    }

    fn declare_of_trait(&mut self, path: &str, item: &TraitItem) {
        match item {
            TraitItem::Fn(it) if !is_hidden(&it.attrs) => {
                let provided = if it.default.is_some() { " { .. }" } else { "" };
                let own = format!("{path}::{}", it.sig.ident);
                self.add(&own, &it.attrs, &format!("{}{provided}", signature(&it.sig)));
            }
            TraitItem::Const(it) if !is_hidden(&it.attrs) => {
                let provided = if it.default.is_some() { " = .." } else { "" };
                let own = format!("{path}::{}", it.ident);
                let declared = format!("const {}: {}{provided}", it.ident, line(&it.ty));
                self.add(&own, &it.attrs, &declared);
            }
            TraitItem::Type(it) if !is_hidden(&it.attrs) => {
                let mut bare = it.clone();
                bare.attrs.clear();
                self.add(&format!("{path}::{}", it.ident), &it.attrs, &line(&bare));
            }
            _ => {}
        }
    }

    /// The traits that a type derives.
    fn derived(&mut self, path: &str, attributes: &[Attribute]) {
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
            let traits =
                attribute.parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated);
            for name in traits.expect("a list of traits") {
                let name = name.segments.last().map(|last| last.ident.to_string());
                self.lines.insert(format!("{path}: derives {}", name.unwrap_or_default()));
            }
        }
    }

    fn declare_impls(&mut self) {
        let krate = self.krate;
        for (module, defining) in krate.modules.iter().enumerate() {
            for item in &defining.items {
                if let Item::Impl(it) = item
                    && !is_hidden(&it.attrs)
                {
                    self.declare_impl(module, it);
                }
            }
        }
    }

    fn declare_impl(&mut self, module: usize, it: &ItemImpl) {
        let own = self.named(module, &it.self_ty);
        let Some((_, of, _)) = &it.trait_ else {
            if let Some(path) = own.first().and_then(|id| self.path(id)).cloned() {
                it.items.iter().for_each(|item| self.declare_of_type(&path, item));
            }
            return;
        };
        // Of what is known here, all has to be nameable; and something has to be known.
        let named = [own, self.named(module, of)].concat();
        let paths: Option<Vec<String>> = named.iter().map(|id| self.path(id).cloned()).collect();
        let Some(path) = paths.and_then(|paths| paths.into_iter().next()) else { return };
        let mut types = String::new();
        for item in &it.items {
            if let ImplItem::Type(it) = item {
                types += &format!(" type {} = {};", it.ident, line(&it.ty));
            }
        }
        let (generics, bounds) = (line(&it.generics), line(&it.generics.where_clause));
        let head = format!("impl{generics} {} for {}", line(of), line(&it.self_ty));
        let types = if types.is_empty() { types } else { format!(" {{{types} }}") };
        self.add(&path, &it.attrs, &format!("{head}{}{types}", spaced(&bounds)));
    }

    fn declare_of_type(&mut self, path: &str, item: &ImplItem) {
        match item {
            ImplItem::Fn(it) if is_visible(&it.vis) && !is_hidden(&it.attrs) => {
                let own = format!("{path}::{}", it.sig.ident);
                self.add(&own, &it.attrs, &format!("pub {}", signature(&it.sig)));
            }
            ImplItem::Const(it) if is_visible(&it.vis) && !is_hidden(&it.attrs) => {
                let own = format!("{path}::{}", it.ident);
                let declared = format!("pub const {}: {}", it.ident, line(&it.ty));
                self.add(&own, &it.attrs, &declared);
            }
            _ => {}
        }
    }

    /// The items of this crate that a type or a path names, the outermost first.
    fn named(&self, module: usize, syntax: &impl ToTokens) -> Vec<Id> {
        let paths = paths_in(syntax.to_token_stream());
        let targets = paths.iter().filter_map(|path| self.krate.target(module, path));
        let items = targets.filter_map(|target| match target {
            Target::Item(id) => Some(id),
            Target::Module(_) => None,
        });
        items.collect()
    }
}
