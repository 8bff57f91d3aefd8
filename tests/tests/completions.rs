//! What shells complete: commands, options, and names that a daemon knows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use tcproute_tests::{
    cgroup::TestCgroup,
    client::stdout,
    is_root,
    mesh::Mesh,
    tcproute::{Daemon, binary},
};

/// A shell that has read its script, with tcproute in its path.
struct Shell {
    name: &'static str,
    directory: tempfile::TempDir,
    /// Where a daemon is, if there is one.
    socket: PathBuf,
}

impl Shell {
    /// `None` if it is not here.
    fn open(name: &'static str) -> Option<Self> {
        if let Err(error) = Command::new(name).arg("--version").output() {
            println!("SKIPPED completions of {name}: it is not here: {error}");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        symlink(fs::canonicalize(binary()).unwrap(), directory.path().join("tcproute")).unwrap();
        Some(Self { name, directory, socket: PathBuf::from("/nowhere") })
    }

    fn run(&self, text: &str) -> Output {
        let path =
            format!("{}:{}", self.directory.path().display(), std::env::var("PATH").unwrap_or_default());
        let quiet: &[&str] = match self.name {
            "bash" => &["--norc"],
            "zsh" => &["--no-rcs"],
            _ => &["--no-config"],
        };
        let mut shell = Command::new(self.name);
        shell.args(quiet).args(["-c", text]).env("PATH", path).env("TCPROUTE_ADMIN_SOCKET", &self.socket);
        shell.output().unwrap()
    }

    /// What is offered for the last of these words.
    fn complete(&self, words: &str) -> Vec<String> {
        let asked = match self.name {
            "bash" => {
                let count = words.split(' ').count() - 1;
                format!(
                    "source <(tcproute completion bash); COMP_WORDS=({words}); COMP_CWORD={count}; COMP_TYPE=9\n\
                     [ \"${{#COMP_WORDS[@]}}\" -gt {count} ] || COMP_WORDS+=('')\n\
                     $(complete -p tcproute | sed 's/.*-F \\([^ ]*\\) .*/\\1/') tcproute \
                     \"${{COMP_WORDS[{count}]}}\" \"${{COMP_WORDS[{}]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
                    count - 1
                )
            }
            "fish" => format!("tcproute completion fish | source; complete --do-complete '{words}'"),
            // What its function would be given is what the binary is asked; the widget needs a terminal.
            _ => {
                let count = words.split(' ').count() - 1;
                format!(
                    "words=({words}); [ ${{#words}} -gt {count} ] || words+=('')\n\
                     _CLAP_IFS=$'\\n' _CLAP_COMPLETE_INDEX={count} _TCPROUTE_COMPLETE=zsh tcproute -- \"${{words[@]}}\""
                )
            }
        };
        let told = stdout(&self.run(&asked));
        let value = |line: &str| line.split(['\t', ':']).next().unwrap_or_default().trim().to_owned();
        told.lines().map(value).filter(|line| !line.is_empty()).collect()
    }
}

const SHELLS: [&str; 3] = ["bash", "fish", "zsh"];

#[test]
fn shells_complete_commands_options_and_kinds() {
    for shell in SHELLS.into_iter().filter_map(Shell::open) {
        assert_eq!(shell.complete("tcproute res"), ["resolve"], "{}", shell.name);
        assert_eq!(shell.complete("tcproute resolve --res"), ["--resources"], "{}", shell.name);
        assert_eq!(shell.complete("tcproute get po"), ["policies"], "{}", shell.name);
    }
}

#[test]
fn shells_complete_names_that_the_daemon_knows() {
    if !is_root("shells_complete_names_that_the_daemon_knows") {
        return;
    }
    let mut mesh = Mesh::new();
    mesh.outbound("db", "127.0.0.1:5432".parse().unwrap()).split("db", &[("a", 1)]);
    mesh.endpoint("db", "a", "10.0.0.1:5432".parse().unwrap());
    mesh.endpoint("cache", "a", "10.0.0.2:5432".parse().unwrap());
    let cgroup = TestCgroup::create();
    let daemon = Daemon::start(&mesh.file(), &[("web", cgroup.path())]);
    for mut shell in SHELLS.into_iter().filter_map(Shell::open) {
        let by_flag = format!("tcproute get dp --admin-socket {} w", daemon.admin_socket().display());
        assert_eq!(shell.complete("tcproute get dp w"), [""; 0], "{}", shell.name);
        assert_eq!(shell.complete(&by_flag), ["web"], "{}", shell.name);
        shell.socket = daemon.admin_socket();
        for (words, expected) in [
            ("tcproute get dp w", &["web"][..]),
            ("tcproute get dataplanes en", &["endpoint-1", "endpoint-2"]),
            ("tcproute get routes w", &["web"]),
            ("tcproute get policies s", &["split-db"]),
            ("tcproute get svc d", &["db"]),
            ("tcproute get dp/w", &["dp/web"]),
            ("tcproute describe service d", &["db"]),
            ("tcproute stats --dataplane w", &["web"]),
            ("tcproute trace --service d", &["db"]),
            ("tcproute get svc nothing", &[]),
        ] {
            assert_eq!(shell.complete(words), expected, "{}: {words}", shell.name);
        }
        let asked = shell.complete("tcproute get svc --mesh nowhere d");
        assert!(asked.is_empty(), "{}: {asked:?}", shell.name);
    }
}

#[test]
fn without_a_daemon_there_are_no_names_and_no_words() {
    let Some(shell) = Shell::open("bash") else { return };
    let asked = |socket: &Path| {
        let begin = Instant::now();
        let text = format!(
            "_CLAP_COMPLETE_INDEX=5 _TCPROUTE_COMPLETE=bash tcproute -- tcproute get --admin-socket '{}' dp w",
            socket.display()
        );
        let output = shell.run(&text);
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        begin.elapsed()
    };
    asked(Path::new("/nowhere"));
    // One that takes the question and says nothing.
    let silent = shell.directory.path().join("silent.sock");
    let _listener = UnixListener::bind(&silent).unwrap();
    let took = asked(&silent);
    println!("gave up after {took:?}");
    // The daemon itself may take 10 seconds to answer `status`.
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(8), "{took:?}");
}
