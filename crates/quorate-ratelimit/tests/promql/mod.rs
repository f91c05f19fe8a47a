//! As much of PromQL as is needed to find what an expression speaks of.

/// Functions and aggregations; whatever else stands alone is a metric.
const FUNCTIONS: [&str; 10] =
    ["count", "histogram_quantile", "increase", "max", "min", "rate", "sum", "time", "avg", "topk"];

/// Words between expressions.
const OPERATORS: [&str; 5] = ["and", "bool", "offset", "or", "unless"];

/// Words that labels follow, in brackets.
const GROUPINGS: [&str; 6] = ["by", "group_left", "group_right", "ignoring", "on", "without"];

/// An expression, as far as it speaks of metrics.
#[derive(Debug, Default)]
pub(crate) struct Expression {
    pub(crate) selectors: Vec<Selector>,
    /// Labels that results are grouped or matched by.
    pub(crate) labels: Vec<String>,
}

/// A metric, and what it is selected by.
#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    /// Labels, each with the words that it may have; a variable of the dashboard is none.
    pub(crate) labels: Vec<(String, Vec<String>)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Quoted(String),
    Other(char),
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Panics
    ///
    /// If it has a function that is not known here.
    pub(crate) fn read(said: &str) -> Self {
        let tokens = tokens(said);
        let mut rest = &tokens[..];
        let mut read = Self::default();
        while let [token, after @ ..] = rest {
            rest = after;
            let Token::Name(name) = token else { continue };
            let is_call = matches!(after, [Token::Other('('), ..]);
            if GROUPINGS.contains(&&**name) {
                let (labels, after) = bracketed(after, ')');
                read.labels.extend(labels.iter().filter_map(Token::name));
                rest = after;
            } else if FUNCTIONS.contains(&&**name) {
                let is_grouped =
                    matches!(after, [Token::Name(by), ..] if GROUPINGS.contains(&&**by));
                assert!(is_call || is_grouped, "{name} stands alone in {said}");
            } else if !OPERATORS.contains(&&**name) {
                assert!(!is_call, "{name} is no function that is known here: {said}");
                let has_labels = matches!(after, [Token::Other('{'), ..]);
                let (labels, after) =
                    if has_labels { bracketed(after, '}') } else { (&[][..], after) };
                read.selectors.push(Selector { metric: name.clone(), labels: selected(labels) });
                rest = after;
            }
        }
        read
    }
}

impl Token {
    fn name(&self) -> Option<String> {
        match self {
            Self::Name(name) => Some(name.clone()),
            Self::Quoted(_) | Self::Other(_) => None,
        }
    }
}

/// The tokens in brackets, and those after them.
fn bracketed(tokens: &[Token], close: char) -> (&[Token], &[Token]) {
    let end = tokens.iter().position(|token| *token == Token::Other(close));
    let end = end.expect("brackets are closed");
    (&tokens[1..end], &tokens[end + 1..])
}

/// Labels with the words that they may have.
fn selected(tokens: &[Token]) -> Vec<(String, Vec<String>)> {
    let parts = tokens.split(|token| *token == Token::Other(',')).filter(|part| !part.is_empty());
    let label = |part: &[Token]| match part {
        [Token::Name(label), .., Token::Quoted(words)] => {
            let words = words.split('|').filter(|word| !word.starts_with('$'));
            (label.clone(), words.map(str::to_owned).collect())
        }
        other => panic!("{other:?} selects nothing"),
    };
    parts.map(label).collect()
}

fn tokens(said: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = said;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '.';
        if first == '"' {
            let (quoted, after) = rest[1..].split_once('"').expect("quotes are closed");
            tokens.push(Token::Quoted(quoted.to_owned()));
            rest = after;
        } else if first == '[' {
            // A span of time.
            rest = rest.split_once(']').expect("brackets are closed").1;
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            // Numbers and durations say nothing here.
            if !first.is_ascii_digit() {
                tokens.push(Token::Name(rest[..end].to_owned()));
            }
            rest = &rest[end..];
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Other(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens
}

/// The labels that a text has in templates: `{{ $labels.peer }}`, `{{peer}}`.
pub(crate) fn templates(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.split("{{").skip(1).filter_map(|part| part.split("}}").next());
    let labels = inner.map(|inner| inner.split('|').next().unwrap_or(inner).trim());
    labels.filter(|label| *label != "$value").map(|label| label.trim_start_matches("$labels."))
}
