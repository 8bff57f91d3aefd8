//! What outlives the daemon, and how the next one goes on with it while connections flow.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{ask, script},
    is_root, is_slow,
    load::Load,
    maps::Places,
    node::Node,
    routes::Split,
    sample,
    server::Server,
    tcproute::binary,
    wait_for,
};

/// So many connections are made between two changes.
const PHASE: u32 = 400;

/// A client of `web` that has said that it is connected, and what else it says. It goes on when its input ends.
fn connect(node: &Node, body: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = node.cgroup.command("python3");
    command.args(["-SEc", &script(body)]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = command.spawn().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "connected");
    (client, lines)
}

/// The cookies of sockets, as a client has printed them.
fn cookies(lines: &mut Lines<BufReader<ChildStdout>>) -> Vec<u64> {
    lines.next().unwrap().unwrap().split(' ').map(|cookie| cookie.parse().unwrap()).collect()
}

/// Neither has one of the sockets its place any more, nor is anything left in it to be counted.
fn assert_free(node: &Node, cookies: &[u64]) {
    let places = Places::open(&node.pins()).unwrap();
    for place in cookies.iter().map(|cookie| places.of(*cookie).unwrap()) {
        assert!(place.cookie() == 0 && place.is_over(), "{place:#x?}");
    }
}

#[test]
fn nothing_is_lost_while_daemons_are_killed_restarted_and_upgraded() {
    if !is_root("nothing_is_lost_while_daemons_are_killed_restarted_and_upgraded") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    node.run(&split.mesh(&[("1", 90), ("2", 10)]), &[]);
    let load = Load::start(&node.cgroup, split.dialled, 4);
    load.wait_for_more(sample(PHASE).into());
    let first = node.tables();

    // A killed daemon leaves its routes.
    node.kill();
    load.wait_for_more(sample(PHASE).into());
    // The next one goes on with its maps, with other weights.
    node.run(&split.mesh(&[("1", 10), ("2", 90)]), &[]);
    load.wait_for_more(sample(PHASE).into());
    assert_eq!(node.tables(), first);

    // A build with other tables makes new ones.
    node.kill();
    node.age(true);
    node.run(&split.mesh(&[("1", 50), ("2", 50)]), &[]);
    load.wait_for_more(sample(PHASE).into());
    let second = node.tables();
    assert!(second.is_disjoint(&first), "{first:?} {second:?}");

    // The last one sends all to where nobody was sent before.
    node.kill();
    node.run(&split.mesh(&[("3", 1)]), &[]);
    assert_eq!(node.ask(split.dialled, 20), [("v3".to_owned(), 20)].into());
    load.wait_for_more(sample(PHASE).into());
    let seen = load.finish();
    println!("{seen:?}");
    assert_eq!((seen.failures, seen.other_peers), ([].into(), [].into()));
    assert_eq!(seen.names.keys().collect::<Vec<_>>(), ["v1", "v2", "v3"]);
}

/// Programs go on to count in a map that was too small until they are replaced, and for a second it is not known
/// whether they have ended.
#[test]
fn no_count_is_lost_when_daemons_are_killed_while_maps_grow() {
    if !is_root("no_count_is_lost_when_daemons_are_killed_while_maps_grow") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    let mut mesh = split.mesh(&[("1", 90), ("2", 10)]);
    node.run(&mesh, &[]);
    let load = Load::start(&node.cgroup, split.dialled, 4);
    let others = Loopback::claim();
    for round in 1..=if is_slow() { 1 } else { 4 } {
        load.wait_for_more(sample(PHASE).into());
        node.kill();
        // More than there is room for each time.
        let more = 1_024_u32 << round;
        for n in 0..more {
            mesh.outbound("db", (others.ip(0, 1), u16::try_from(10_000 + more + n).unwrap()).into());
        }
        let log = node.launch(&mesh, &[]);
        wait_for("the maps are larger", || log.text().contains("maps made larger"));
        load.wait_for_more(8);
        node.kill();
        node.run(&mesh, &[]);
    }
    load.wait_for_more(sample(PHASE).into());
    let seen = load.finish();
    assert_eq!((seen.failures, seen.other_peers), ([].into(), [].into()));
    let told = || {
        let outcomes = node.json("/v1/outcomes");
        let routes = outcomes[0]["routes"].as_array().unwrap().clone();
        let dialled = |route: &&Value| route["address"] == split.dialled.ip().to_string();
        let route = routes.iter().find(dialled).unwrap();
        let of = |backend: usize, field: &str| route["backends"][backend]["total"][field].as_u64().unwrap();
        [0, 1].map(|backend| ["attempted", "established", "closed"].map(|field| of(backend, field)))
    };
    let made = ["v1", "v2"].map(|name| [seen.names[name]; 3]);
    println!("made {made:?}, told {:?}: {}", told(), node.json("/v1/outcomes")[0]["routes"][0]["backends"]);
    wait_for("each connection is counted once", || told() == made);
    wait_for("the maps that were too small are given up", || {
        let pins = std::fs::read_dir(node.pins()).unwrap();
        pins.into_iter().all(|pin| !pin.unwrap().file_name().to_string_lossy().starts_with("before-"))
    });
    assert_eq!(told(), made, "what was counted there is carried");
}

/// The new programs run beside the old ones for a moment. Connections that are open then show their endpoint.
#[test]
fn a_build_that_cannot_read_the_states_of_sockets_loses_no_connection() {
    if !is_root("a_build_that_cannot_read_the_states_of_sockets_loses_no_connection") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    node.run(&split.mesh(&[("1", 1)]), &[]);
    let load = Load::start(&node.cgroup, split.dialled, 4);
    for round in 0..3 {
        load.wait_for_more(sample(PHASE).into());
        node.kill();
        node.age(false);
        node.run(&split.mesh(&[(["2", "1"][round % 2], 1)]), &[]);
    }
    load.wait_for_more(sample(PHASE).into());
    let seen = load.finish();
    println!("{seen:?}");
    assert_eq!(seen.failures, [].into());
    assert_eq!(seen.names.keys().collect::<Vec<_>>(), ["v1", "v2"]);
    assert_eq!(node.ask(split.dialled, 20), [("v2".to_owned(), 20)].into());
}

#[test]
fn connections_that_were_made_before_keep_their_peer_name() {
    if !is_root("connections_that_were_made_before_keep_their_peer_name") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    let mesh = split.mesh(&[("1", 1)]);
    node.run(&mesh, &[]);
    let (host, port) = (split.dialled.ip(), split.dialled.port());
    let body = format!(
        "
s = dial('{host}', {port})
print('connected', flush=True)
sys.stdin.readline()
print(s.getpeername() == ('{host}', {port}))
"
    );
    let (mut client, mut lines) = connect(&node, &body);
    node.kill();
    node.age(true);
    node.run(&mesh, &[]);
    drop(client.stdin.take());
    assert_eq!(lines.next().unwrap().unwrap(), "True");
    client.wait().unwrap();
}

#[test]
fn detach_ends_all_and_a_daemon_must_have_ended_before() {
    if !is_root("detach_ends_all_and_a_daemon_must_have_ended_before") {
        return;
    }
    let split = Split::new();
    let plain = Server::start(split.dialled, "plain");
    let mut node = Node::new();
    assert_eq!(node.detach(), "nothing is attached");
    node.run(&split.mesh(&[("1", 1)]), &[]);
    let output = Command::new(binary()).arg("detach").arg("--bpffs").arg(node.bpffs.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let pid = node.daemon.as_ref().unwrap().id();
    assert!(stderr.contains(&format!("another tcproute is running on this node with pid {pid}")), "{stderr}");

    node.kill();
    assert_eq!(node.ask(split.dialled, 10), [("v1".to_owned(), 10)].into());
    assert_eq!(node.detach(), "detached from 1 cgroups: connections go where they are dialled");
    assert_eq!(node.ask(plain.address(), 10), [("plain".to_owned(), 10)].into());
    assert!(!Path::new(&node.pins()).exists());
}

#[test]
fn a_workload_that_is_not_named_any_more_is_detached_and_the_others_keep_their_numbers() {
    if !is_root("a_workload_that_is_not_named_any_more_is_detached_and_the_others_keep_their_numbers") {
        return;
    }
    let split = Split::new();
    let plain = Server::start(split.dialled, "plain");
    let mut mesh = split.mesh(&[("1", 1)]);
    mesh.dataplane("batch", "batch", "batch-db", split.dialled);
    mesh.endpoint("batch-db", "x", split.servers[1].address());
    let batch = TestCgroup::create();
    let mut node = Node::new();
    let argument = format!("batch={}", batch.path().display());
    node.run(&mesh, &["--workload", &argument]);
    let ask = |cgroup: &TestCgroup| ask(cgroup, split.dialled, 5);
    assert_eq!(ask(&batch), [("v2".to_owned(), 5)].into());
    node.kill();

    // Without `web`, which had the first number.
    node.run_another(&mesh, "batch", &batch);
    assert_eq!(ask(&batch), [("v2".to_owned(), 5)].into());
    assert_eq!(ask(&node.cgroup), [("plain".to_owned(), 5)].into());
    drop(plain);
}

/// The program that frees a socket's place is gone when the socket is closed.
#[test]
fn sockets_that_are_open_while_their_workload_is_detached_leave_no_places() {
    if !is_root("sockets_that_are_open_while_their_workload_is_detached_leave_no_places") {
        return;
    }
    let split = Split::new();
    let mut mesh = split.mesh(&[("1", 1)]);
    mesh.document("type: Dataplane\nname: batch\nnetworking:\n  address: 127.0.0.1\n  inbound: [{port: 7999, tags: {kuma.io/service: batch}}]\n");
    let mut node = Node::new();
    node.run(&mesh, &[]);
    let (host, port) = (split.dialled.ip(), split.dialled.port());
    let body = format!(
        "
kept = [dial('{host}', {port}) for _ in range(5)]
print('connected')
print(*[cookie(s) for s in kept], flush=True)
sys.stdin.readline()
"
    );
    let (mut client, mut lines) = connect(&node, &body);
    let cookies = cookies(&mut lines);
    let places = Places::open(&node.pins()).unwrap();
    assert!(cookies.iter().all(|&cookie| places.of(cookie).unwrap().cookie() == cookie), "{cookies:?}");
    node.kill();

    // Another workload in the place of `web`.
    let batch = TestCgroup::create();
    node.run_another(&mesh, "batch", &batch);
    drop(client.stdin.take());
    client.wait().unwrap();
    assert_free(&node, &cookies);
}

/// Also one that is made while the programs are being detached.
#[test]
fn sockets_that_are_made_while_their_workload_is_detached_leave_no_places() {
    if !is_root("sockets_that_are_made_while_their_workload_is_detached_leave_no_places") {
        return;
    }
    let split = Split::new();
    let _plain = Server::start(split.dialled, "plain");
    let mut mesh = split.mesh(&[("1", 1)]);
    mesh.document("type: Dataplane\nname: batch\nnetworking:\n  address: 127.0.0.1\n  inbound: [{port: 7999, tags: {kuma.io/service: batch}}]\n");
    let mut node = Node::new();
    node.run(&mesh, &[]);
    let (host, port) = (split.dialled.ip(), split.dialled.port());
    let kept = sample(400).max(50);
    let body = format!(
        "
kept, cookies = collections.deque(), []
reset = struct.pack('ii', 1, 0)
while not select.select([sys.stdin], [], [], 0.002)[0]:
    kept.append(dial('{host}', {port}))
    cookies.append(cookie(kept[-1]))
    kept[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    if len(kept) == {kept}: print('connected', flush=True)
    if len(kept) > {kept}: kept.popleft().close()
print(*cookies)
"
    );
    let (mut client, mut lines) = connect(&node, &body);
    node.kill();
    let batch = TestCgroup::create();
    node.run_another(&mesh, "batch", &batch);
    drop(client.stdin.take());
    let cookies = cookies(&mut lines);
    assert!(client.wait().unwrap().success());
    println!("{} sockets", cookies.len());
    assert_free(&node, &cookies);
}
