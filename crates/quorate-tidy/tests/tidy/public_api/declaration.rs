//! What of a declaration its users see: no bodies, no private fields, no reasons.

use syn::{Attribute, Expr, Field, Fields, FnArg, Item, Lit, Meta, Pat, Signature, Visibility};

use crate::public_api::text::line;

/// A clause after what stands before it; nothing of one that is empty.
pub(crate) fn spaced(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" {text}") }
}

/// The fields of a struct as far as its declaration goes.
pub(crate) fn shape(fields: &Fields) -> String {
    match fields {
        Fields::Unit => String::new(),
        Fields::Named(fields) if fields.named.iter().all(|field| is_visible(&field.vis)) => {
            " { }".to_owned()
        }
        Fields::Named(_) => " { .. }".to_owned(),
        Fields::Unnamed(fields) => {
            let field = |field: &Field| match is_visible(&field.vis) {
                true => format!("pub {}", line(&field.ty)),
                false => "_".to_owned(),
            };
            format!("({})", fields.unnamed.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A signature, without what only the body sees.
pub(crate) fn signature(signature: &Signature) -> String {
    let mut bare = signature.clone();
    for input in &mut bare.inputs {
        match input {
            FnArg::Receiver(it) if it.reference.is_none() => it.mutability = None,
            FnArg::Receiver(_) => {}
            FnArg::Typed(it) => {
                if let Pat::Ident(pattern) = &mut *it.pat {
                    pattern.mutability = None;
                }
            }
        }
    }
    line(&bare)
}

/// What of its attributes is part of a declaration.
pub(crate) fn conditions(attributes: &[Attribute]) -> String {
    let mut said = String::new();
    for attribute in attributes {
        let name = attribute.path().get_ident().map(ToString::to_string).unwrap_or_default();
        if ["cfg", "deprecated", "must_use", "non_exhaustive"].contains(&&*name) {
            let bare = match &attribute.meta {
                // The reason is for readers.
                Meta::NameValue(it) if matches!(it.value, Expr::Lit(_)) => format!("#[{name}]"),
                _ => line(attribute),
            };
            said += &format!("{bare} ");
        }
    }
    said
}

/// What an attribute says if it is a line of documentation.
pub(crate) fn documentation(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(said) = &attribute.meta else { return None };
    match &said.value {
        Expr::Lit(it) if said.path.is_ident("doc") => match &it.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a line of documentation names a page of the repository, but as a link or its address.
pub(crate) fn leads_astray(line: &str) -> bool {
    line.contains("docs/") && !line.contains("[docs/") && !line.contains("/blob/main/docs/")
}

/// Whether all may name it who can name what it is in.
pub(crate) fn is_visible(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether an item is public in its module.
pub(crate) fn is_public(item: &Item) -> bool {
    match item {
        Item::Const(it) => is_visible(&it.vis),
        Item::Enum(it) => is_visible(&it.vis),
        Item::Fn(it) => is_visible(&it.vis),
        Item::Mod(it) => is_visible(&it.vis),
        Item::Static(it) => is_visible(&it.vis),
        Item::Struct(it) => is_visible(&it.vis),
        Item::Trait(it) => is_visible(&it.vis),
        Item::Type(it) => is_visible(&it.vis),
        Item::Use(it) => is_visible(&it.vis),
        _ => false,
    }
}
