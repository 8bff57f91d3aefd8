//! The completions that a shell is given.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use tcproute_tests::{client::stdout, tcproute::binary};

#[test]
fn bash_completes_commands_and_options() {
    let script = stdout(&Command::new(binary()).args(["completions", "bash"]).output().unwrap());
    let complete = |words: &str| {
        let count = words.split(' ').count() - 1;
        let asked = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD={count}\n_tcproute tcproute \"${{COMP_WORDS[{count}]}}\" \
             \"${{COMP_WORDS[{}]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            count - 1
        );
        let output = match Command::new("bash").args(["--norc", "-c", &asked]).output() {
            Ok(output) => stdout(&output),
            Err(error) => {
                println!("SKIPPED bash_completes_commands_and_options: no bash: {error}");
                return None;
            }
        };
        Some(output.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let Some(commands) = complete("tcproute re") else { return };
    assert_eq!(commands, ["resolve"]);
    assert_eq!(complete("tcproute resolve --res").unwrap(), ["--resources"]);
}
