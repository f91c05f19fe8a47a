//! The demand of a request: what it asks for, by all rules that apply to it.

use std::sync::Arc;

use http::request::Parts;
use quorate_ratelimit::Key;

use crate::key::NoKey;
use crate::refusal::Reason;
use crate::rule::{MissingKey, MissingLimit, Rule};

/// An amount of one key under one limit, asked for by at least one rule.
pub(crate) struct Item {
    pub(crate) limit: Arc<str>,
    pub(crate) key: Vec<u8>,
    pub(crate) amount: u64,
    /// The parts of the amount, one for each rule that asks for some: nearly always one.
    pub(crate) shares: Vec<Share>,
}

/// The part of an item that one rule asks for.
pub(crate) struct Share {
    /// The rule, by its place in the layer.
    pub(crate) rule: usize,
    pub(crate) units: u64,
}

impl Item {
    /// The rules that ask for it.
    fn rules<'r>(&self, rules: &'r [Rule]) -> impl Iterator<Item = &'r Rule> {
        self.shares.iter().map(|share| &rules[share.rule])
    }

    /// Returns true if the response tells what it costs.
    pub(crate) fn is_reserved(&self, rules: &[Rule]) -> bool {
        self.rules(rules).any(Rule::reserves)
    }

    /// Returns true if all rules that ask for it go without a limit that is missing. Where one of
    /// them refuses, the request does not pass without it.
    pub(crate) fn is_skipped_without_limit(&self, rules: &[Rule]) -> bool {
        self.rules(rules).all(|rule| rule.on_missing_limit() == MissingLimit::Skip)
    }

    /// Returns true if the name of its limit was chosen for this request.
    pub(crate) fn has_chosen_limit(&self, rules: &[Rule]) -> bool {
        self.rules(rules).any(|rule| rule.fixed_limit().is_none())
    }

    /// Returns true if the response says whether it counts.
    pub(crate) fn may_be_given_back(&self, rules: &[Rule]) -> bool {
        self.rules(rules).any(Rule::may_give_back)
    }
}

/// Collects the items of a request; none if no rule applies.
///
/// Two rules with the same limit that find the same key ask for the sum.
pub(crate) fn items_of(rules: &[Rule], request: &Parts) -> Result<Vec<Item>, Reason> {
    let mut items: Vec<Item> = Vec::new();
    for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.applies_to(request)) {
        let units = rule.units_of(request);
        // What is reserved costs something later, even where nothing is taken before.
        if units == 0 && !rule.reserves() {
            continue;
        }
        let Some(limit) = rule.limit_of(request) else { continue };
        let Some(key) = key_of(rule, &limit, request)? else { continue };
        match items.iter_mut().find(|item| item.limit == limit && item.key == key) {
            Some(item) => {
                item.amount = item.amount.saturating_add(units);
                item.shares.push(Share { rule: place, units });
            }
            None => {
                let shares = vec![Share { rule: place, units }];
                items.push(Item { limit, key, amount: units, shares });
            }
        }
    }
    Ok(items)
}

fn key_of(rule: &Rule, limit: &Arc<str>, request: &Parts) -> Result<Option<Vec<u8>>, Reason> {
    let limit = || limit.clone();
    match (rule.extractor().key(request), rule.on_missing_key()) {
        // Whatever happens without a key: one that is too long is refused, for a caller can send
        // it.
        (Ok(key), _) if key.len() > Key::MAX_BYTES => {
            Err(Reason::KeyTooLong { limit: limit(), bytes: key.len(), max: Key::MAX_BYTES })
        }
        (Ok(key), _) => Ok(Some(key)),
        // Nor is it missing: whoever sends what cannot be read would choose what becomes of it.
        (Err(NoKey::Unreadable { what }), _) => Err(Reason::KeyUnreadable { limit: limit(), what }),
        (Err(_), MissingKey::Share) => Ok(Some(Vec::new())),
        (Err(_), MissingKey::Skip) => Ok(None),
        (Err(NoKey::NotSent { what }), MissingKey::Refuse) => {
            Err(Reason::KeyNotSent { limit: limit(), what })
        }
        (Err(NoKey::NotSupplied { what }), MissingKey::Refuse) => {
            Err(Reason::KeyNotSupplied { limit: limit(), what })
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Request};

    use super::*;
    use crate::header::Header;
    use crate::key::{AllCallers, from_fn};
    use crate::path::Path;

    fn request() -> Parts {
        Request::get("/a").body(()).expect("a request").into_parts().0
    }

    fn asked(rules: &[Rule]) -> Result<Vec<(String, String, u64)>, Reason> {
        let items = items_of(rules, &request())?;
        let text = |key: Vec<u8>| String::from_utf8(key).expect("text");
        Ok(items.into_iter().map(|it| (it.limit.to_string(), text(it.key), it.amount)).collect())
    }

    fn item(limit: &str, key: &str, amount: u64) -> (String, String, u64) {
        (limit.to_owned(), key.to_owned(), amount)
    }

    #[test]
    fn every_rule_that_applies_asks_for_its_cost() {
        let rules = [
            Rule::new("total", AllCallers),
            Rule::new("calls", Path).cost_of(|request| request.uri.path().len() as u64),
            Rule::new("posts", Path).when(|request| request.method == "POST"),
            Rule::new("free", Path).cost(0),
            Rule::new("later", Path).cost(0).actual_cost(|_| Some(3)),
        ];
        let all = vec![item("total", "", 1), item("calls", "/a", 2), item("later", "/a", 0)];
        assert_eq!(asked(&rules), Ok(all));
    }

    #[test]
    fn one_key_of_two_rules_is_asked_for_once() {
        let rules = [
            Rule::new("mail", from_fn(|_| Some("alice"))).cost(2),
            Rule::new("mail", from_fn(|_| Some("alice"))).cost(3),
            Rule::new("mail", from_fn(|_| Some("bob"))),
        ];
        assert_eq!(asked(&rules), Ok(vec![item("mail", "alice", 5), item("mail", "bob", 1)]));
    }

    #[test]
    fn without_a_key_a_rule_refuses_shares_or_is_skipped() {
        let rule = || Rule::new("api", Header(HeaderName::from_static("x-api-key")));
        let refused = asked(&[rule()]);
        assert!(matches!(refused, Err(Reason::KeyNotSent { ref limit, .. }) if &**limit == "api"));
        assert_eq!(asked(&[rule().missing_key(MissingKey::Share)]), Ok(vec![item("api", "", 1)]));
        assert_eq!(asked(&[rule().missing_key(MissingKey::Skip)]), Ok(vec![]));
    }

    #[test]
    fn a_key_that_is_too_long_is_refused_even_where_one_may_be_missing() {
        let long = |bytes| {
            Rule::new("api", from_fn(move |_| Some(vec![b'a'; bytes])))
                .missing_key(MissingKey::Skip)
        };
        assert_eq!(asked(&[long(508)]).map(|items| items.len()), Ok(1));
        let refused = Reason::KeyTooLong { limit: "api".into(), bytes: 509, max: 508 };
        assert_eq!(asked(&[long(509)]), Err(refused));
    }
}
