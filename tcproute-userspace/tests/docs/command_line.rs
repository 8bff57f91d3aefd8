//! docs/reference/cli.md is what clap knows of the commands. `cargo xtask docs` writes it anew.

use std::{collections::BTreeMap, env, fmt::Write as _, fs};

use clap::{Arg, ArgAction, CommandFactory as _};
use tcproute::cli::Cli;
use textwrap::Options;

use crate::pages::root;

const PAGE: &str = "docs/reference/cli.md";

/// With this the page is written and not compared.
pub(crate) const WRITE: &str = "TCPROUTE_WRITE_DOCS";

const HEAD: &str = "\
# Command line

Made by `cargo xtask docs` from what `tcproute --help` knows, not by hand. [Configuration](configuration.md) says what
stands behind the options, and [Exit codes](exit-codes.md) how commands end.
";

fn render() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = HEAD.to_owned();
    // By what is said of them: the command that has them first.
    let mut told = BTreeMap::<String, String>::new();
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_name();
        let _ = write!(page, "\n## tcproute {name}\n\n");
        let about = command.get_long_about().or(command.get_about()).unwrap().to_string();
        paragraph(&mut page, &sentence(&about), "", "");
        let usage = command.clone().render_usage().to_string();
        page.push_str("\n```text\n");
        paragraph(&mut page, usage.trim_start_matches("Usage: "), "", "    ");
        page.push_str("```\n\n");
        let mut again = BTreeMap::<String, Vec<String>>::new();
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
            let item = item(argument);
            if let Some(first) = told.get(&item) {
                again.entry(first.clone()).or_default().push(format!("`{}`", shown(argument)));
            } else {
                paragraph(&mut page, &item, "- ", "  ");
                told.insert(item, name.to_owned());
            }
        }
        for (first, arguments) in again {
            let item = format!("As of [`{first}`](#tcproute-{first}): {}", arguments.join(", "));
            paragraph(&mut page, &item, "- ", "  ");
        }
    }
    page
}

/// An argument or an option, and all that is known of it.
fn item(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).unwrap().to_string();
    // Where the default is not one value, the help has it in words.
    let (help, default) = match help.rsplit_once(" [default: ") {
        Some((help, default)) => (help, Some(default.trim_end_matches(']'))),
        None => (&*help, None),
    };
    let mut item = format!("`{}`: {}", shown(argument), sentence(help));
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
    if let Some(default) = default {
        let _ = write!(item, " Default: {default}.");
    }
    item
}

fn takes_values(argument: &Arg) -> bool {
    !matches!(argument.get_action(), ArgAction::SetTrue | ArgAction::Help | ArgAction::Version)
}

fn shown(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let mut text = argument.get_long().map(|long| format!("{short}--{long}")).unwrap_or_default();
    if takes_values(argument) {
        let is_optional = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
        let (open, close) = match (text.is_empty(), is_optional, argument.is_require_equals_set()) {
            (true, ..) => ("", ""),
            (_, true, true) => ("[=", "]"),
            (_, true, false) => (" [", "]"),
            (_, false, _) => (" ", ""),
        };
        for name in argument.get_value_names().unwrap_or_default() {
            let _ = write!(text, "{open}<{name}>{close}");
        }
    }
    text
}

/// Help of one sentence has no full stop.
fn sentence(text: &str) -> String {
    let text = text.trim().replace('\n', " ");
    if text.ends_with('.') { text } else { text + "." }
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

#[test]
fn the_binary_says_its_own_name() {
    assert_eq!(Cli::command().render_version(), format!("tcproute {}\n", env!("CARGO_PKG_VERSION")));
}
