//! `macro_rules!` of the workspace that define items, expanded as far as they need it: one rule,
//! and repetitions that do not stand in each other.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use proc_macro2::{Group, Ident, Punct, Spacing, TokenStream, TokenTree};
use syn::Item;

use crate::public_api::krate::parsed;

/// Macros by name.
#[derive(Debug, Default)]
pub(crate) struct Macros(BTreeMap<String, Rule>);

/// What a macro takes, and what it makes of it.
#[derive(Debug)]
struct Rule {
    pattern: Vec<TokenTree>,
    body: TokenStream,
}

/// What the variables of a pattern stand for, each as often as it came.
type Bound = BTreeMap<String, Vec<TokenStream>>;

impl Macros {
    /// Adds those that a file defines.
    pub(crate) fn read(&mut self, file: &Path) {
        for item in parsed(file).items {
            let Item::Macro(item) = item else { continue };
            let Some(name) = &item.ident else { continue };
            let tokens: Vec<TokenTree> = item.mac.tokens.clone().into_iter().collect();
            // ( pattern ) => { body } ;
            if let [TokenTree::Group(pattern), _, _, TokenTree::Group(body), rest @ ..] =
                &tokens[..]
                && rest.len() <= 1
            {
                let pattern = pattern.stream().into_iter().collect();
                self.0.insert(name.to_string(), Rule { pattern, body: body.stream() });
            }
        }
    }

    /// What an item is, or the items that it makes if it calls a macro of these.
    pub(crate) fn expanded(&self, item: Item) -> Vec<Item> {
        let Item::Macro(call) = &item else { return vec![item] };
        let name = call.mac.path.segments.last().map(|last| last.ident.to_string());
        let is_definition = call.ident.is_some();
        let Some(rule) = name.and_then(|name| self.0.get(&name)).filter(|_| !is_definition) else {
            return vec![item];
        };
        let mut bound = Bound::new();
        let mut given = call.mac.tokens.clone().into_iter().collect::<Vec<_>>().into();
        let is_taken = take(&rule.pattern, &mut given, &mut bound) && given.is_empty();
        assert!(is_taken, "{} takes something else", rule.body);
        let made = filled(&rule.body, &bound, None);
        let file: syn::File = syn::parse2(made.clone()).unwrap_or_else(|e| panic!("{e}: {made}"));
        file.items
    }
}

/// What a macro is given and has not taken yet.
type Given = VecDeque<TokenTree>;

/// Takes what a pattern asks for from the front; whether it was there.
fn take(pattern: &[TokenTree], given: &mut Given, bound: &mut Bound) -> bool {
    let mut rest = pattern;
    loop {
        match rest {
            [] => return true,
            // $name:fragment
            [dollar, TokenTree::Ident(name), colon, TokenTree::Ident(fragment), after @ ..]
                if is_punct(dollar, '$') && is_punct(colon, ':') =>
            {
                let Some(taken) = fragment_of(fragment, given) else { return false };
                bound.entry(name.to_string()).or_default().push(taken);
                rest = after;
            }
            // $( .. ) separator? operator
            [dollar, TokenTree::Group(inner), after @ ..] if is_punct(dollar, '$') => {
                let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
                let (separator, after) = repetition(after);
                while !given.is_empty() {
                    let mut trial = given.clone();
                    let mut found = bound.clone();
                    if !take(&inner, &mut trial, &mut found) {
                        break;
                    }
                    (*given, *bound) = (trial, found);
                    let is_separated = separator
                        .is_some_and(|mark| given.front().is_some_and(|next| is_punct(next, mark)));
                    if separator.is_some() {
                        if !is_separated || given.len() == 1 {
                            break;
                        }
                        given.pop_front();
                    }
                }
                rest = after;
            }
            [TokenTree::Group(wanted), after @ ..] => {
                let Some(TokenTree::Group(found)) = given.pop_front() else { return false };
                let wanted: Vec<TokenTree> = wanted.stream().into_iter().collect();
                let mut within = found.stream().into_iter().collect();
                if !take(&wanted, &mut within, bound) {
                    return false;
                }
                rest = after;
            }
            [wanted, after @ ..] => {
                if given.front().is_none_or(|next| next.to_string() != wanted.to_string()) {
                    return false;
                }
                given.pop_front();
                rest = after;
            }
        }
    }
}

/// The separator of a repetition, if it has one, and what follows the repetition.
fn repetition(after: &[TokenTree]) -> (Option<char>, &[TokenTree]) {
    match after {
        [TokenTree::Punct(mark), rest @ ..] if "*+?".contains(mark.as_char()) => (None, rest),
        [TokenTree::Punct(mark), _, rest @ ..] => (Some(mark.as_char()), rest),
        _ => panic!("a repetition without an operator"),
    }
}

fn fragment_of(fragment: &Ident, given: &mut Given) -> Option<TokenStream> {
    match &*fragment.to_string() {
        // All that an attribute says.
        "meta" => Some(given.drain(..).collect()),
        "ty" => {
            let end = given.iter().position(|next| is_punct(next, ',')).unwrap_or(given.len());
            (end > 0).then(|| given.drain(..end).collect())
        }
        "ident" => match given.pop_front()? {
            name @ TokenTree::Ident(_) => Some(name.into()),
            _ => None,
        },
        _ => given.pop_front().map(TokenStream::from),
    }
}

/// A body with its variables filled in; in a repetition, with their values at this turn of it.
fn filled(body: &TokenStream, bound: &Bound, turn: Option<usize>) -> TokenStream {
    let tokens: Vec<TokenTree> = body.clone().into_iter().collect();
    let mut made = TokenStream::new();
    let mut rest = &tokens[..];
    loop {
        match rest {
            [] => return made,
            [dollar, TokenTree::Ident(name), after @ ..] if is_punct(dollar, '$') => {
                match bound.get(&name.to_string()) {
                    Some(values) => made.extend(values[turn.unwrap_or(0)].clone()),
                    None => made.extend([TokenTree::Ident(name.clone())]),
                }
                rest = after;
            }
            [dollar, TokenTree::Group(inner), after @ ..] if is_punct(dollar, '$') => {
                let (separator, after) = repetition(after);
                for turn in 0..turns(&inner.stream(), bound) {
                    if let Some(mark) = separator.filter(|_| turn > 0) {
                        made.extend([TokenTree::from(Punct::new(mark, Spacing::Alone))]);
                    }
                    made.extend(filled(&inner.stream(), bound, Some(turn)));
                }
                rest = after;
            }
            [TokenTree::Group(group), after @ ..] => {
                let inner = filled(&group.stream(), bound, turn);
                made.extend([TokenTree::from(Group::new(group.delimiter(), inner))]);
                rest = after;
            }
            [token, after @ ..] => {
                made.extend([token.clone()]);
                rest = after;
            }
        }
    }
}

/// How often a repetition comes: as often as the variables in it that came most seldom.
fn turns(inner: &TokenStream, bound: &Bound) -> usize {
    let mut least = None;
    count(inner, bound, &mut least);
    least.unwrap_or(0)
}

fn count(inner: &TokenStream, bound: &Bound, least: &mut Option<usize>) {
    let mut is_variable = false;
    for token in inner.clone() {
        match &token {
            TokenTree::Ident(name) if is_variable => {
                let times = bound.get(&name.to_string()).map(Vec::len);
                // What came once for all turns is no measure of them.
                *least = [*least, times].into_iter().flatten().min();
            }
            TokenTree::Group(group) => count(&group.stream(), bound, least),
            _ => {}
        }
        is_variable = is_punct(&token, '$');
    }
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}
