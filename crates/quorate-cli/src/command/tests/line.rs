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
}
