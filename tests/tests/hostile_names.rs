//! Names with control characters, and a process that is called so, forge nothing wherever people look.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::ffi::OsStrExt,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tcproute_tests::{
    cgroup::TestCgroup,
    client::{script, stdout},
    is_root,
    process::Process,
    replace,
    routes::Split,
    tcproute::{self, Bpffs, binary, run_arguments, wait_ready},
    wait_for,
};

/// A name that moves the cursor, changes the title, turns the direction and looks like a line of its own.
const EVIL: &str = "db\x1b]0;T\x07\x1b[2K\rX\nforged line\u{2028}\u{9b}31m\u{202e}\u{200b}\u{7f}";

/// As it stands in YAML and JSON.
fn quoted() -> String {
    EVIL.chars().fold("\"".to_owned(), |text, c| match c {
        ' '..='~' => text + &c.to_string(),
        c => text + &format!("\\u{:04x}", u32::from(c)),
    }) + "\""
}

/// No line is forged, and none has anything that is not seen.
fn assert_honest(what: &str, text: &str) {
    let hides = |c: char| {
        c != '\n' && c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(hides), "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("forged")), "{what}: {text}");
}

fn run(arguments: &[&OsStr]) -> Output {
    Command::new(binary()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A mesh in which a backendRef asks for a version of that name, the freest text there is: so it has no endpoint.
fn mesh(split: &Split) -> String {
    split.mesh(&[("1", 1), ("2", 1)]).text().replace("v: '2'}, weight", &format!("v: {}}}, weight", quoted()))
}

#[test]
fn commands_that_read_files_show_them_escaped() {
    let directory = tempfile::tempdir().unwrap();
    let split = Split::new();
    let good = directory.path().join("good.yaml");
    fs::write(&good, mesh(&split)).unwrap();
    let other = directory.path().join("other.yaml");
    fs::write(&other, mesh(&split).replace("weight: 1}, ", "weight: 9}, ")).unwrap();
    let bad = directory.path().join(OsStr::from_bytes(EVIL.as_bytes()));
    fs::create_dir(&bad).unwrap();
    let bad = bad.join("bad.yaml");
    let evil = quoted();
    fs::write(
        &bad,
        format!("type: Mesh\nname: a\n{evil}: 1\nmtls: {{enabledBackend: {evil}, backends: {evil}}}\n"),
    )
    .unwrap();
    let (good, other, bad) = (good.as_os_str(), other.as_os_str(), bad.as_os_str());
    let word = OsStr::new;
    let evil = word(EVIL);
    let dial = [word("resolve"), word("--resources"), good, word("--dataplane"), word("web")];
    let cases: Vec<Vec<&OsStr>> = vec![
        vec![word("validate"), good],
        vec![word("validate"), bad],
        vec![word("validate"), evil],
        dial.to_vec(),
        [&dial[..], &[word("--explain"), evil]].concat(),
        [&dial[..], &[word("--explain"), word("n\nforged")]].concat(),
        vec![word("resolve"), word("--resources"), bad, word("--all")],
        vec![word("resolve"), word("--resources"), good, word("--dataplane"), evil],
        vec![word("diff"), good, other],
        vec![word("status"), word("--admin-socket"), evil],
        vec![evil],
        vec![word("resolve"), word("--compat"), evil],
        vec![
            word("exec"),
            word("--resources"),
            bad,
            word("--dataplane"),
            word("web"),
            word("--"),
            word("true"),
        ],
    ];
    for case in cases {
        let output = run(&case);
        let text = both(&output);
        println!("{case:?}: {}\n{text}", output.status);
        assert!(!text.is_empty());
        assert_honest(&format!("{case:?}"), &text);
    }
    for format in ["json", "yaml"] {
        let output = run(&[&dial[..], &[word("--output"), word(format)]].concat());
        assert_honest(format, &both(&output));
        // JSON is YAML, too.
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["routes"][0]["backends"][1]["tags"]["v"], EVIL, "{format} is exact");
    }
}

#[test]
fn a_daemon_and_those_who_ask_it_show_them_escaped() {
    if !is_root("a_daemon_and_those_who_ask_it_show_them_escaped") {
        return;
    }
    let (split, cgroup, bpffs) = (Split::new(), TestCgroup::create(), Bpffs::mount());
    let directory = tempfile::tempdir().unwrap();
    let resources = directory.path().join("mesh.yaml");
    fs::write(&resources, mesh(&split)).unwrap();
    let socket = directory.path().join("run/admin.sock");
    let mut command = Command::new(binary());
    run_arguments(&mut command, &resources, bpffs.path(), &socket, &[("web", cgroup.path())]);
    let log = tempfile::NamedTempFile::new().unwrap();
    let child =
        command.arg("--log-decisions").stdin(Stdio::null()).stderr(log.reopen().unwrap()).spawn().unwrap();
    let mut daemon = Process(child);
    wait_ready(&mut daemon, &socket);
    let at = |path: &str| tcproute::ask(&socket, path);
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--admin-socket").arg(&socket).stdin(Stdio::null());
        command
    };

    let mut trace = Process(ask(&["trace", "--count", "30"]).stdout(Stdio::piped()).spawn().unwrap());
    let mut json =
        Process(ask(&["trace", "--count", "30", "--output", "json"]).stdout(Stdio::piped()).spawn().unwrap());
    wait_for("both listen", || at("/metrics").1.contains("tcproute_trace_listeners 2\n"));
    let (ip, port) = (split.dialled.ip(), split.dialled.port());
    let client = script(&format!(
        "
open('/proc/self/comm', 'wb').write(b'\\x1b[2J\\nforged\\x9b')
for _ in range(40):
    try: dial('{ip}', {port}).close()
    except OSError: pass
"
    ));
    stdout(&cgroup.command("python3").args(["-SEc", &client]).output().unwrap());
    wait_for("both have seen it", || trace.has_ended() && json.has_ended());
    let mut text = String::new();
    trace.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    println!("{text}");
    assert_honest("trace", &text);
    assert_eq!(text.lines().count(), 31);
    assert!(text.contains("forged line"), "{text}");
    // With columns where they are otherwise.
    let columns: Vec<_> = text.lines().skip(1).map(|line| line.find("web ").unwrap()).collect();
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{columns:?}");
    for line in BufReader::new(json.0.stdout.take().unwrap()).lines().map(Result::unwrap) {
        assert_honest("trace in JSON", &line);
        let value: Value = serde_json::from_str(&line).unwrap();
        let backend = value["backend"].as_str().unwrap();
        assert!(backend.ends_with("v=1") || backend.ends_with(EVIL), "{line}");
        assert!(value["command"].as_str().unwrap().starts_with("\x1b[2J\nforged"), "{line}");
    }

    // A policy that is rejected, with the name in what is wrong with it.
    let wrong = mesh(&split).replacen("weight:", &format!("{}:", quoted()), 1);
    replace(&resources, &wrong);
    wait_for("it is rejected", || {
        !serde_json::from_str::<Value>(&at("/v1/status").1).unwrap()["rejected"]
            .as_array()
            .unwrap()
            .is_empty()
    });
    for arguments in
        [&["status"][..], &["stats"], &["status", "--output", "json"], &["stats", "--output", "yaml"]]
    {
        let output = ask(arguments).output().unwrap();
        assert_honest(&arguments.join(" "), &both(&output));
        assert!(stdout(&output).contains("forged line"), "{arguments:?} does not show it");
    }

    // Exact in metrics: what reads them undoes these three escapes and no others.
    let metrics = at("/metrics").1;
    let label = metrics.lines().find_map(|line| {
        let (_, rest) = line.strip_prefix("tcproute_connections_total{")?.split_once(" v=db")?;
        Some("db".to_owned() + rest.split_once("\",outcome=")?.0)
    });
    assert_eq!(label.unwrap().replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\"), EVIL);

    daemon.stop();
    let text = fs::read_to_string(log.path()).unwrap();
    println!("{text}");
    assert_honest("log", &text);
    assert!(text.contains("cannot be used") && text.contains("forged line"), "{text}");
    assert!(text.lines().all(|line| line.starts_with("20")), "each line is an event");
}
