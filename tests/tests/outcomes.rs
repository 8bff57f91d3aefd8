//! What is counted of connections is what the clients have seen.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{Client, script, stdout},
    hosts::Hosts,
    is_root,
    mesh::Mesh,
    sample,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for,
};

/// What an entry of the map `outcomes` has counted over all CPUs, by field, without what is zero; `latency` is the sum
/// of the histogram.
fn counted(daemon: &Daemon, at: u8) -> BTreeMap<String, u64> {
    let map = daemon.bpffs.path().join("tcproute/outcomes");
    let mut lookup = Command::new("bpftool");
    lookup.args(["-j", "map", "lookup", "pinned"]).arg(map).args(["key", &at.to_string(), "0", "0", "0"]);
    let entry: Value = serde_json::from_str(&stdout(&lookup.output().unwrap())).unwrap();
    let mut sums = BTreeMap::new();
    for cpu in entry["formatted"]["values"].as_array().unwrap() {
        for (name, value) in cpu["value"].as_object().unwrap() {
            let number = |value: &Value| value.as_u64().unwrap();
            let value =
                value.as_array().map_or_else(|| number(value), |array| array.iter().map(number).sum());
            *sums.entry(name.clone()).or_insert(0) += value;
        }
    }
    // How long it took is another matter for each run.
    sums.remove("latency_us");
    sums.retain(|_, value| *value > 0);
    sums
}

fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.into_iter().filter(|(_, value)| *value > 0).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The ends of connections reach the counts in their own time, and there they stay.
fn wait_for_counts(daemon: &Daemon, at: u8, expected: &BTreeMap<String, u64>) {
    let mut seen = BTreeMap::new();
    wait_for(&format!("at {at} counts {expected:?}"), || {
        let now = counted(daemon, at);
        if now != seen {
            println!("at {at}: {now:?}");
            seen = now;
        }
        seen == *expected
    });
}

/// A daemon with one route, in whose counts each backendRef `(version, weight)` has the at of its number, from 1.
struct Setup {
    daemon: Daemon,
    cgroup: TestCgroup,
    dialled: SocketAddr,
    _mesh: Mesh,
}

impl Setup {
    fn new(weights: &[(&str, u32)], endpoints: &[(&str, SocketAddr)]) -> Self {
        let dialled: SocketAddr = (Loopback::claim().ip(0, 1), 5432).into();
        let mut mesh = Mesh::new();
        mesh.outbound("db", dialled).split("db", weights);
        for (version, address) in endpoints {
            mesh.endpoint("db", version, *address);
        }
        let cgroup = TestCgroup::create();
        let daemon = Daemon::start(&mesh.file(), &[("web", cgroup.path())]);
        Self { daemon, cgroup, dialled, _mesh: mesh }
    }

    fn one(endpoint: SocketAddr) -> Self {
        Self::new(&[("x", 1)], &[("x", endpoint)])
    }

    fn python(&self, body: &str) -> String {
        let mut python = self.cgroup.command("python3");
        stdout(&python.args(["-SEc", &script(&(self.head() + body))]).output().unwrap())
    }

    fn head(&self) -> String {
        format!("DIALLED = ('{}', {})\n", self.dialled.ip(), self.dialled.port())
    }
}

/// Sixteen processes with four threads each, on all CPUs. Half of the connections are refused, and tried again on the
/// same socket. Every eighth stays open.
#[test]
fn counts_are_exact_with_clients_on_all_cpus_at_once() {
    if !is_root("counts_are_exact_with_clients_on_all_cpus_at_once") {
        return;
    }
    let net = Loopback::claim();
    let up = Server::start((net.ip(1, 1), 0), "up");
    let down = SocketAddr::from((net.ip(1, 2), 1));
    let setup = Setup::new(&[("up", 1), ("down", 1)], &[("up", up.address()), ("down", down)]);
    let each = u64::from(sample(48));
    let body = format!("{}EACH = {each}\n", setup.head())
        + "
import threading
PROCESSES, THREADS = 16, 4
def client(counts, held):
    for i in range(EACH):
        s = socket.socket()
        while (e := s.connect_ex(DIALLED)) != 0:
            assert e == errno.ECONNREFUSED, e
            counts['refused'] += 1
        counts['established'] += 1
        assert name(s) == 'up'
        if i % 8 == 0: held.append(s)
        else: s.close()
go, ready, pids = os.pipe(), os.pipe(), []
for p in range(PROCESSES):
    if (pid := os.fork()) == 0:
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, [cpus[p % len(cpus)]])
        counts, held_by_each = [collections.Counter() for _ in range(THREADS)], [[] for _ in range(THREADS)]
        threads = [threading.Thread(target=client, args=pair) for pair in zip(counts, held_by_each)]
        for t in threads: t.start()
        for t in threads: t.join()
        total, held = sum(counts, collections.Counter()), sum(map(len, held_by_each))
        os.write(ready[1], struct.pack('QQQ', total['established'], total['refused'], held))
        os.close(go[1]); os.read(go[0], 1)
        os._exit(0)
    pids.append(pid)
totals = [struct.unpack('QQQ', os.read(ready[0], 24)) for _ in pids]
print(*map(sum, zip(*totals)), flush=True)
sys.stdin.readline()
os.close(go[1])
for pid in pids: assert os.waitpid(pid, 0)[1] == 0
print('done', flush=True)
";
    let mut client = Client::start(setup.cgroup.command("python3"), &body);
    let numbers: Vec<u64> = client.line().split(' ').map(|number| number.parse().unwrap()).collect();
    let [established, refused, held] = numbers[..] else { panic!("{numbers:?}") };
    println!("the clients: {established} established, {refused} refused, {held} held open");
    assert_eq!(established, 16 * 4 * each);
    let so_far = |closed| {
        counts([
            ("attempted", established),
            ("established", established),
            ("latency", established),
            ("closed", closed),
        ])
    };
    wait_for_counts(&setup.daemon, 1, &so_far(established - held));
    assert_eq!(counted(&setup.daemon, 2), counts([("attempted", refused), ("refused", refused)]));
    client.go_on();
    assert_eq!(client.line(), "done");
    wait_for_counts(&setup.daemon, 1, &so_far(established));
    client.end();
}

#[test]
fn every_way_to_connect_is_counted_once() {
    if !is_root("every_way_to_connect_is_counted_once") {
        return;
    }
    let backend = Server::start((Loopback::claim().ip(1, 1), 0), "backend");
    let setup = Setup::one(backend.address());
    let done = setup.python(
        "
done = 0
def finish(s):
    global done
    assert name(s) == 'backend'
    s.close()
    done += 1
# Blocking, and through an IPv6 socket.
finish(dial(*DIALLED))
finish(dial('::ffff:' + DIALLED[0], DIALLED[1]))
# Non-blocking: connect() is called again to see what came of it.
s = socket.socket(); s.setblocking(False)
e = s.connect_ex(DIALLED); assert e in (0, errno.EINPROGRESS), e
select.select([], [s], [], 10)
e = s.connect_ex(DIALLED); assert e in (0, errno.EISCONN), e
s.setblocking(True); finish(s)
# TCP Fast Open: by sendto(), and by connect() that waits for the first send() once there is a cookie.
for _ in range(2):
    s = socket.socket(); s.sendto(b'hello', socket.MSG_FASTOPEN, DIALLED); finish(s)
s = socket.socket(); s.setsockopt(socket.IPPROTO_TCP, 30, 1); s.connect(DIALLED); s.send(b'hello'); finish(s)
# Half closed, and duplicated into a child.
s = dial(*DIALLED); s.shutdown(socket.SHUT_WR); finish(s)
s = dial(*DIALLED)
if os.fork() == 0: os._exit(0)
os.wait(); finish(s)
# Disconnected, and used again.
s = dial(*DIALLED); disconnect(s); done += 1
s.connect(DIALLED); finish(s)
# Closed with data that nobody has read: with RST.
s = dial(*DIALLED); s.recv(1); s.close(); done += 1
# The first subflow of MPTCP, where the kernel has it.
try:
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    s.connect(DIALLED); finish(s)
except OSError as e: assert e.errno in (errno.EPROTONOSUPPORT, errno.EINVAL, errno.ENOPROTOOPT), e
print(done)
",
    );
    let done = done.parse().unwrap();
    let all = counts([("attempted", done), ("established", done), ("latency", done), ("closed", done)]);
    wait_for_counts(&setup.daemon, 1, &all);
}

#[test]
fn a_connection_without_a_syn_and_one_that_is_reset() {
    if !is_root("a_connection_without_a_syn_and_one_that_is_reset") {
        return;
    }
    let net = Loopback::claim();
    let endpoint = SocketAddr::from((net.ip(1, 1), 7000));
    let setup = Setup::one(endpoint);
    let out = setup.python(&format!(
        "
own = ('{}', 7001)
listener = socket.create_server(('{}', {}))
def bound():
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(own)
    return s
first = bound(); first.connect(DIALLED)
accepted = listener.accept()[0]
# Twice the same pair of addresses cannot be: once more on the same socket, and then it is closed.
second = bound()
for _ in range(2): print(errno.errorcode[second.connect_ex(DIALLED)])
second.close()
# Reset with a byte acknowledged, and before.
first.send(b'x'); accepted.recv(1)
accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); accepted.close()
try: first.recv(1)
except ConnectionResetError: print('reset')
first.close()
third = dial(*DIALLED)
accepted = listener.accept()[0]
accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); accepted.close()
try: third.recv(1)
except ConnectionResetError: print('reset')
",
        net.ip(2, 1),
        endpoint.ip(),
        endpoint.port()
    ));
    assert_eq!(out, "EADDRNOTAVAIL\nEADDRNOTAVAIL\nreset\nreset");
    let all =
        [("attempted", 4), ("unsent", 2), ("established", 2), ("latency", 2), ("closed", 2), ("reset", 1)];
    wait_for_counts(&setup.daemon, 1, &counts(all));
}

#[test]
fn what_the_network_answers() {
    if !is_root("what_the_network_answers") {
        return;
    }
    let Some(hosts) = Hosts::of("what_the_network_answers") else { return };
    // An answer to every SYN.
    hosts.set_on_server("icmp_ratelimit", 0);
    hosts.route_on_server("blackhole", "10.78.1.0/24");
    hosts.route_on_server("unreachable", "10.78.2.0/24");
    // Routes of one workload get their counts in the order of their services.
    let ends = [
        ("closed", hosts.server_address(), "ECONNREFUSED", counts([("attempted", 2), ("refused", 2)])),
        ("silent", Ipv4Addr::new(10, 78, 1, 1), "ETIMEDOUT", counts([("attempted", 2), ("timed_out", 2)])),
        (
            "unreachable",
            Ipv4Addr::new(10, 78, 2, 1),
            "EHOSTUNREACH",
            counts([("attempted", 2), ("unreachable", 2)]),
        ),
    ];
    let dialled = |number| SocketAddr::from((Ipv4Addr::new(10, 99, 0, number), 5432));
    let mut mesh = Mesh::new();
    for ((what, endpoint, ..), number) in ends.iter().zip(1..) {
        mesh.outbound(what, dialled(number)).endpoint(what, "x", (*endpoint, 1).into());
    }
    let cgroup = TestCgroup::create();
    let daemon = Daemon::start(&mesh.file(), &[("web", cgroup.path())]);
    for ((what, _, error, expected), at) in ends.into_iter().zip(1..) {
        println!("{what}");
        let dialled = dialled(at);
        // One SYN more: the kernel gives up after three seconds. The socket is used twice.
        let body = format!(
            "
DIALLED = ('{}', {})
s = socket.socket(); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
for _ in range(2): print(errno.errorcode[s.connect_ex(DIALLED)])
",
            dialled.ip(),
            dialled.port()
        );
        let mut python = hosts.on_client_in(&cgroup, "python3");
        let out = stdout(&python.args(["-SEc", &script(&body)]).output().unwrap());
        assert_eq!(out, [error; 2].join("\n"));
        wait_for_counts(&daemon, at, &expected);
        if what == "silent" {
            gives_up(&hosts, &cgroup, &daemon, (at, dialled));
        }
    }
}

/// An application that does not wait for an answer.
fn gives_up(hosts: &Hosts, cgroup: &TestCgroup, daemon: &Daemon, (at, dialled): (u8, SocketAddr)) {
    let body = format!(
        "
def begin(s):
    s.setblocking(False)
    e = s.connect_ex(('{}', {})); assert e == errno.EINPROGRESS, e
s = socket.socket(); begin(s)
print('dialling', flush=True); sys.stdin.readline()
disconnect(s); begin(s); s.close()
print('gave up', flush=True); sys.stdin.readline()
",
        dialled.ip(),
        dialled.port()
    );
    let mut client = Client::start(hosts.on_client_in(cgroup, "python3"), &body);
    assert_eq!(client.line(), "dialling");
    wait_for_counts(daemon, at, &counts([("attempted", 3), ("timed_out", 2)]));
    client.go_on();
    assert_eq!(client.line(), "gave up");
    wait_for_counts(daemon, at, &counts([("attempted", 4), ("timed_out", 2), ("aborted", 2)]));
    client.end();
}

/// New endpoints are a new run of backends. What was counted stays, and open connections end where they were counted.
#[test]
fn a_change_of_routes_keeps_the_counts() {
    if !is_root("a_change_of_routes_keeps_the_counts") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let _servers = [Server::start((net.ip(1, 1), 5432), "old"), Server::start((net.ip(1, 2), 5432), "new")];
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    let write = |ip: Ipv4Addr| std::fs::write(&hosts, format!("{ip} db.example\n")).unwrap();
    write(net.ip(1, 1));
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).document(
        "type: ExternalService\nname: db\ntags: {kuma.io/service: db}\nnetworking: {address: 'db.example:5432'}\n",
    );
    let cgroup = TestCgroup::create();
    let mut daemon = daemon_with_hosts(&hosts, &mesh.file(), cgroup.path());
    let body = format!(
        "
first = dial('{0}', {1}); print(name(first), flush=True)
sys.stdin.readline()
second = dial('{0}', {1}); print(name(second), flush=True)
sys.stdin.readline()
first.close(); second.close(); print('closed', flush=True)
sys.stdin.readline()
",
        dialled.ip(),
        dialled.port()
    );
    let mut client = Client::start(cgroup.command("python3"), &body);
    assert_eq!(client.line(), "old");
    write(net.ip(1, 2));
    daemon.wait_for_line("new routes in force");
    client.go_on();
    assert_eq!(client.line(), "new");
    wait_for_counts(&daemon, 1, &counts([("attempted", 2), ("established", 2), ("latency", 2)]));
    client.go_on();
    assert_eq!(client.line(), "closed");
    wait_for_counts(
        &daemon,
        1,
        &counts([("attempted", 2), ("established", 2), ("latency", 2), ("closed", 2)]),
    );
    client.end();
    daemon.stop();
    let line = daemon.wait_for_line("attempted");
    let expected = format!("web: db at {dialled} to MeshService db: 2 attempted, 2 established, 2 closed");
    assert!(line.ends_with(&expected), "{line}");
}

/// A daemon that sees an `/etc/hosts` of its own, through a mount namespace.
fn daemon_with_hosts(hosts: &Path, resources: &Path, cgroup: &Path) -> Daemon {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
        .arg(hosts)
        .arg(binary());
    Daemon::start_with(&mut command, resources, &[("web", cgroup)], &["--dns-interval", "0.1"])
}
