//! `--drain`: connections to endpoints that have left are closed after a while, and no others.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::PathBuf,
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::script,
    echo::Echo,
    hosts::Hosts,
    is_root,
    mesh::Mesh,
    process::Process,
    replace,
    tcproute::{Bpffs, Daemon, binary, run_arguments},
    wait_for,
};

/// A process that keeps connections, and does as it is told.
struct Client {
    _process: Process,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// `dial` prints the name that the server sends; `check` prints for each socket what has become of it: a byte is sent
/// and must come back. What was seen first counts, since the kernel tells an error once.
const CLIENT: &str = r"
sockets, ends = [], {}
def check(s):
    try:
        s.sendall(b'x')
        return 'open' if s.recv(1) == b'x' else 'EOF'
    except OSError as e:
        return errno.errorcode[e.errno] if e.errno else 'timeout'
for line in sys.stdin:
    order, *arguments = line.split()
    if order == 'dial':
        s = dial(arguments[0], int(arguments[1]))
        sockets.append(s)
        print(name(s), flush=True)
    elif order == 'poll':
        # What the kernel has for a socket that nobody uses meanwhile.
        for s in sockets:
            if s not in ends and select.select([s], [], [], 0)[0]:
                try: ends[s] = 'EOF' if s.recv(1) == b'' else 'data'
                except OSError as e: ends[s] = errno.errorcode[e.errno]
        print(*[ends.get(s, 'open') for s in sockets], flush=True)
    elif order == 'check':
        print(*[ends.get(s) or check(s) for s in sockets], flush=True)
";

impl Client {
    fn start(command: &mut Command) -> Self {
        let command = command.args(["-SEc", &script(CLIENT)]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { _process: Process(child), orders, answers }
    }

    fn order(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    fn dial(&mut self, address: SocketAddr) -> String {
        self.order(&format!("dial {} {}", address.ip(), address.port()))
    }

    /// Which of the sockets have ended, and how, without touching the others.
    fn poll(&mut self) -> Vec<String> {
        self.order("poll").split(' ').map(str::to_owned).collect()
    }

    /// As [`Self::poll`], having sent something through those that are open.
    fn check(&mut self) -> Vec<String> {
        self.order("check").split(' ').map(str::to_owned).collect()
    }
}

/// `web` dials the service `db`, whose endpoints are `a` and `b`, in turns, and `other`, whose only endpoint is `a`.
struct Setup {
    db: SocketAddr,
    other: SocketAddr,
    a: SocketAddr,
    b: SocketAddr,
    servers: [Echo; 2],
    directory: tempfile::TempDir,
    cgroup: TestCgroup,
}

const PORT: u16 = 5432;

impl Setup {
    fn new() -> Self {
        let net = Loopback::claim();
        let at = |c, d| SocketAddr::from((net.ip(c, d), PORT));
        let (a, b) = (at(1, 1), at(1, 2));
        let setup = Self {
            db: at(0, 1),
            other: at(0, 2),
            a,
            b,
            servers: [Echo::start(a, "a"), Echo::start(b, "b")],
            directory: tempfile::tempdir().unwrap(),
            cgroup: TestCgroup::create(),
        };
        setup.write(&[("a", 1), ("b", 1)], &[("a", setup.a), ("b", setup.b)]);
        setup
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("mesh.yaml")
    }

    /// The weights of `db`, and its endpoints by version.
    fn write(&self, weights: &[(&str, u32)], endpoints: &[(&str, SocketAddr)]) {
        let mut mesh = Mesh::new();
        mesh.outbound("db", self.db).outbound("other", self.other).endpoint("other", "x", self.a);
        mesh.split("db", weights);
        for (version, address) in endpoints {
            mesh.endpoint("db", version, *address);
        }
        replace(&self.file(), &mesh.text());
    }

    fn daemon(&self, more: &[&str]) -> Daemon {
        let more: Vec<&str> = ["--selection", "even"].iter().chain(more).copied().collect();
        Daemon::start_with(&mut Command::new(binary()), &self.file(), &[("web", self.cgroup.path())], &more)
    }

    fn client(&self) -> Client {
        Client::start(&mut self.cgroup.command("python3"))
    }
}

/// Waits until so many endpoints have left.
fn wait_for_waiting(daemon: &Daemon, count: u64) {
    wait_for("the status tells who has left", || {
        daemon.json("/v1/status")["drain"]["waitingEndpoints"] == count
    });
}

fn closed(daemon: &Daemon) -> u64 {
    daemon.metric("tcproute_drained_connections_total")
}

/// How often each of these is there.
fn tally(all: &[String]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    for one in all {
        *tally.entry(one.as_str()).or_default() += 1;
    }
    tally
}

#[test]
fn exactly_the_connections_to_an_endpoint_that_has_left_are_closed() {
    if !is_root("exactly_the_connections_to_an_endpoint_that_has_left_are_closed") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&["--drain", "0.5s"]);
    let below = setup.cgroup.child("below");
    let mut web = setup.client();
    let mut inside = Client::start(&mut below.command("python3"));
    let mut outside = Client::start(&mut Command::new("python3"));
    let names: Vec<String> = (0..10).map(|_| web.dial(setup.db)).collect();
    assert_eq!(tally(&names), [("a", 5), ("b", 5)].into());
    assert_eq!([inside.dial(setup.db), inside.dial(setup.db)].iter().filter(|name| *name == "a").count(), 1);
    // The same endpoint otherwise: another route, dialled directly, and by somebody else.
    assert_eq!([web.dial(setup.other), web.dial(setup.a), outside.dial(setup.a)], ["a", "a", "a"]);

    setup.write(&[("b", 1)], &[("b", setup.b)]);
    daemon.wait_for_line(&format!("{} has left {}: 6 connections closed", setup.a, setup.db));
    let wanted: Vec<&str> = names
        .iter()
        .map(|name| if name == "a" { "ECONNABORTED" } else { "open" })
        .chain(["open"; 2])
        .collect();
    assert_eq!(web.poll(), wanted);
    assert_eq!(web.check(), wanted);
    assert_eq!(tally(&inside.poll()), [("ECONNABORTED", 1), ("open", 1)].into());
    assert_eq!(outside.check(), ["open"]);
    assert_eq!(setup.servers[0].ended(6), ["ECONNRESET"; 6]);
    assert_eq!(setup.servers[1].ended(0), [] as [&str; 0]);
    assert_eq!(closed(&daemon), 6);
    wait_for("the status tells", || {
        daemon.json("/v1/status")["drain"]
            == json!({"graceSeconds": 0.5, "waitingEndpoints": 0, "closedConnections": 6})
    });
    // New ones are as they should be.
    assert_eq!(web.dial(setup.db), "b");
}

/// With the next one that leaves, their time would have been over.
#[test]
fn an_endpoint_that_comes_back_or_has_no_weight_keeps_its_connections() {
    if !is_root("an_endpoint_that_comes_back_or_has_no_weight_keeps_its_connections") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&["--drain", "10"]);
    let mut web = setup.client();
    let names: Vec<String> = (0..6).map(|_| web.dial(setup.db)).collect();
    assert_eq!(tally(&names), [("a", 3), ("b", 3)].into());
    let both = [("a", setup.a), ("b", setup.b)];

    setup.write(&[("b", 1)], &[("b", setup.b)]);
    daemon.wait_for_line("new routes in force");
    wait_for_waiting(&daemon, 1);
    setup.write(&[("a", 1), ("b", 1)], &both);
    daemon.wait_for_line("new routes in force");
    wait_for_waiting(&daemon, 0);
    setup.write(&[("a", 0), ("b", 1)], &both);
    daemon.wait_for_line("new routes in force");
    wait_for_waiting(&daemon, 0);
    setup.write(&[("a", 0)], &both[..1]);
    daemon.wait_for_line(&format!("{} has left {}: 3 connections closed", setup.b, setup.db));
    let wanted = names.iter().map(|name| if name == "b" { "ECONNABORTED" } else { "open" });
    assert_eq!(web.check(), wanted.collect::<Vec<_>>());
    assert_eq!(closed(&daemon), 3);
}

/// What one daemon closes, another one beside it that was not asked to does not.
#[test]
fn nothing_is_closed_unless_that_is_asked_for() {
    if !is_root("nothing_is_closed_unless_that_is_asked_for") {
        return;
    }
    let setups = [Setup::new(), Setup::new()];
    let [keeps, closes] = [setups[0].daemon(&[]), setups[1].daemon(&["--drain", "0.1"])];
    let mut clients = setups.each_ref().map(Setup::client);
    for (client, setup) in clients.iter_mut().zip(&setups) {
        let names = [client.dial(setup.db), client.dial(setup.db)];
        assert_eq!(tally(&names), [("a", 1), ("b", 1)].into());
    }
    for (setup, daemon) in setups.iter().zip([&keeps, &closes]) {
        setup.write(&[("b", 1)], &[("b", setup.b)]);
        daemon.wait_for_line("new routes in force");
    }
    closes.wait_for_line("1 connections closed");
    assert_eq!(clients[0].check(), ["open", "open"]);
    assert_eq!(keeps.json("/v1/status")["drain"], Value::Null);
    assert_eq!(tally(&clients[1].check()), [("ECONNABORTED", 1), ("open", 1)].into());
}

/// A later daemon sees what has left since the one before.
#[test]
fn what_has_left_while_no_daemon_was_running_is_closed() {
    if !is_root("what_has_left_while_no_daemon_was_running_is_closed") {
        return;
    }
    let setup = Setup::new();
    let mut first = setup.daemon(&["--drain", "0.1"]);
    let mut web = setup.client();
    let names = [web.dial(setup.db), web.dial(setup.db)];
    assert_eq!(first.stop(), Some(0));
    setup.write(&[("b", 1)], &[("b", setup.b)]);
    assert_eq!(web.check(), ["open", "open"]);
    let mut command = Command::new(binary());
    let workloads = [("web", setup.cgroup.path())];
    let socket = first.admin_socket();
    let second = run_arguments(&mut command, &setup.file(), first.bpffs.path(), &socket, &workloads);
    let second = second.args(["--selection", "even", "--drain", "0.1"]);
    let _second = Process(second.stdin(Stdio::null()).spawn().unwrap());
    wait_for("the connection is closed", || {
        let wanted = names.iter().map(|name| if name == "a" { "ECONNABORTED" } else { "open" });
        web.poll() == wanted.collect::<Vec<_>>()
    });
    assert_eq!(tally(&web.check()), [("ECONNABORTED", 1), ("open", 1)].into());
}

/// Two sockets with one place in the map: the state of the second is elsewhere.
#[test]
fn a_socket_whose_place_is_taken_is_closed_as_well() {
    if !is_root("a_socket_whose_place_is_taken_is_closed_as_well") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&["--drain", "0.1"]);
    let body = format!(
        "
one_cpu()
first = dial('{other}', {PORT})
second = with_the_place_of(first)
second.settimeout(60)
second.connect(('{db}', {PORT}))
print(name(second), flush=True)
try: print(second.recv(1))
except OSError as e: print(errno.errorcode[e.errno])
name(first); first.sendall(b'x'); print(first.recv(1))
",
        other = setup.other.ip(),
        db = setup.db.ip()
    );
    setup.write(&[("a", 1)], &[("a", setup.a)]);
    daemon.wait_for_line("new routes in force");
    let mut client = setup.cgroup.command("python3");
    let mut child = client.args(["-SEc", &script(&body)]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut child = Process(child);
    assert_eq!(lines.next().as_deref(), Some("a"));
    assert_eq!(daemon.metric("tcproute_connection_states_total{place=\"overflow\"}"), 1);
    setup.write(&[("b", 1)], &[("b", setup.b)]);
    assert_eq!(lines.collect::<Vec<_>>(), ["ECONNABORTED", "b'x'"]);
    assert!(child.0.wait().unwrap().success());
}

#[test]
fn a_workload_in_a_network_namespace_of_its_own() {
    const TEST: &str = "a_workload_in_a_network_namespace_of_its_own";
    if !is_root(TEST) {
        return;
    }
    let Some(hosts) = Hosts::of(TEST) else { return };
    let dialled: SocketAddr = "10.99.0.1:5432".parse().unwrap();
    let [a, b] = [5001, 5002].map(|port| SocketAddr::from((hosts.server_address(), port)));
    let _servers =
        [(a, "a"), (b, "b")].map(|(address, name)| Echo::serve(hosts.listen_on_server(address), name));
    let cgroup = TestCgroup::create();
    let state = |endpoints: &[SocketAddr]| {
        let mut mesh = Mesh::new();
        mesh.outbound("db", dialled);
        for &endpoint in endpoints {
            mesh.endpoint("db", "x", endpoint);
        }
        mesh.text()
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.yaml");
    fs::write(&file, state(&[a])).unwrap();
    let workloads = [("web", cgroup.path())];
    let daemon = Daemon::start_with(&mut Command::new(binary()), &file, &workloads, &["--drain", "0.1"]);
    let mut web = Client::start(&mut hosts.on_client_in(&cgroup, "python3"));
    wait_for("its network namespace is known", || {
        let status = daemon.json("/v1/status");
        let namespaces = status["networkNamespaces"].as_array().unwrap();
        namespaces.iter().any(|it| it["dataplanes"] == json!(["web"]) && it["way"] == "plain")
    });
    assert_eq!([web.dial(dialled), web.dial(a)], ["a", "a"]);
    replace(&file, &state(&[b]));
    daemon.wait_for_line(&format!("{a} has left {dialled}: 1 connections closed"));
    assert_eq!(web.check(), ["ECONNABORTED", "open"]);
    assert_eq!(web.dial(dialled), "b");
}

#[test]
fn an_ipv6_socket_is_closed_as_well() {
    if !is_root("an_ipv6_socket_is_closed_as_well") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&["--drain", "0.1"]);
    let mut web = setup.client();
    let mapped = |address: SocketAddr| format!("::ffff:{}", address.ip());
    let dial = format!("dial {} {PORT}", mapped(setup.db));
    let names = [web.order(&dial), web.order(&dial)];
    assert_eq!(tally(&names), [("a", 1), ("b", 1)].into());
    setup.write(&[("b", 1)], &[("b", setup.b)]);
    daemon.wait_for_line("1 connections closed");
    assert_eq!(tally(&web.check()), [("ECONNABORTED", 1), ("open", 1)].into());
}

/// A kernel that cannot do it is not at hand; a process that may not do it is.
#[test]
fn who_may_not_close_connections_is_told_at_the_start() {
    if !is_root("who_may_not_close_connections_is_told_at_the_start") {
        return;
    }
    let (bpffs, cgroup) = (Bpffs::mount(), TestCgroup::create());
    let mut mesh = Mesh::new();
    mesh.outbound("db", "127.0.0.1:1".parse().unwrap());
    let mut command = Command::new("setpriv");
    command.arg("--bounding-set=-net_admin").arg(binary()).args(["run", "--drain", "30s", "--resources"]);
    command.arg(mesh.file()).arg("--bpffs").arg(bpffs.path());
    let output = command.arg("--workload").arg(format!("web={}", cgroup.path().display())).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("--drain") && stderr.contains("CAP_NET_ADMIN"), "{stderr}");
    assert!(!bpffs.path().join("tcproute").exists(), "it was refused before anything was done");
}
