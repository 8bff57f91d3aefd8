//! docs/reference/cli.md is what clap knows of the commands. `cargo xtask docs` writes it anew.

use std::{env, fmt::Write as _, fs};

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use tcproute::cli::Cli;
use textwrap::Options;

use crate::pages::root;

const PAGE: &str = "docs/reference/cli.md";

/// With this the page is written and not compared.
const WRITE: &str = "TCPROUTE_WRITE_DOCS";

const HEAD: &str = "\
# Command line

Made by `cargo xtask docs` from what `tcproute --help` knows, not by hand. [Configuration](configuration.md) says what
stands behind the options, and [Exit codes](exit-codes.md) how commands end.
";

fn render() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = HEAD.to_owned();
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        let _ = write!(page, "\n## tcproute {}\n\n", command.get_name());
        let about = command.get_long_about().or(command.get_about()).unwrap().to_string();
        paragraph(&mut page, &sentence(&about), "", "");
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").to_owned();
        page.push_str("\n```text\n");
        paragraph(&mut page, &usage, "", "    ");
        page.push_str("```\n\n");
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
            paragraph(&mut page, &item(argument), "- ", "  ");
        }
    }
    page
}

/// An argument or an option, and all that is known of it.
fn item(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).unwrap().to_string();
    let mut item = format!("`{}`: {}", shown(argument), sentence(&help));
    let values: Vec<_> =
        argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if !values.is_empty() && takes_values(argument) {
        let _ = write!(item, " One of {}.", values.join(", "));
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.display())).collect();
    if !defaults.is_empty() && takes_values(argument) {
        let _ = write!(item, " Default: {}.", defaults.join(", "));
    }
    item
}

fn takes_values(argument: &Arg) -> bool {
    !matches!(argument.get_action(), ArgAction::SetTrue | ArgAction::Help | ArgAction::Version)
}

fn shown(argument: &Arg) -> String {
    let mut text = argument.get_long().map(|long| format!("--{long}")).unwrap_or_default();
    if takes_values(argument) {
        let optional = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
        for name in argument.get_value_names().unwrap_or_default() {
            let gap = if text.is_empty() {
                ""
            } else if optional {
                "[="
            } else {
                " "
            };
            let _ = write!(text, "{gap}<{name}>{}", if optional { "]" } else { "" });
        }
    }
    text
}

/// Help of one sentence has no full stop.
fn sentence(text: &str) -> String {
    let text = text.trim().replace('\n', " ");
    if text.ends_with(['.', ']']) { text } else { text + "." }
}

fn paragraph(page: &mut String, text: &str, first: &str, others: &str) {
    let options = Options::new(120)
        .initial_indent(first)
        .subsequent_indent(others)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    page.push_str(&textwrap::fill(text, options));
    page.push('\n');
}

#[test]
fn the_page_of_commands_is_what_the_binary_says() {
    let (path, page) = (root().join(PAGE), render());
    if env::var_os(WRITE).is_some() {
        fs::write(&path, page).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page,
        "{PAGE} is of another day: run `cargo xtask docs`"
    );
}
