//! The command line: what it takes, and what is made of it alone.

use clap::{CommandFactory, Parser};

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

/// The name of a command's peer was taken for that of whoever asks: both had one id.
#[test]
fn what_belongs_to_every_command_is_not_taken_from_one() {
    let mut command = Arguments::command();
    command.build();
    let globals: Vec<String> =
        command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
    assert!(globals.len() > 8, "{globals:?}");
    for sub in command.get_subcommands() {
        let own = sub.get_arguments().filter(|argument| !argument.is_global_set());
        let taken = own.map(|argument| argument.get_id().to_string());
        let taken: Vec<String> = taken.filter(|id| globals.contains(id) && id != "help").collect();
        assert!(taken.is_empty(), "{}: {taken:?}", sub.get_name());
    }
    let line = ["quorate", "switch-primary", "b"];
    let parsed = Arguments::try_parse_from(line).expect("a command");
    assert_eq!(parsed.place.asks_as, None);
}

/// Whoever reads nothing else reads these.
#[test]
fn every_command_ends_its_help_with_examples_that_can_be_typed() {
    let mut command = Arguments::command();
    command.build();
    let mut pages = vec![("quorate".to_owned(), command.clone())];
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        pages.push((sub.get_name().to_owned(), sub.clone()));
    }
    assert!(pages.len() > 15, "the commands have moved");
    for (name, page) in pages {
        let after = page.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = after.split_once("Examples:\n").map(|(_, examples)| examples);
        let examples = examples.unwrap_or_else(|| panic!("{name} has no examples"));
        let mut count = 0;
        for line in examples.lines().filter_map(|line| line.trim().strip_prefix("quorate ")) {
            let line = line.split(['|', '>', '#']).next().unwrap_or_default();
            let words = std::iter::once("quorate").chain(line.split_whitespace());
            let parsed = Arguments::try_parse_from(words);
            assert!(parsed.is_ok(), "{name}: quorate {line}: {}", parsed.expect_err("refused"));
            count += 1;
        }
        let is_of_shells = examples.contains("<(quorate") || examples.contains("until quorate");
        assert!(count > 0 || is_of_shells, "{name} has no example");
    }
}

#[test]
fn a_wrong_line_is_known_to_be_a_check() {
    let is_check =
        |line: &str| Arguments::are_for("check", line.split(' ').map(std::ffi::OsString::from));
    for line in ["check --bogus", "--timeout -1s check", "--json --peer x:1 check", "-y check"] {
        assert!(is_check(line), "{line}");
    }
    for line in ["limits check", "--as check status", "status", "--bogus"] {
        assert!(!is_check(line), "{line}");
    }
}

/// `ask --json | jq .remaining` has shown `null` to whoever tried it.
#[tokio::test(start_paused = true)]
async fn what_the_examples_pick_out_of_a_document_is_in_it() {
    let paper = three();
    let admitted = json!({"allowed": true, "limit": 100, "remaining": 99, "granted": 1});
    paper.answers("127.0.0.1:1", "limits.ask", Ok(admitted));
    let mut command = Arguments::command();
    command.build();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let mut pages = vec![std::fs::read_to_string(page).expect("docs/cli.md is there")];
    pages.extend(command.get_subcommands().filter_map(|it| Some(it.get_after_help()?.to_string())));
    let mut count = 0;
    for line in pages.iter().flat_map(|page| page.lines()) {
        let Some((line, path)) = line.trim().split_once(" | jq ") else { continue };
        let line = line.strip_prefix("quorate ").expect("a command");
        let line = line.replace("top", "top --once");
        let pointer = path.trim_start_matches("-r ").replace('.', "/");
        let document = run(&paper, &line).await.json();
        let picked = document.pointer(&pointer);
        assert!(picked.is_some_and(|picked| !picked.is_null()), "{line} | {path}: {document}");
        count += 1;
    }
    assert!(count >= 3, "{count}");
}

#[test]
fn every_command_in_the_page_can_be_typed() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let page = std::fs::read_to_string(page).expect("docs/cli.md is there");
    let lines = page.lines().filter_map(|line| line.strip_prefix("quorate "));
    let lines: Vec<&str> = lines.map(|line| line.split(['|', '>', '#']).next().unwrap()).collect();
    assert!(!lines.is_empty());
    for line in lines {
        let words = std::iter::once("quorate").chain(line.split_whitespace());
        let parsed = Arguments::try_parse_from(words);
        assert!(parsed.is_ok(), "quorate {line}: {}", parsed.expect_err("refused"));
    }
}

#[test]
fn what_does_not_fit_is_refused_by_the_command_line() {
    for line in [
        "",
        "priority b",
        "priority b 256",
        "force-primary --gone b",
        "force-primary a",
        "force-primary a --best --gone b",
        "monitor size",
        "monitor pause",
        "monitor pause 0s",
        "limits put f.toml --carry all",
        "ask api",
        "ask api alice -1",
        "check --unreachable fine",
        "status --every 2",
        "--timeout 0s status",
        "--as ops/bob status",
        "found --at ,",
        "force-primary a --gone b,,c",
    ] {
        let words = std::iter::once("quorate").chain(line.split_whitespace());
        assert!(Arguments::try_parse_from(words).is_err(), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn completions_and_pages_need_no_group() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&Paper::default(), &format!("completions {shell}")).await;
        assert_eq!(script.code(), 0);
        assert!(script.printed.contains("force-primary"), "{shell}");
    }
    let page = run(&Paper::default(), "man").await;
    assert!(page.printed.contains(".TH quorate 1"));
    let page = run(&Paper::default(), "man force-primary").await;
    assert!(page.printed.contains("gone for good"), "{}", page.printed);
    assert_eq!(run(&Paper::default(), "man what").await.code(), Exit::Usage.code());
    for line in ["man limits put", "man limits-put", "man quorate-limits-put"] {
        let page = run(&Paper::default(), line).await.printed;
        assert!(page.contains(".TH quorate-limits-put 1"), "{line}: {page}");
        assert!(page.contains("HOW"), "{line}: {page}");
        assert!(page.contains("\\fBQUORATE_PEERS\\fR"), "{line}: {page}");
        assert!(page.contains("quorate(1), quorate\\-status(1)"), "{line}: {page}");
    }
}

#[test]
fn the_long_help_of_the_status_says_what_its_words_mean() {
    let mut command = Arguments::command();
    let status = command.find_subcommand_mut("status").expect("it is there");
    let help = status.render_long_help().to_string();
    for word in ["PRIO ", "LAG ", "at risk ", "stale ", "behind ", "not counted ", "Examples:"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}
