//! What a command says on stderr when it ends with an error, and its exit code.

use std::{
    fmt::Display,
    panic,
    process::{self, ExitCode},
    thread,
};

use aya::programs::ProgramError;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use thiserror::Error;

use super::validate;
use crate::{colours::Mark, escaped::Escaped, logging, routing, sources, workloads::cgroups::NoSuchCgroup};

/// Arguments that are well-formed and yet make no sense.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct BadUsage(pub(super) String);

pub(super) const FAILED: u8 = 1;
/// As clap exits on arguments that it cannot read.
const INVALID: u8 = 2;

/// Tells the error, each thing that is wrong with the input on a line.
pub(super) fn report(error: &anyhow::Error) {
    if let Some(sources::InputErrors(all)) = error.downcast_ref() {
        for (i, one) in all.iter().enumerate() {
            if i == 0 { error_line(one) } else { logging::say(one) }
        }
        return;
    }
    let text = format!("{error:#}");
    // The kernel's verifier says much; nothing else is of several lines.
    if error.chain().any(<dyn std::error::Error>::is::<ProgramError>) {
        let mut lines = text.lines();
        error_line(lines.next().unwrap_or_default());
        lines.for_each(logging::say);
    } else {
        error_line(text);
    }
}

fn error_line(what: impl Display) {
    logging::say_marked(Mark::Error, "error: ", what);
}

/// Tells a panic as an error. One of the first thread ends the process at once: what unwinds there may wait for threads
/// that were never started.
pub(super) fn tell_panics() {
    let first = thread::current().id();
    panic::set_hook(Box::new(move |panic| {
        let why = panic.payload_as_str().unwrap_or("it is not said why");
        let at = panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        logging::finish();
        logging::say(format_args!("error: tcproute has come where it cannot go on: {why}{at}"));
        if thread::current().id() == first {
            process::exit(FAILED.into());
        }
    }));
}

pub(super) fn exit_code(error: &anyhow::Error) -> ExitCode {
    let invalid = error.chain().any(|cause| {
        cause.is::<sources::InputErrors>()
            || cause.is::<routing::UnknownDataplane>()
            || cause.is::<routing::UnknownService>()
            || cause.is::<routing::describe::UnknownServiceName>()
            || cause.is::<routing::describe::UnknownPolicy>()
            || cause.is::<NoSuchCgroup>()
            || cause.is::<BadUsage>()
            || cause.is::<validate::Invalid>()
    });
    ExitCode::from(if invalid { INVALID } else { FAILED })
}

/// Tells what clap has to say of the arguments: help, or what is wrong with them, which quotes them.
pub(super) fn usage(mut error: clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // With no one to read it there is nobody to tell.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    escape(&mut error);
    // Without colours, so that all that is left to escape is of others.
    error.render().to_string().lines().for_each(logging::say);
    ExitCode::from(INVALID)
}

/// Escapes what it quotes.
fn escape(error: &mut clap::Error) {
    let quoted: Vec<(ContextKind, ContextValue)> =
        error.context().filter_map(|(kind, value)| Some((kind, escaped(value)?))).collect();
    for (kind, value) in quoted {
        error.insert(kind, value);
    }
}

fn escaped(value: &ContextValue) -> Option<ContextValue> {
    match value {
        ContextValue::String(text) => Some(ContextValue::String(Escaped(text).to_string())),
        ContextValue::Strings(all) => {
            Some(ContextValue::Strings(all.iter().map(|text| Escaped(text).to_string()).collect()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, arg};

    use super::*;

    #[test]
    fn arguments_are_quoted_in_their_line() {
        let command = Command::new("x").arg(arg!(--port <PORT>).value_parser(clap::value_parser!(u16)));
        for arguments in [["x", "--port=1\x1b[2J\nerror: forged"], ["x", "--\x1b[2J\nerror: forged"]] {
            let mut error = command.clone().try_get_matches_from(arguments).unwrap_err();
            escape(&mut error);
            let shown = error.render().to_string();
            assert!(!crate::escaped::hides(&shown), "{shown:?}");
            assert!(!shown.lines().any(|line| line.starts_with("error: forged")), "{shown}");
        }
    }
}
