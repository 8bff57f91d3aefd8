//! `tcproute top`, on a terminal of 80 × 24: what a person sees there while connections are made, and that the terminal
//! is theirs again afterwards.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{ask, knock},
    is_root,
    mesh::Mesh,
    process::Process,
    screen::Screen,
    server::Server,
    tcproute::{Bpffs, binary, run_arguments, wait_ready},
    wait_for,
};

/// A route that is split 9 to 1, in turns, and one to a closed port.
struct Setup {
    split: SocketAddr,
    closed: SocketAddr,
    servers: [Server; 2],
    mesh: Mesh,
    cgroup: TestCgroup,
    bpffs: Bpffs,
    run: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let net = Loopback::claim();
        let [split, closed] = [1, 2].map(|last| SocketAddr::from((net.ip(0, last), 5432)));
        let servers = [Server::start((net.ip(1, 1), 0), "a"), Server::start((net.ip(1, 2), 0), "b")];
        let mut mesh = Mesh::new();
        mesh.outbound("db", split).split("db", &[("a", 9), ("b", 1)]);
        mesh.endpoint("db", "a", servers[0].address()).endpoint("db", "b", servers[1].address());
        mesh.outbound("closed", closed).endpoint("closed", "x", (net.ip(1, 3), 1).into());
        mesh.split("closed", &[("x", 1)]);
        let (cgroup, bpffs, run) = (TestCgroup::create(), Bpffs::mount(), tempfile::tempdir().unwrap());
        Self { split, closed, servers, mesh, cgroup, bpffs, run }
    }

    fn socket(&self) -> PathBuf {
        self.run.path().join("tcproute/admin.sock")
    }

    /// A daemon, where others may have been.
    fn daemon(&self, more: &[&str]) -> Process {
        let mut run = Command::new(binary());
        let workloads = [("web", self.cgroup.path())];
        run_arguments(&mut run, &self.mesh.file(), self.bpffs.path(), &self.socket(), &workloads);
        run.args(["--selection", "even"]).args(more).stdin(Stdio::null()).stderr(Stdio::null());
        let mut daemon = Process(run.spawn().unwrap());
        wait_ready(&mut daemon, &self.socket());
        daemon
    }

    fn top(&self, environment: &[(&str, &str)]) -> Screen {
        let mut top = Command::new(binary());
        top.arg("top").arg("--admin-socket").arg(self.socket());
        top.env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(environment.iter().copied());
        Screen::start(&mut top)
    }
}

#[test]
fn routes_are_shown_by_rate_with_split_and_failures() {
    if !is_root("routes_are_shown_by_rate_with_split_and_failures") {
        return;
    }
    let setup = Setup::new();
    let _daemon = setup.daemon(&[]);
    let mut screen = setup.top(&[]);
    screen.wait_for_line(&["tcproute", "ready", "1 workload, 2 routes"]);
    ask(&setup.cgroup, setup.split, 40);
    knock(&setup.cgroup, setup.closed, 4);
    // In turns, so to the connection.
    let heavy = screen.wait_for_line(&["v=a", " 90.0  90.0 ", "███"]);
    assert!(heavy.contains('<'), "it has a latency: {heavy}");
    let text = screen.text();
    assert!(text.lines().any(|line| line.contains("v=b") && line.contains(" 10.0  10.0 ")), "{text}");
    let of = |text: &str, name: &str| text.lines().position(|line| line.contains(name));
    assert!(of(&text, "web → db").unwrap() < of(&text, "web → closed").unwrap(), "by rate: {text}");
    assert!(!text.contains("-0.0"), "{text}");
    screen.wait_for_line(&["web → closed", &setup.closed.to_string(), "refused "]);

    screen.type_in("/closed");
    screen.wait_until("only what is filtered", |text| of(text, "web → db").is_none());
    screen.wait_for_line(&[">web → closed"]);
    screen.type_in("\x1b");
    screen.wait_for_line(&["web → db"]);
    screen.type_in("f");
    screen
        .wait_until("only what fails", |text| of(text, "web → db").is_none() && of(text, "closed").is_some());
    screen.type_in("q");
    assert_eq!(screen.wait_for_end().code(), Some(0));
}

#[test]
fn a_trace_and_a_description_are_a_key_away() {
    if !is_root("a_trace_and_a_description_are_a_key_away") {
        return;
    }
    let setup = Setup::new();
    let _daemon = setup.daemon(&[]);
    let mut screen = setup.top(&[]);
    screen.wait_for_line(&["web → closed"]);
    screen.type_in("/db\r");
    screen.wait_for_line(&[">web → db"]);
    screen.type_in("t");
    screen.wait_for_line(&["listening: no connection yet"]);
    knock(&setup.cgroup, setup.closed, 2);
    ask(&setup.cgroup, setup.split, 3);
    screen.wait_for_line(&[&setup.servers[0].address().to_string(), "established", "v=a"]);
    assert!(!screen.text().contains("refused here"), "connections of other routes are not told");
    screen.type_in("d");
    screen.wait_for_line(&["routed: "]);
    screen.wait_for_line(&["policies", "split-db"]);
    screen.wait_for_line(&["in (1): ", &setup.servers[0].address().to_string()]);
    let listeners = || tcproute_tests::tcproute::ask(&setup.socket(), "/metrics").1;
    wait_for("nobody listens any more", || listeners().contains("\ntcproute_trace_listeners 0\n"));
    screen.type_in("?");
    screen.wait_for_line(&["q Ctrl-C", "quit"]);
    screen.type_in("q");
    assert_eq!(screen.wait_for_end().code(), Some(0));
}

#[test]
fn an_ejected_endpoint_is_marked() {
    if !is_root("an_ejected_endpoint_is_marked") {
        return;
    }
    let mut setup = Setup::new();
    // One more that does not answer, so that not all are out.
    let net = Loopback::claim();
    let dead = SocketAddr::from((net.ip(1, 9), 1));
    setup.mesh.endpoint("db", "a", dead);
    let _daemon = setup.daemon(&["--eject-after", "2", "--eject-for", "600"]);
    let mut screen = setup.top(&[]);
    screen.wait_for_line(&[">"]);
    knock(&setup.cgroup, setup.split, 30);
    let marks = ["1 out", "1 ejected"];
    screen.wait_until("it is marked", |text| {
        text.lines().any(|line| line.contains("v=a") && marks.iter().any(|mark| line.contains(mark)))
    });
    screen.type_in("/db\rd");
    screen.wait_for_line(&[&format!("out: {dead}, ejected until ")]);
    screen.type_in("q");
    assert_eq!(screen.wait_for_end().code(), Some(0));
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    if !is_root("the_terminal_is_given_back_however_it_ends") {
        return;
    }
    let setup = Setup::new();
    let _daemon = setup.daemon(&[]);
    let ends: [fn(&mut Screen); 5] = [
        |screen| screen.type_in("q"),
        |screen| screen.type_in("\x03"),
        |screen| screen.signal(Signal::SIGTERM),
        |screen| screen.signal(Signal::SIGINT),
        |screen| screen.signal(Signal::SIGHUP),
    ];
    for end in ends {
        let mut screen = setup.top(&[]);
        screen.wait_for_line(&["web → db"]);
        assert!(screen.is_taken());
        end(&mut screen);
        assert_eq!(screen.wait_for_end().code(), Some(0));
    }
}

#[test]
fn a_daemon_that_goes_away_is_told_and_one_that_comes_back_is_shown() {
    if !is_root("a_daemon_that_goes_away_is_told_and_one_that_comes_back_is_shown") {
        return;
    }
    let setup = Setup::new();
    let mut daemon = setup.daemon(&[]);
    let mut screen = setup.top(&[]);
    screen.wait_for_line(&["web → db"]);
    screen.type_in("t");
    screen.wait_for_line(&["listening: no connection yet"]);
    daemon.stop();
    screen.wait_for_line(&["OLD VALUES: no answer for"]);
    screen.wait_for_line(&["not listening: "]);
    assert!(screen.text().contains("web → db"), "the last values stay");
    let _next = setup.daemon(&[]);
    screen.wait_until("it goes on", |text| !text.contains("OLD VALUES") && text.contains("web → db"));
    screen.wait_for_line(&["listening: no connection yet"]);
    let selected = screen.wait_for_line(&[">web → "]);
    let dialled = if selected.contains("→ db") { setup.split } else { setup.closed };
    knock(&setup.cgroup, dialled, 1);
    screen.wait_until("it listens again", |text| text.contains("established") || text.contains("refused "));
    screen.type_in("q");
    assert_eq!(screen.wait_for_end().code(), Some(0));
}

/// Whether there is a command for a colour (ECMA-48, SGR).
fn has_colours(written: &[u8]) -> bool {
    let text = String::from_utf8_lossy(written);
    text.split("\x1b[").skip(1).any(|command| {
        let end = command.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(command.len());
        let parameters = command[..end].split([';', ':']).map(|number| number.parse::<u32>().unwrap_or(0));
        command[end..].starts_with('m')
            && parameters.into_iter().any(|it| matches!(it, 30..=49 | 90..=97 | 100..=107))
    })
}

#[test]
fn without_colours_none_are_written() {
    if !is_root("without_colours_none_are_written") {
        return;
    }
    let setup = Setup::new();
    let _daemon = setup.daemon(&[]);
    for (environment, colours) in
        [([("TERM", "xterm")], true), ([("NO_COLOR", "1")], false), ([("TERM", "vt100")], false)]
    {
        let mut screen = setup.top(&environment);
        screen.wait_for_line(&[">web → "]);
        screen.type_in("t");
        screen.wait_for_line(&["listening: no connection yet"]);
        screen.type_in("q");
        screen.wait_for_end();
        assert_eq!(has_colours(screen.written()), colours, "{environment:?}");
    }
}

#[test]
fn where_nothing_can_be_drawn_it_points_to_stats() {
    let output = Command::new(binary()).arg("top").env("TERM", "xterm").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("stdout is none") && said.contains("tcproute stats"), "{said}");
    let mut top = Command::new(binary());
    let mut screen = Screen::start(top.arg("top").env("TERM", "dumb"));
    assert_eq!(screen.wait_for_end().code(), Some(2));
    assert!(screen.text().contains("TERM=dumb: use `tcproute stats`"), "{}", screen.text());
    // Without a daemon there is nothing to be drawn.
    let mut top = Command::new(binary());
    top.args(["top", "--admin-socket", "/nonexistent/admin.sock"]).env("TERM", "xterm");
    let mut screen = Screen::start(&mut top);
    assert_eq!(screen.wait_for_end().code(), Some(1));
    assert!(screen.text().contains("no tcproute answers at"), "{}", screen.text());
}
