//! A workload that opens many sockets takes its share of memory and no more; others do not notice.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{Client, script, stdout},
    is_root,
    routes::OneBackend,
    tcproute::{Daemon, binary},
    wait_for,
};

/// Of 40 for all, one workload may have a fourth.
const MOST: &str = "40";
const SHARE: u64 = 10;

/// Sockets that have places of their own, in a row.
const FIRST: u64 = 64;

/// `rivals(count)`: so many sockets whose place is taken by one of the first, each with a connection. `named(sockets)`:
/// of how many getpeername() says what they have dialled.
const RIVALS: &str = "
one_cpu()
firsts = []
def rivals(count):
    if not firsts:
        firsts.extend(socket.socket() for _ in range(FIRST))
        for s in firsts: connect(s)
    places = {place(s) for s in firsts}
    sockets, s = [], with_the_place_of(firsts[0])
    while len(sockets) < count:
        # Others on this CPU make sockets, too.
        if place(s) in places: sockets.append(s)
        past = place(s) - place(firsts[0]) & 0xffff > FIRST + 100
        s = with_the_place_of(firsts[0]) if past else socket.socket()
    # Those who come next shall have free places.
    while place(s) in places: s = socket.socket()
    for s in sockets: connect(s)
    return sockets
def connect(s):
    s.settimeout(10)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.connect((HOST, PORT))
    assert name(s) == 'backend'
def named(sockets): return sum(s.getpeername() == (HOST, PORT) for s in sockets)
";

/// One test at a time: they count on the order in which this CPU gives out cookies.
static ALONE: Mutex<()> = Mutex::new(());

struct Setup {
    route: OneBackend,
    attacker: TestCgroup,
    victim: TestCgroup,
    daemon: Daemon,
    alone: MutexGuard<'static, ()>,
}

impl Setup {
    fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let route = OneBackend::new(Loopback::claim());
        let [attacker, victim] = [TestCgroup::create(), TestCgroup::create()];
        let workloads = [("web", attacker.path()), ("web", victim.path())];
        let more = ["--max-remembered-sockets", MOST];
        let daemon = Daemon::start_with(&mut Command::new(binary()), &route.mesh.file(), &workloads, &more);
        Self { route, attacker, victim, daemon, alone }
    }

    fn body(&self, body: &str) -> String {
        let (host, port) = (self.route.dialled.ip(), self.route.dialled.port());
        format!("HOST, PORT, FIRST = '{host}', {port}, {FIRST}\n{RIVALS}\n{body}")
    }

    fn share(&self, which: &str) -> u64 {
        self.daemon.metric(&format!("tcproute_share_{which}{{of=\"sockets\"}}"))
    }

    fn exceeded(&self, cgroup: &TestCgroup) -> Option<u64> {
        let (_, metrics) = self.daemon.get("/metrics");
        let line = metrics.lines().find(|line| {
            line.starts_with("tcproute_share_exceeded_total{of=\"sockets\"")
                && line.contains(&cgroup.path().display().to_string())
        })?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    /// Connections and open ones of a workload.
    fn counted(&self, cgroup: &TestCgroup) -> (u64, u64) {
        let outcomes = self.daemon.json("/v1/outcomes");
        let mut workloads = outcomes.as_array().unwrap().iter();
        let path = cgroup.path().display().to_string();
        let of = workloads.find(|it| it["cgroup"] == path.as_str()).unwrap();
        let counts = &of["routes"][0]["backends"][0]["total"];
        let number = |name: &str| counts[name].as_u64().unwrap();
        (number("attempted"), number("established") - number("closed"))
    }
}

#[test]
fn a_workload_that_opens_many_sockets_has_its_share_and_others_lose_nothing() {
    if !is_root("a_workload_that_opens_many_sockets_has_its_share_and_others_lose_nothing") {
        return;
    }
    let setup = Setup::new();
    assert_eq!(setup.share("most"), SHARE);
    let body = setup.body("sockets = rivals(13); print(named(sockets), flush=True); sys.stdin.readline()");
    let mut attacker = Client::start(setup.attacker.command("python3"), &body);
    // Ten are remembered, and three are routed and no more.
    assert_eq!(attacker.line(), SHARE.to_string());
    assert_eq!((setup.share("taken"), setup.share("largest")), (SHARE, SHARE));
    assert_eq!(setup.exceeded(&setup.attacker), Some(3));
    assert_eq!(setup.daemon.metric("tcproute_connection_states_total{place=\"nowhere\"}"), 3);
    assert_eq!(setup.counted(&setup.attacker), (FIRST + SHARE, FIRST + SHARE));

    // The other one has its own share, to the last.
    let body = setup
        .body(&format!("sockets = rivals({SHARE}); print(named(sockets), flush=True); sys.stdin.readline()"));
    let mut victim = Client::start(setup.victim.command("python3"), &body);
    assert_eq!(victim.line(), SHARE.to_string());
    assert_eq!((setup.share("taken"), setup.share("largest")), (2 * SHARE, SHARE));
    assert_eq!(setup.exceeded(&setup.victim), None);
    assert_eq!(setup.counted(&setup.victim), (FIRST + SHARE, FIRST + SHARE));

    attacker.end();
    wait_for("the attacker's share is given back", || setup.share("taken") == SHARE);
    victim.end();
    wait_for("the victim's, too", || setup.share("taken") == 0);
    for cgroup in [&setup.attacker, &setup.victim] {
        wait_for("no connection is open", || setup.counted(cgroup) == (FIRST + SHARE, 0));
    }
}

/// Each way on which a state in `overflow` ends gives its place in the share back.
#[test]
fn what_sockets_come_to_gives_their_share_back() {
    if !is_root("what_sockets_come_to_gives_their_share_back") {
        return;
    }
    let setup = Setup::new();
    let endpoint = setup.route.backend.address();
    let body = setup.body(&format!(
        "
first, *second = rivals(4)
# Used again, for a routed address and for another.
disconnect(first); first.connect((HOST, PORT)); assert first.getpeername() == (HOST, PORT)
disconnect(first); first.connect(('{ip}', {port})); assert first.getpeername() == ('{ip}', {port})
first.close()
# Never sent, since its address and port are taken, and then closed or used again.
for s in second[:2]:
    disconnect(s)
    s.bind(firsts[0].getsockname())
    assert s.connect_ex((HOST, PORT)) == errno.EADDRNOTAVAIL
second[1].connect_ex(('{ip}', {port}))
# Closed by a reset.
second[2].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
for s in second: s.close()
try:
    for _ in range(25):
        m = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
        m.connect((HOST, PORT)); m.close()
except OSError as e: print('no MPTCP: ' + str(e), file=sys.stderr)
# None of it has used up anything.
sockets = rivals({SHARE})
print(named(sockets), flush=True); sys.stdin.readline()
",
        ip = endpoint.ip(),
        port = endpoint.port(),
    ));
    let mut client = Client::start(setup.attacker.command("python3"), &body);
    assert_eq!(client.line(), SHARE.to_string());
    assert_eq!(setup.share("taken"), SHARE);
    client.end();
    wait_for("all is given back", || setup.share("taken") == 0);
}

/// The share of a workload that is gone while its sockets live on is nobody's, and one with the same cgroup begins
/// anew.
#[test]
fn sockets_that_outlive_their_workload_take_nothing_of_its_next_share() {
    if !is_root("sockets_that_outlive_their_workload_take_nothing_of_its_next_share") {
        return;
    }
    let setup = Setup::new();
    let body = setup.body("sockets = rivals(10); print(named(sockets), flush=True); sys.stdin.readline()");
    let mut client = Client::start(setup.attacker.command("python3"), &body);
    assert_eq!(client.line(), "10");
    let Setup { route, attacker, victim, mut daemon, alone } = setup;
    // It ends before its cgroup, also if this fails.
    let client = client;
    daemon.stop();
    // The next daemon has only the other one, and the one after it both again.
    let bpffs = std::rc::Rc::clone(&daemon.bpffs);
    drop(daemon);
    let more = ["--max-remembered-sockets", MOST];
    let start = |workloads: &[(&str, &std::path::Path)]| {
        Daemon::start_on(&bpffs, &mut Command::new(binary()), &route.mesh.file(), workloads, &more)
    };
    let mut daemon = start(&[("web", victim.path())]);
    assert_eq!(daemon.metric("tcproute_share_taken{of=\"sockets\"}"), 0);
    daemon.stop();
    drop(daemon);
    let daemon = start(&[("web", attacker.path()), ("web", victim.path())]);
    let setup = Setup { route, attacker, victim, daemon, alone };
    let client = client;
    let body = setup.body("sockets = rivals(10); print(named(sockets), flush=True); sys.stdin.readline()");
    let mut second = Client::start(setup.attacker.command("python3"), &body);
    assert_eq!(second.line(), "10");
    client.end();
    // Those of before end, and do not count for those of now.
    let answered = setup
        .attacker
        .command("python3")
        .args(["-SEc", &script(&setup.body("print(name(dial(HOST, PORT)))"))])
        .output();
    assert_eq!(stdout(&answered.unwrap()), "backend");
    assert_eq!(setup.share("taken"), SHARE);
    second.end();
    wait_for("all is given back", || setup.share("taken") == 0);
}
