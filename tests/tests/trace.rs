//! `tcproute trace`: a line for each decision, with what came of it, while connections are made.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::{BufRead, BufReader},
    ops::Deref,
    process::{ChildStdout, Command, Stdio},
};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    client::{script, stdout},
    is_root,
    process::Process,
    routes::ThreeEnds,
    tcproute::{Daemon, binary},
    wait_for,
};

struct Setup {
    ends: ThreeEnds,
    daemon: Daemon,
}

impl Deref for Setup {
    type Target = ThreeEnds;

    fn deref(&self) -> &ThreeEnds {
        &self.ends
    }
}

impl Setup {
    fn new() -> Self {
        let ends = ThreeEnds::new(Loopback::claim());
        let daemon = Daemon::start(&ends.mesh.file(), &[("web", ends.cgroup.path())]);
        Self { ends, daemon }
    }

    /// `tcproute trace` that listens.
    fn trace(&self, more: &[&str]) -> Trace {
        let before = self.listeners();
        let mut command = Command::new(binary());
        command.arg("trace").arg("--admin-socket").arg(self.daemon.admin_socket()).args(more);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let trace = Trace { process: Process(child), output };
        wait_for("it listens", || self.listeners() == before + 1);
        trace
    }

    fn listeners(&self) -> u64 {
        self.daemon.metric("tcproute_trace_listeners")
    }
}

struct Trace {
    process: Process,
    output: BufReader<ChildStdout>,
}

impl Trace {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }
}

#[test]
fn every_decision_is_a_line_with_what_came_of_it() {
    if !is_root("every_decision_is_a_line_with_what_came_of_it") {
        return;
    }
    let setup = Setup::new();
    let mut trace = setup.trace(&["--output", "json", "--count", "3"]);
    let pid = setup.dial(&[setup.up, setup.closed, setup.nobody]);
    let lines = [trace.json(), trace.json(), trace.json()];
    let of = |service: &str| lines.iter().find(|line| line["service"] == service).unwrap();
    for (service, dialled, endpoint, outcome) in [
        ("up", setup.up, Some(setup.backend.address().to_string()), "established"),
        ("closed", setup.closed, None, "refused"),
        ("nobody", setup.nobody, None, "no-endpoint"),
    ] {
        let line = of(service);
        assert_eq!((&line["outcome"], &line["dataplane"]), (&outcome.into(), &"web".into()), "{line}");
        assert_eq!(line["dialled"], dialled.to_string(), "{line}");
        if let Some(endpoint) = endpoint {
            assert_eq!(line["endpoint"], endpoint, "{line}");
        }
        // Old kernels do not tell.
        if line["pid"].is_u64() {
            assert_eq!(line["pid"], pid, "{line}");
            assert!(line["command"].as_str().unwrap().starts_with("python3"), "{line}");
        }
    }
    assert_eq!(of("up")["policies"], serde_json::json!(["split-up"]));
    assert!(of("up")["backend"].as_str().unwrap().contains("up"));
    assert!(of("up")["microseconds"].is_u64());
    assert!(trace.process.0.wait().unwrap().success(), "it ends after three");
    wait_for("nobody listens any more", || setup.listeners() == 0);
    setup.dial(&[setup.nobody]);
    let mut again = setup.trace(&["--output", "json"]);
    setup.dial(&[setup.up]);
    assert_eq!(again.json()["service"], "up", "what was decided meanwhile is no event");
}

#[test]
fn filters_leave_others_out() {
    if !is_root("filters_leave_others_out") {
        return;
    }
    let setup = Setup::new();
    let endpoint = setup.backend.address().to_string();
    let mut by_endpoint = setup.trace(&["--endpoint", &endpoint]);
    let mut by_outcome =
        setup.trace(&["--outcome", "refused", "--outcome", "no-endpoint", "--output", "json"]);
    let heading = by_endpoint.line();
    assert!(heading.starts_with("TIME"), "{heading}");
    setup.dial(&[setup.nobody, setup.up, setup.closed]);
    let line = by_endpoint.line();
    assert!(line.contains(&endpoint) && line.contains("established"), "{line}");
    let mut services =
        [by_outcome.json(), by_outcome.json()].map(|line| line["service"].as_str().unwrap().to_owned());
    services.sort();
    assert_eq!(services, ["closed", "nobody"]);
}

#[test]
fn what_was_lost_is_told() {
    if !is_root("what_was_lost_is_told") {
        return;
    }
    let setup = Setup::new();
    let mut trace = setup.trace(&["--output", "json"]);
    // The reader stands still while there are more decisions than the pipe, the sockets and the rings hold.
    let pid = nix::unistd::Pid::from_raw(setup.daemon.pid().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let (ip, port) = (setup.nobody.ip(), setup.nobody.port());
    let body = format!(
        "
s = socket.socket()
for _ in range(12000): s.connect_ex(('{ip}', {port}))
"
    );
    let client = setup.cgroup.command("python3").args(["-SEc", &script(&body)]).output();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    stdout(&client.unwrap());
    let (mut seen, mut lost) = (0, 0);
    while seen + lost < 12_000 {
        let line = trace.json();
        match line["lost"].as_u64() {
            Some(records) => lost += records,
            None => seen += 1,
        }
    }
    assert_eq!(seen + lost, 12_000);
    assert!(lost > 0, "{seen} seen");
    println!("{seen} seen, {lost} lost");
}
