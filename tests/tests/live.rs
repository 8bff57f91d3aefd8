//! Files that change while the daemon runs: connections flow on, each by the state before or the one after.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{ask, counts, script, stdout},
    is_root,
    mesh::Mesh,
    pause, replace,
    routes::Split,
    sample,
    server::Server,
    tcproute::Daemon,
    wait_for,
};

const CLIENTS: usize = 4;
/// Of each client, at least.
const CONNECTIONS: u32 = 500;

/// By version; what has no weight has no endpoint either.
type Weights = &'static [(&'static str, u32)];

const STATES: [Weights; 8] = [
    &[("a", 90), ("b", 10)],
    &[("b", 50), ("c", 50)],
    &[("c", 1)],
    &[("a", 1), ("b", 1), ("c", 1)],
    &[("a", 1)],
    &[("b", 99), ("c", 1)],
    &[("c", 10), ("a", 10)],
    &[("b", 1)],
];

/// A client that connects until it is told to stop. It counts by the state that had been reported when a connection
/// began. Nobody listens where it dials, so that a missing route would be an error.
fn client(dialled: SocketAddr, reported: &Path, stop: &Path) -> String {
    script(&format!(
        "
names = collections.Counter()
while True:
    stopped = os.path.exists('{}')
    reported = open('{}').read()
    with dial('{}', {}) as s: names[reported + ' ' + name(s)] += 1
    time.sleep({})
    if stopped and sum(names.values()) >= {}: break
for n, c in sorted(names.items()): print(n, c)
",
        stop.display(),
        reported.display(),
        dialled.ip(),
        dialled.port(),
        pause().as_secs_f64(),
        sample(CONNECTIONS)
    ))
}

/// Clients that are stopped also when a test fails.
struct Clients(Vec<Child>);

impl Drop for Clients {
    fn drop(&mut self) {
        for client in &mut self.0 {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

#[test]
fn every_connection_goes_by_the_state_before_or_after() {
    if !is_root("every_connection_goes_by_the_state_before_or_after") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let servers: Vec<Server> =
        (1..).zip(["a", "b", "c"]).map(|(n, name)| Server::start((net.ip(1, n), 0), name)).collect();
    let state = |weights: Weights| {
        let mut mesh = Mesh::new();
        mesh.outbound("db", dialled).split("db", weights);
        for (version, _) in weights {
            let number = usize::from(version.as_bytes()[0] - b'a');
            mesh.endpoint("db", version, servers[number].address());
        }
        mesh.text()
    };
    let directory = tempfile::tempdir().unwrap();
    let [file, reported, stop] = ["mesh.yaml", "reported", "stop"].map(|name| directory.path().join(name));
    fs::write(&file, state(STATES[0])).unwrap();
    fs::write(&reported, "0").unwrap();
    let cgroup = TestCgroup::create();
    let daemon = Daemon::start(&file, &[("web", cgroup.path())]);
    let start = || {
        let mut client_command = cgroup.command("python3");
        client_command.args(["-SEc", &client(dialled, &reported, &stop)]);
        client_command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut clients = Clients((0..CLIENTS).map(|_| start()).collect());

    let mut latencies = Vec::new();
    for (number, weights) in STATES.iter().enumerate().skip(1) {
        let text = state(weights);
        let begun = Instant::now();
        // In place and by renaming, in turn.
        if number % 2 == 0 {
            fs::write(&file, text).unwrap();
        } else {
            replace(&file, &text);
        }
        daemon.wait_for_line("new routes in force");
        latencies.push(begun.elapsed());
        replace(&reported, &number.to_string());
        let seen = ask(&cgroup, dialled, sample(400));
        assert_only(seen.keys().map(String::as_str), &names_of(number), number);
    }
    println!("from the write to the report: {latencies:?}");
    fs::write(&stop, "").unwrap();
    let mut total = 0;
    for client in std::mem::take(&mut clients.0) {
        let seen = counts(&client.wait_with_output().unwrap());
        total += seen.values().sum::<u64>();
        let mut by_state: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        for line in seen.keys() {
            let (number, name) = line.split_once(' ').unwrap();
            by_state.entry(number.parse().unwrap()).or_default().insert(name);
        }
        for (number, names) in by_state {
            let next = (number + 1).min(STATES.len() - 1);
            let allowed = &names_of(number) | &names_of(next);
            assert_only(names.into_iter(), &allowed, number);
        }
    }
    println!("{total} connections by {CLIENTS} clients, {} changes", STATES.len() - 1);
    assert_eq!(daemon.metric("tcproute_reconciles_total{result=\"failed\"}"), 0);
}

fn names_of(number: usize) -> BTreeSet<&'static str> {
    STATES[number].iter().map(|(name, _)| *name).collect()
}

fn assert_only<'a>(names: impl Iterator<Item = &'a str>, allowed: &BTreeSet<&str>, number: usize) {
    for name in names {
        assert!(allowed.contains(name), "{name} after state {number} was reported, and not {allowed:?}");
    }
}

/// One server for each of two states of a mesh.
struct Setup {
    dialled: SocketAddr,
    old: Server,
    new: Server,
    cgroup: TestCgroup,
}

impl Setup {
    fn new() -> Self {
        let net = Loopback::claim();
        Self {
            dialled: (net.ip(0, 1), 5432).into(),
            old: Server::start((net.ip(1, 1), 0), "old"),
            new: Server::start((net.ip(1, 2), 0), "new"),
            cgroup: TestCgroup::create(),
        }
    }

    fn text(&self, server: &Server) -> String {
        let mut mesh = Mesh::new();
        mesh.outbound("db", self.dialled).endpoint("db", "x", server.address()).text()
    }

    fn daemon(&self, resources: &Path) -> Daemon {
        Daemon::start(resources, &[("web", self.cgroup.path())])
    }

    fn reaches(&self, name: &str) {
        assert_eq!(ask(&self.cgroup, self.dialled, 20), [(name.to_owned(), 20)].into());
    }
}

#[test]
fn a_config_map_is_swapped() {
    if !is_root("a_config_map_is_swapped") {
        return;
    }
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let mount = directory.path().join("mesh");
    fs::create_dir(&mount).unwrap();
    // As the kubelet does it (pkg/volume/util/atomic_writer.go).
    let swap = |version: &str, text: &str| {
        let data = mount.join(version);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("mesh.yaml"), text).unwrap();
        symlink(version, mount.join("..data_tmp")).unwrap();
        let old = fs::read_link(mount.join("..data"));
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        if let Ok(old) = old {
            fs::remove_dir_all(mount.join(old)).unwrap();
        }
    };
    swap("..1", &setup.text(&setup.old));
    symlink("..data/mesh.yaml", mount.join("mesh.yaml")).unwrap();
    let daemon = setup.daemon(&mount);
    setup.reaches("old");
    for (number, (server, name)) in
        [(&setup.new, "new"), (&setup.old, "old")].iter().cycle().take(6).enumerate()
    {
        let begun = Instant::now();
        swap(&format!("..{}", number + 2), &setup.text(server));
        daemon.wait_for_line("new routes in force");
        println!("from the swap to the report: {:?}", begun.elapsed());
        setup.reaches(name);
    }
}

fn error_of(daemon: &Daemon) -> Value {
    daemon.json("/v1/status")["error"].clone()
}

fn rejected(daemon: &Daemon) -> Vec<Value> {
    daemon.json("/v1/status")["rejected"].as_array().unwrap().clone()
}

/// What is wrong is shown until it is mended, and routes are as before.
#[test]
fn what_cannot_be_used_changes_nothing() {
    if !is_root("what_cannot_be_used_changes_nothing") {
        return;
    }
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.yaml");
    let good = setup.text(&setup.old);
    fs::write(&file, &good).unwrap();
    let daemon = setup.daemon(&file);
    let (before, shown) = (daemon.json("/v1/routes"), file.display());
    let half = good.replace("address: '", "address: [");
    for (broken, message) in
        [(Some(&half), format!("{shown}:")), (None, format!("{shown}: cannot read: No such file"))]
    {
        let kept = broken.is_some();
        assert_eq!(rejected(&daemon), [] as [Value; 0]);
        assert_eq!(daemon.metric("tcproute_source_errors"), 0);
        match broken {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        daemon.wait_for_line(&message);
        wait_for("it is in the status", || !rejected(&daemon).is_empty());
        let all = rejected(&daemon);
        println!("{all:?}");
        assert_eq!((&all[0]["source"], &all[0]["subject"]), (&json!("files"), &json!(shown.to_string())));
        assert_eq!((&all[0]["kind"], &all[0]["kept"], all.len()), (&Value::Null, &json!(kept), 1));
        assert!(all[0]["violations"][0].as_str().unwrap().contains(&message), "{message}");
        assert_eq!(daemon.metric("tcproute_source_errors"), 1);
        assert_eq!(daemon.metric("tcproute_rejected{source=\"files\",kind=\"unknown\"}"), 1);
        assert!(stdout(&daemon.status(&[])).contains(&message), "{message}");
        assert_eq!(daemon.get("/readyz").0, 200, "the last good state is in force");
        assert_eq!(daemon.json("/v1/routes"), before);
        setup.reaches("old");
        replace(&file, &good);
        daemon.wait_for_line("the resources are in order again");
        wait_for("nothing is rejected", || rejected(&daemon).is_empty());
        wait_for("the error is gone", || error_of(&daemon) == Value::Null);
    }
    replace(&file, &setup.text(&setup.new));
    daemon.wait_for_line("new routes in force");
    setup.reaches("new");
}

/// The Dataplane of a workload is not among the resources any more.
#[test]
fn a_workload_without_a_dataplane_keeps_its_routes() {
    if !is_root("a_workload_without_a_dataplane_keeps_its_routes") {
        return;
    }
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.yaml");
    fs::write(&file, setup.text(&setup.old)).unwrap();
    let daemon = setup.daemon(&file);
    replace(&file, "type: Mesh\nname: default\n");
    daemon.wait_for_line("its last routes stay in force");
    let message = "no Dataplane \"web\" in mesh \"default\"";
    let shown = || stdout(&daemon.status(&[])).contains(message);
    wait_for("it is in the status", shown);
    assert_eq!(daemon.get("/readyz").0, 200, "the last good state is in force");
    setup.reaches("old");
    replace(&file, &setup.text(&setup.new));
    daemon.wait_for_line("new routes in force");
    wait_for("it is not in the status any more", || !shown());
    setup.reaches("new");
}

/// A name that is new is looked up at once, and not at the next interval.
#[test]
fn a_new_name_is_looked_up_at_once() {
    if !is_root("a_new_name_is_looked_up_at_once") {
        return;
    }
    let setup = Setup::new();
    let local = Server::start(([127, 0, 0, 1], 0), "local");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.yaml");
    fs::write(&file, setup.text(&setup.old)).unwrap();
    let workloads = [("web", setup.cgroup.path())];
    let daemon = Daemon::start_with(
        &mut std::process::Command::new(tcproute_tests::tcproute::binary()),
        &file,
        &workloads,
        &["--dns-interval", "3600"],
    );
    let mut mesh = Mesh::new();
    mesh.outbound("db", setup.dialled).document(&format!(
        "type: ExternalService\nname: db\ntags: {{kuma.io/service: db}}\nnetworking: {{address: 'localhost:{}'}}\n",
        local.address().port()
    ));
    replace(&file, &mesh.text());
    let address = json!([local.address().to_string()]);
    wait_for("its address is in force", || {
        daemon.json("/v1/routes")[0]["routes"][0]["backends"][0]["endpoints"] == address
    });
    setup.reaches("local");
}

/// Many small writes one after the other are taken up as they come, or at once.
#[test]
fn a_burst_of_changes_ends_in_the_last_one() {
    if !is_root("a_burst_of_changes_ends_in_the_last_one") {
        return;
    }
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.yaml");
    fs::write(&file, setup.text(&setup.old)).unwrap();
    let daemon = setup.daemon(&file);
    let (old, new) = (setup.text(&setup.old), setup.text(&setup.new));
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        replace(&file, &old);
        replace(&file, &new);
    }
    let address = json!([setup.new.address().to_string()]);
    wait_for("the last one is in force", || {
        daemon.json("/v1/routes")[0]["routes"][0]["backends"][0]["endpoints"] == address
    });
    wait_for("it is ready", || daemon.get("/readyz").0 == 200);
    setup.reaches("new");
}

/// The first half of a mesh is a valid one, in which the endpoints are missing.
#[test]
fn a_file_that_a_slow_writer_holds_comes_in_force_when_it_is_closed() {
    if !is_root("a_file_that_a_slow_writer_holds_comes_in_force_when_it_is_closed") {
        return;
    }
    let split = Split::new();
    let directory = tempfile::tempdir().unwrap();
    let (slow, quick) = (directory.path().join("slow.yaml"), directory.path().join("quick.yaml"));
    // Endpoints last.
    let text = |version: &str| {
        let text = split.mesh(&[(version, 1)]).text();
        let is_endpoint =
            |document: &&str| document.starts_with("type: Dataplane\n") && !document.contains("outbound:");
        let documents = text.split("---\n").filter(|document| !document.is_empty());
        let (endpoints, others): (Vec<&str>, Vec<&str>) = documents.partition(is_endpoint);
        (others.join("---\n"), ["", &endpoints.join("---\n")].join("---\n"))
    };
    let (first, rest) = text("1");
    fs::write(&slow, first + &rest).unwrap();
    let web = TestCgroup::create();
    let daemon = Daemon::start(directory.path(), &[("web", web.path())]);
    let ask = || ask(&web, split.dialled, 20);
    assert_eq!(ask(), [("v1".to_owned(), 20)].into());
    // As scp and curl do it.
    let mut writer = fs::File::create(&slow).unwrap();
    let (half, rest) = text("2");
    writer.write_all(half.as_bytes()).unwrap();
    // Others are not held back, and so it is known that the half has been seen.
    let other = "type: ExternalService\nname: other\nmesh: default\ntags: {kuma.io/service: other}\nnetworking: {address: '192.0.2.1:1'}\n";
    fs::write(&quick, other).unwrap();
    let resources = |daemon: &Daemon| daemon.json("/v1/status")["sources"][0]["resources"].as_u64().unwrap();
    let before = resources(&daemon);
    wait_for("the other file is read", || resources(&daemon) == before + 1);
    assert_eq!(ask(), [("v1".to_owned(), 20)].into());
    writer.write_all(rest.as_bytes()).unwrap();
    drop(writer);
    wait_for("the whole is in force", || ask() == [("v2".to_owned(), 20)].into());
}
