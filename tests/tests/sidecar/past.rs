//! Routed connections get past the sidecar, and no others.

use tcproute_tests::{
    is_slow,
    sidecar::{APPLICATION, Backend, Families, Redirection, Version},
    tcproute::binary,
};

use super::setup::{DEAD, ROUTED, Setup, UNROUTED, proxied};

/// 200 routed connections by IPv4, IPv6 and v4-mapped sockets, and as many that are not routed.
fn only_routed_connections_get_past(test: &str, backend: Backend, families: Families, version: Version) {
    let Some(mut setup) = Setup::new(test, &Redirection::new(backend, families, version)) else { return };
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    // What is not redirected is left out: it waits for an answer of nobody.
    let redirected: Vec<usize> = (0..3)
        .filter(|&kind| if kind == 1 { families != Families::V4 } else { families != Families::V6 })
        .collect();
    let body = format!(
        "
names = collections.Counter()
for i in range(200):
    net = ['10.43.0.', 'fd43::', '::ffff:10.43.0.'][i % 3]
    with dial(f'{{net}}20', 3001) as s:
        assert s.getpeername()[:2] == (f'{{net}}20', 3001), s.getpeername()
        names['routed', name(s), hex(s.getsockopt(socket.SOL_SOCKET, socket.SO_MARK))] += 1
    if i % 3 in {redirected:?}: names['not routed', i % 3, answer(f'{{net}}99', 3001)] += 1
for n, c in sorted(names.items(), key=str): print(*n, c)
"
    );
    let not_routed = [(UNROUTED[0], 67), (UNROUTED[1], 67), (UNROUTED[0], 66)];
    let left = redirected.iter().map(|&kind| {
        let (dialled, count) = not_routed[kind];
        format!("not routed {kind} {} {count}", proxied(dialled))
    });
    let expected: Vec<String> = left.chain(["routed endpoint 0x2000 200".to_owned()]).collect();
    let expected = expected.join("\n");
    let users = if is_slow() { &[APPLICATION][..] } else { &[APPLICATION, 0, 12345] };
    let routed = 200 * users.len() as u64;
    for &uid in users {
        assert_eq!(setup.python(uid, &body), expected, "as user {uid}");
    }
    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"routed\"}"), routed);
    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"held\"}"), 0);
    // Its own connections are routed by nobody.
    let direct = ROUTED.map(|text| setup.sidecar.ask(text.parse().unwrap()));
    assert_eq!(direct, ["direct", "direct"]);
    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"routed\"}"), routed);
}

#[test]
fn past_legacy_v4() {
    only_routed_connections_get_past("past_legacy_v4", Backend::Legacy, Families::V4, Version::V2_4);
}

#[test]
fn past_legacy_v6() {
    only_routed_connections_get_past("past_legacy_v6", Backend::Legacy, Families::V6, Version::V2_4);
}

#[test]
fn past_legacy() {
    only_routed_connections_get_past("past_legacy", Backend::Legacy, Families::Both, Version::V2_14);
}

#[test]
fn past_nft_v4() {
    only_routed_connections_get_past("past_nft_v4", Backend::Nft, Families::V4, Version::V2_14);
}

#[test]
fn past_nft_v6() {
    only_routed_connections_get_past("past_nft_v6", Backend::Nft, Families::V6, Version::V2_14);
}

#[test]
fn past_nft() {
    only_routed_connections_get_past("past_nft", Backend::Nft, Families::Both, Version::V2_4);
}

const BOTH: Redirection = Redirection::new(Backend::Nft, Families::Both, Version::V2_14);

/// On the same socket: after an attempt that has failed, and after a connection that has ended.
#[test]
fn the_mark_goes_with_the_route() {
    let Some(setup) = Setup::new("the_mark_goes_with_the_route", &BOTH) else { return };
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    let (dead, _) = DEAD.split_once(':').unwrap();
    let body = format!(
        "
def mark(s): return hex(s.getsockopt(socket.SOL_SOCKET, socket.SO_MARK))
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x41)
try: s.connect(('{dead}', 3001))
except OSError as e: print(errno.errorcode[e.errno], mark(s))
s.connect(('10.43.0.99', 3001))
print(name(s), mark(s))
disconnect(s)
s.connect(('10.43.0.20', 3001))
print(name(s), mark(s))
disconnect(s)
print('disconnected', mark(s))
s.connect(('10.43.0.99', 3001))
print(name(s), mark(s))
u = socket.socket()
u.setblocking(False)
print(u.connect_ex(('10.43.0.20', 3001)) == errno.EINPROGRESS, mark(u))
select.select([], [u], [])
u.setblocking(True)
print(name(u), mark(u))
"
    );
    let expected = format!(
        "ECONNREFUSED 0x41\n{0} 0x41\nendpoint 0x2041\ndisconnected 0x41\n{0} 0x41\nTrue 0x2000\nendpoint 0x2000",
        proxied(UNROUTED[0])
    );
    assert_eq!(setup.python(0, &body), expected);
}

/// Bits that are none of ours stay; who has set one of ours by itself is left alone, and counted.
#[test]
fn marks_of_others_stay() {
    let Some(setup) = Setup::new("marks_of_others_stay", &BOTH) else { return };
    let daemon = setup.daemon(&["--sidecar-mark", "0x100/0xf00"]);
    setup.wait_until(&daemon, "past");
    let body = "
for own in [0, 0x10001, 0x300, 0x100]:
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, own)
    s.connect(('10.43.0.20', 3001))
    print(name(s), hex(s.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)))
";
    let expected = format!("endpoint 0x100\nendpoint 0x10101\n{} 0x300\nendpoint 0x100", proxied(ROUTED[0]));
    assert_eq!(setup.python(0, body), expected);
    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"mark_taken\"}"), 1);
    assert!(setup.table().contains("mark & 0x00000f00 == 0x00000100"), "{}", setup.table());
}

#[test]
fn off_leaves_everything_to_the_sidecar() {
    let Some(setup) = Setup::new("off_leaves_everything_to_the_sidecar", &BOTH) else { return };
    let _daemon = setup.daemon(&["--sidecar", "off"]);
    let endpoint = format!("{}:5001", setup.pod.node_address());
    assert_eq!(setup.ask(&[ROUTED[0], UNROUTED[0]]), [proxied(&endpoint), proxied(UNROUTED[0])]);
    assert!(!setup.has_table());
}

#[test]
fn bypass_needs_no_redirection() {
    let Some(setup) = Setup::plain("bypass_needs_no_redirection") else { return };
    let daemon = setup.daemon(&["--sidecar", "bypass"]);
    setup.wait_until(&daemon, "past");
    let mark = "
with dial('10.43.0.20', 3001) as s: print(name(s), hex(s.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)))
";
    assert_eq!(setup.python(0, mark), "endpoint 0x2000");
    // One that is not redirected is as it always was.
    drop(daemon);
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "plain");
    assert_eq!(setup.python(0, mark), "endpoint 0x0");
    assert!(!setup.has_table());
}

/// Another user of the sidecar.
#[test]
fn the_sidecar_may_have_another_user() {
    let Some(mut setup) = Setup::new("the_sidecar_may_have_another_user", &BOTH) else { return };
    let uid = APPLICATION.to_string();
    let daemon = setup.daemon(&["--sidecar-uid", &uid]);
    setup.wait_until(&daemon, "past");
    assert_eq!(setup.ask(&[ROUTED[0]]), [proxied(ROUTED[0])]);
    assert_eq!(setup.sidecar.ask(ROUTED[0].parse().unwrap()), "endpoint");
}

#[test]
fn a_command_of_its_own_gets_past() {
    let Some(setup) = Setup::new("a_command_of_its_own_gets_past", &BOTH) else { return };
    let mut exec = setup.pod.command(None, 0, binary().to_str().unwrap());
    exec.arg("exec").arg("--resources").arg(setup.mesh.file()).args(["--dataplane", "web", "--"]);
    let body = "
for host in ['10.43.0.20', '10.43.0.99', 'fd43::20']: print(answer(host, 3001))
";
    exec.args([tcproute_tests::sidecar::PYTHON, "-SEc", &tcproute_tests::client::script(body)]);
    let told = tcproute_tests::client::stdout(&exec.output().unwrap());
    assert_eq!(told, format!("endpoint\n{}\nendpoint", proxied(UNROUTED[0])));
    assert!(!setup.has_table(), "it goes with the command");
}

/// No other namespace sees the mark, so nobody's there is touched.
#[test]
fn a_mark_stays_in_its_namespace() {
    let Some(setup) = Setup::new("a_mark_stays_in_its_namespace", &BOTH) else { return };
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    let rules = "add table inet seen; add chain inet seen here { type filter hook input priority 0; }; \
                 add rule inet seen here meta mark != 0 counter; add rule inet seen here tcp dport 5001 counter";
    assert!(setup.pod.on_node("nft").arg(rules).status().unwrap().success());
    assert_eq!(setup.ask(&[ROUTED[0], ROUTED[1]]), ["endpoint", "endpoint"]);
    let listed = setup.pod.on_node("nft").args(["list", "table", "inet", "seen"]).output().unwrap();
    let listed = tcproute_tests::client::stdout(&listed);
    assert!(listed.contains("mark != 0x00000000 counter packets 0"), "{listed}");
    assert!(!listed.contains("dport 5001 counter packets 0"), "{listed}");
}

/// As of a pod with `hostUsers: false`, whose sidecar the host knows by another number.
#[test]
fn a_sidecar_in_a_user_namespace_is_known_as_well() {
    let test = "a_sidecar_in_a_user_namespace_is_known_as_well";
    let Some(setup) = Setup::new(test, &BOTH) else { return };
    let mut unshare = setup.pod.command(Some(&setup.cgroup), 0, "unshare");
    // Until its input ends.
    unshare.args(["--user", "cat"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let child = tcproute_tests::process::Process(unshare.spawn().unwrap());
    let map = format!("/proc/{}/uid_map", child.0.id());
    // The first that is written counts, once the process has a user namespace of its own.
    tcproute_tests::wait_for("users are mapped", || std::fs::write(&map, "0 1000000 65536").is_ok());
    // Alone in the cgroup, so that it is the one that is asked.
    let Setup { sidecar, pause, cgroup, pod, mesh, bpffs, servers } = setup;
    drop((sidecar, pause));
    let workloads = [("web", cgroup.path())];
    let daemon = tcproute_tests::tcproute::Daemon::start_on(
        &bpffs,
        &mut std::process::Command::new(binary()),
        &mesh.file(),
        &workloads,
        &[] as &[&str],
    );
    let status = daemon.json("/v1/status");
    let namespaces = status["networkNamespaces"].as_array().unwrap();
    let found = namespaces.iter().find(|namespace| namespace["way"] == "past").unwrap();
    assert_eq!(found["sidecarUid"], 1_005_678, "{status:#}");
    let dialled = [ROUTED[0].parse().unwrap()];
    assert_eq!(
        pod.ask(Some(&cgroup), 1_005_678, &dialled),
        ["ECONNREFUSED"],
        "redirected, as nobody listens"
    );
    assert_eq!(pod.ask(Some(&cgroup), 5678, &dialled), ["endpoint"], "another user by now");
    drop((daemon, child, servers));
}
