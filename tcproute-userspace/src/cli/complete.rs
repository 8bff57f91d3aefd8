//! What a shell offers for the word at the cursor: commands and flags as clap has them, and names that the daemon of
//! this node knows. Where there is none, or it does not answer at once, there are no names.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate},
    env::Shells,
};
use serde::Deserialize;
use tokio::{runtime, time::timeout};

use super::{Cli, Command, get::Kind, layers::Layers};
use crate::admin::client;

/// By which the script of a shell says that it asks, and which shell that is.
const VARIABLE: &str = "_TCPROUTE_COMPLETE";

/// Nobody waits longer for names after a key.
const PATIENCE: Duration = Duration::from_millis(500);

/// More is not read of a list, in bytes.
const MOST: usize = 64 << 20;

/// Answers a shell, if it is one that has started this process.
pub(super) fn answered() -> Option<ExitCode> {
    let here = env::current_dir().ok();
    let completed = CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .bin("tcproute")
        .try_complete(env::args_os(), here.as_deref());
    match completed {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        // Words on the terminal would be in the middle of a line that is being written.
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// The script by which this shell asks the `tcproute` that is on the path.
pub(super) fn script(shell: &str) -> io::Result<String> {
    let (shells, mut script) = (Shells::builtins(), Vec::new());
    let completer = shells.completer(shell).ok_or_else(|| io::Error::other("there is no such shell"))?;
    completer.write_registration(VARIABLE, "tcproute", "tcproute", "tcproute", &mut script)?;
    if shell == "zsh" {
        // Loaded by itself when it is used first, it has to answer as well.
        script.extend_from_slice(
            b"\nif [ \"$funcstack[1]\" = _tcproute ]; then _clap_dynamic_completer_tcproute \"$@\"; fi\n",
        );
    }
    String::from_utf8(script).map_err(io::Error::other)
}

/// Kinds, and with a slash names of one.
pub(super) fn kinds() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let Some(current) = current.to_str() else { return Vec::new() };
        let Some((kind, name)) = current.split_once('/') else {
            let kinds = Kind::ALL.map(Kind::name).into_iter();
            return kinds.filter(|kind| kind.starts_with(current)).map(CompletionCandidate::new).collect();
        };
        let Ok(of) = kind.parse::<Kind>() else { return Vec::new() };
        let names = known(of.named(), name).into_iter();
        names.map(|name| CompletionCandidate::new(format!("{kind}/{name}"))).collect()
    })
}

/// Names of the kind that is written before.
pub(super) fn names() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let kind = words().iter().skip(2).find_map(|word| word.to_str()?.parse::<Kind>().ok());
        kind.map(|kind| candidates(kind.named(), current)).unwrap_or_default()
    })
}

/// Names of Dataplanes.
pub(super) fn dataplanes() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| candidates(Kind::Dataplanes, current))
}

/// Names of services.
pub(super) fn services() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| candidates(Kind::Services, current))
}

fn candidates(kind: Kind, current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    known(kind, current).into_iter().map(CompletionCandidate::new).collect()
}

/// Those that the daemon knows and that begin so.
fn known(kind: Kind, begin: &str) -> BTreeSet<String> {
    let words = words();
    let (Ok(socket), Ok(runtime)) =
        (socket(&words), runtime::Builder::new_current_thread().enable_all().build())
    else {
        return BTreeSet::new();
    };
    let path = format!("/v1/list/{}", kind.name());
    let asked = async { timeout(PATIENCE, client::get_at_most(&socket, &path, MOST)).await };
    let Ok(Ok(answer)) = runtime.block_on(asked) else { return BTreeSet::new() };
    let all: Vec<Known> = client::parsed(&answer).unwrap_or_default();
    offered(all, value_of(&words, "--mesh").and_then(|mesh| mesh.into_string().ok()).as_deref(), begin)
}

/// As the lists have them.
#[derive(Debug, Deserialize)]
struct Known {
    mesh: String,
    name: String,
}

fn offered(all: Vec<Known>, mesh: Option<&str>, begin: &str) -> BTreeSet<String> {
    let of_mesh = all.into_iter().filter(|known| mesh.is_none_or(|mesh| known.mesh == mesh));
    of_mesh.map(|known| known.name).filter(|name| name.starts_with(begin) && is_harmless(name)).collect()
}

/// Whether it means nothing to any shell: what others wrote is put on a command line.
fn is_harmless(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.starts_with('-') && name.chars().all(is_plain)
}

/// The command line as far as it is written.
fn words() -> Vec<OsString> {
    env::args_os().skip_while(|word| word != "--").skip(1).collect()
}

fn value_of(words: &[OsString], flag: &str) -> Option<OsString> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(rest) = word.to_str().and_then(|word| word.strip_prefix(flag)) else { continue };
        match rest.strip_prefix('=') {
            Some(value) => return Some(value.into()),
            None if rest.is_empty() => return words.next().cloned(),
            None => {}
        }
    }
    None
}

/// Where `status` would ask.
fn socket(words: &[OsString]) -> Result<PathBuf> {
    if let Some(given) = value_of(words, "--admin-socket") {
        return Ok(given.into());
    }
    let layers = Layers::of_command(["tcproute", "status"].map(OsString::from).to_vec())?;
    let matches = Cli::command().try_get_matches_from(&layers.arguments)?;
    match Cli::from_arg_matches(&matches)?.command {
        Command::Status(status) => Ok(status.admin_socket()),
        _ => unreachable!("it is the command that was parsed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(names: &[(&str, &str)]) -> Vec<Known> {
        let known = |(mesh, name): &(&str, &str)| Known { mesh: (*mesh).into(), name: (*name).into() };
        names.iter().map(known).collect()
    }

    #[test]
    fn what_a_shell_would_take_as_more_than_a_name_is_not_offered() {
        let hostile = ["$(reboot)", "a;b", "a b", "a'b", "`x`", "*", "-rf", "a\u{1b}[2J", "~", "a\u{b}b"];
        let hostile: Vec<(&str, &str)> = hostile.map(|name| ("default", name)).to_vec();
        assert_eq!(offered(known(&hostile), None, ""), BTreeSet::new());
        let names = [("default", "web.shop"), ("default", "db"), ("other", "web_shop_svc_80")];
        let of = |mesh, begin| offered(known(&names), mesh, begin).into_iter().collect::<Vec<_>>();
        assert_eq!(of(None, "we"), ["web.shop", "web_shop_svc_80"]);
        assert_eq!(of(Some("default"), ""), ["db", "web.shop"]);
    }

    #[test]
    fn flags_before_the_cursor_are_found() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let of = |text| value_of(&words(text), "--mesh").map(|value| value.into_string().unwrap());
        assert_eq!(of("tcproute get dp --mesh a we"), Some("a".to_owned()));
        assert_eq!(of("tcproute get dp --mesh=b"), Some("b".to_owned()));
        assert_eq!(of("tcproute get dp --meshes c"), None);
    }

    #[test]
    fn each_shell_has_a_script_that_asks_what_is_on_the_path() {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let script = script(shell).unwrap();
            assert!(script.contains("tcproute") && script.contains(VARIABLE), "{shell}: {script}");
        }
    }
}
