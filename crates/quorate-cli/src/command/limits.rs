//! `limits`: shown, checked against a file, and changed to what a file says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use quorate_ratelimit::LimitsSpec;
use serde_json::{Map, Value, json};

use crate::arguments::command::{Carrying, Limits};
use crate::command::Run;
use crate::exit::{Exit, Failure};
use crate::group::Reached;
use crate::report::document::Document;
use crate::text::clean::clean;

/// The name of a file that is standard input.
const STDIN: &str = "-";

/// Largest limits file: more than a group can hold.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// Shows, checks or changes the limits.
///
/// # Errors
///
/// If a file cannot be used, or nobody answers.
pub(crate) async fn run(run: &mut Run<'_>, what: Limits) -> Result<Exit, Failure> {
    match what {
        Limits::Show => show(run).await,
        Limits::Check { file } => check(run, &file).await,
        Limits::Put { file, carry } => put(run, &file, carry).await,
    }
}

async fn show(run: &mut Run<'_>) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let answer = get(run, &mut reached).await?;
    let text = text(&answer)?;
    run.tell(&reached, &answer, || text);
    Ok(Exit::Done)
}

async fn get(run: &Run<'_>, reached: &mut Reached) -> Result<Value, Failure> {
    reached.look(json!({"ask": "limits.get"}), run.group()?.patience()).await
}

/// The group's limits as a limits file.
fn text(answer: &Value) -> Result<String, Failure> {
    let written = toml::Value::try_from(json!({"limits": without_nulls(limits_of(answer))}));
    let unwritten = |error: String| Failure::new(Exit::Unreached, "bad_answer", error);
    let written = written.map_err(|error| unwritten(error.to_string()))?;
    let written = toml::to_string(&written).map_err(|error| unwritten(error.to_string()))?;
    let revision = Document::of(answer).number("revision");
    let revision = revision.map(|it| format!("# revision {it}\n")).unwrap_or_default();
    Ok(format!("{revision}{}", written.trim_end()))
}

/// The limits of an answer, by name.
fn limits_of(answer: &Value) -> Value {
    answer.get("limits").unwrap_or(answer).clone()
}

/// A limits file has no word for nothing.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        other => other,
    }
}

async fn check(run: &mut Run<'_>, file: &Path) -> Result<Exit, Failure> {
    let limits = read(file)?;
    let changes = match &run.group {
        Ok(group) => {
            let mut reached = group.any().await?;
            Some(Changes::of(&get(run, &mut reached).await?, &limits))
        }
        Err(failure) if failure.error == "no_peers" => None,
        Err(failure) => return Err(failure.clone()),
    };
    if run.manner.json {
        let changes = changes.as_ref().map(Changes::document);
        run.output.json(&json!({"limits": limits.len(), "changes": changes}));
    } else {
        let told = match limits.len() {
            1 => "1 limit, usable".to_owned(),
            many => format!("{many} limits, all usable"),
        };
        run.output.text(&format!("{}: {told}", shown(file)));
        run.output.lines(changes.iter().flat_map(Changes::lines));
    }
    Ok(Exit::Done)
}

async fn put(run: &mut Run<'_>, file: &Path, carry: Carrying) -> Result<Exit, Failure> {
    let limits = read(file)?;
    let mut reached = run.group()?.any().await?;
    let changes = Changes::of(&get(run, &mut reached).await?, &limits);
    let fate = match carry {
        Carrying::Keep => "what was taken is kept",
        Carrying::Proportional => "of what was taken the part is kept",
        Carrying::Reset => "what was taken under changed limits is forgotten",
    };
    run.consent(&format!(
        "{}\nThe whole group decides by {} from now on; {fate}.",
        changes.lines().join("\n"),
        shown(file)
    ))?;
    let ask = json!({"ask": "limits.put", "limits": limits, "carry": carry.word()});
    let answer = reached.act(ask, run.patience()?).await?;
    let more = json!({"changes": changes.document()});
    run.tell_more(&reached, &answer, more, || {
        let revision = Document::of(&answer).number("revision");
        let revision = revision.map(|it| format!("; revision {it}")).unwrap_or_default();
        match changes.are_none() {
            true => format!("no change: the group has decided by these limits{revision}"),
            false => {
                let lines = changes.lines().join("\n");
                format!("{lines}\nthe group decides by {}{revision}", shown(file))
            }
        }
    });
    Ok(Exit::Done)
}

/// Reads a limits file, and checks it as the group would.
///
/// # Errors
///
/// If it cannot be read, or used; with the line that is wrong.
fn read(file: &Path) -> Result<Map<String, Value>, Failure> {
    let name = shown(file);
    let unread = |error: std::io::Error| Failure::usage("unreadable", format!("{name}: {error}"));
    let opened: Box<dyn Read> = match file.as_os_str() == STDIN {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(file).map_err(unread)?),
    };
    let mut text = String::new();
    opened.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let detail = format!("{name} has more than {MAX_FILE_BYTES} bytes");
        return Err(Failure::new(Exit::Refused, "unusable_limits", detail));
    }
    let unusable =
        |error: String| Failure::new(Exit::Refused, "unusable_limits", format!("{name}: {error}"));
    parse(&text).map_err(unusable)
}

/// The name of a file, as it is told.
fn shown(file: &Path) -> String {
    match file.as_os_str() == STDIN {
        true => "standard input".to_owned(),
        false => clean(&file.display().to_string()),
    }
}

/// Reads limits, and checks them as a set.
fn parse(text: &str) -> Result<Map<String, Value>, String> {
    let spec: LimitsSpec = toml::from_str(text).map_err(|error| in_one_line(&error, text))?;
    spec.build().map_err(|error| error.to_string())?;
    if spec.limits.is_empty() {
        return Err("there is no limit in it: write one, like limits.api.rate = \"100/s\"".into());
    }
    match serde_json::to_value(&spec.limits).map_err(|error| error.to_string())? {
        Value::Object(limits) => Ok(limits),
        _ => Err("the limits are no table".to_owned()),
    }
}

/// What is wrong with a text, with the line that is.
fn in_one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', "; ");
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

/// What becomes of the group's limits.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
    /// Of those that are changed, what is.
    fields: BTreeMap<String, Vec<Field>>,
}

/// What is said of a limit before, and after; `null` if nothing is.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    name: String,
    old: Value,
    new: Value,
}

impl Field {
    /// Those in which two limits differ.
    fn all(old: &Value, new: &Value) -> Vec<Self> {
        let objects = [old, new].into_iter().filter_map(Value::as_object);
        let names: BTreeSet<&String> = objects.flat_map(Map::keys).collect();
        let read = |name: &String| Self {
            name: name.clone(),
            old: old.get(name).cloned().unwrap_or_default(),
            new: new.get(name).cloned().unwrap_or_default(),
        };
        names.into_iter().map(read).filter(|field| field.old != field.new).collect()
    }

    fn line(&self, limit: &str) -> String {
        let [old, new] = [&self.old, &self.new].map(|value| Document::of(value).shown());
        format!("    {limit}.{}: {old} -> {new}", self.name)
    }

    fn document(&self) -> Value {
        json!({"field": self.name, "old": self.old, "new": self.new})
    }
}

impl Changes {
    fn of(answer: &Value, file: &Map<String, Value>) -> Self {
        let group: BTreeMap<String, Value> = match without_nulls(limits_of(answer)) {
            Value::Object(limits) => limits.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        let mut changes = Self::default();
        for (name, limit) in file {
            match group.get(name) {
                None => changes.added.push(name.clone()),
                Some(present) if normal(present) != normal(limit) => {
                    changes.changed.push(name.clone());
                    let fields = Field::all(&normal(present), &normal(limit));
                    changes.fields.insert(name.clone(), fields);
                }
                Some(_) => {}
            }
        }
        changes.removed = group.into_keys().filter(|name| !file.contains_key(name)).collect();
        changes
    }

    fn lines(&self) -> Vec<String> {
        let line = |mark: &str, what: &str, names: &[String]| {
            (!names.is_empty()).then(|| format!("{mark} {what}: {}", names.join(", ")))
        };
        if self.are_none() {
            return vec!["= the group has these limits".to_owned()];
        }
        let mut lines: Vec<String> = line("+", "new", &self.added).into_iter().collect();
        lines.extend(line("~", "changed", &self.changed));
        for (limit, fields) in &self.fields {
            lines.extend(fields.iter().map(|field| field.line(limit)));
        }
        lines.extend(line("-", "no limit any more", &self.removed));
        lines
    }

    fn are_none(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    fn document(&self) -> Value {
        let fields = self.fields.iter().map(|(limit, fields)| {
            let fields: Vec<Value> = fields.iter().map(Field::document).collect();
            (limit.clone(), json!(fields))
        });
        json!({
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "fields": Value::Object(fields.collect()),
        })
    }
}

/// A limit as this version writes it, so that two that say the same are equal.
fn normal(limit: &Value) -> Value {
    let spec: Option<quorate_ratelimit::LimitSpec> = serde_json::from_value(limit.clone()).ok();
    let limit_read = spec.and_then(|spec| spec.limit().ok());
    let written = limit_read.map(|limit| quorate_ratelimit::LimitSpec::from(&limit));
    written.and_then(|spec| serde_json::to_value(spec).ok()).unwrap_or_else(|| limit.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_against_the_group() {
        let file = parse(
            "[limits.api]\nrate = \"100/s\"\n[limits.mail]\nwindow = \"60s\"\nmax = 5\n\
             [limits.new]\ncounter = true\n",
        );
        let group = json!({"revision": 3, "limits": {
            "api": {"rate": "100/s", "burst": 100},
            "mail": {"window": "1m", "max": 6},
            "old": {"counter": true},
        }});
        let changes = Changes::of(&group, &file.expect("usable"));
        let lines =
            ["+ new: new", "~ changed: mail", "    mail.max: 6 -> 5", "- no limit any more: old"];
        assert_eq!(changes.lines(), lines);
        let field = json!({"field": "max", "old": 6, "new": 5});
        assert_eq!(changes.document()["fields"]["mail"], json!([field]));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_line() {
        let error = parse("[limits.api]\n\nbrust = 5\n").expect_err("misspelt");
        assert!(error.starts_with("line 3: unknown field `brust`"), "{error}");
        let error = parse("[limits.jobs]\nconcurrent = 0\n").expect_err("it admits nothing");
        assert!(error.contains("limit jobs: concurrent = 0"), "{error}");
        assert!(parse("").expect_err("empty").contains("there is no limit in it"));
    }

    #[test]
    fn limits_are_shown_as_a_file_that_can_be_read_again() {
        let answer = json!({"revision": 3, "limits": {"api": {"rate": "100/s", "burst": null}}});
        let shown = text(&answer).expect("it is written");
        assert_eq!(shown, "# revision 3\n[limits.api]\nrate = \"100/s\"");
        assert_eq!(parse(&shown).expect("usable")["api"]["rate"], "100/s");
    }
}
