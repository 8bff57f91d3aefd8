//! A tenant who writes very many backendRefs, or has very many endpoints, harms himself alone, also after a restart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fmt::Write as _, fs, net::SocketAddr, process::Command, rc::Rc, thread};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{counting, counts},
    is_root, is_slow,
    mesh::Mesh,
    replace, sample,
    server::Server,
    tcproute::{Bpffs, Daemon, binary},
    wait_for,
};

/// The Dataplane `victim` with a route to one of two servers, and `web`, the tenant who goes too far.
struct Setup {
    dialled: SocketAddr,
    attacked: SocketAddr,
    servers: [Server; 2],
    directory: tempfile::TempDir,
    attacker: TestCgroup,
    victim: TestCgroup,
    bpffs: Rc<Bpffs>,
    more: [String; 2],
}

impl Setup {
    fn new(more: [String; 2]) -> Self {
        let net = Loopback::claim();
        let [dialled, attacked] = [1, 2].map(|last| SocketAddr::from((net.ip(0, last), 5432)));
        let servers = [(1, "old"), (2, "new")].map(|(last, name)| Server::start((net.ip(1, last), 0), name));
        let setup = Self {
            dialled,
            attacked,
            servers,
            directory: tempfile::tempdir().unwrap(),
            attacker: TestCgroup::create(),
            victim: TestCgroup::create(),
            bpffs: Rc::default(),
            more,
        };
        let mut mesh = Mesh::new();
        mesh.outbound("many", attacked).endpoint("many", "x", setup.servers[0].address());
        for (version, server) in ["old", "new"].into_iter().zip(&setup.servers) {
            mesh.endpoint("db", version, server.address());
        }
        mesh.dataplane("victim", "victim", "db", dialled);
        fs::write(setup.directory.path().join("mesh.yaml"), mesh.text()).unwrap();
        setup.victim_goes_to("old");
        setup
    }

    fn write(&self, name: &str, text: &str) {
        replace(&self.directory.path().join(name), text);
    }

    fn victim_goes_to(&self, version: &str) {
        self.write("victim.yaml", &route("victim", "db", &reference("db", version, 1)));
    }

    fn start(&self) -> Daemon {
        let workloads = [("web", self.attacker.path()), ("victim", self.victim.path())];
        Daemon::start_on(
            &self.bpffs,
            &mut Command::new(binary()),
            self.directory.path(),
            &workloads,
            &self.more,
        )
    }

    fn answers(&self, version: &str) -> bool {
        let mut client = self.victim.command("python3");
        let output = client.args(["-SEc", &counting(self.dialled, 20)]).output().unwrap();
        counts(&output).get(version) == Some(&20)
    }

    /// The victim's routes come in force, before and after a restart, while the tenant has too much; and when he has
    /// less, so do his.
    fn harms_nobody(self, mut daemon: Daemon, mend: impl Fn(&Self)) {
        let beyond = "tcproute_routes_beyond_quota";
        wait_for("the tenant's route is left to the proxy", || daemon.metric(beyond) == 1);
        assert!(self.answers("old"));
        self.victim_goes_to("new");
        wait_for("the victim's change is in force", || self.answers("new"));
        assert_eq!(daemon.metric("tcproute_ready"), 1);
        let pod = self.attacker.path().parent().unwrap();
        println!("{}: maps take {} bytes", pod.display(), daemon.metric("tcproute_map_memory_bytes"));

        assert_eq!(daemon.stop(), Some(0));
        drop(daemon);
        let daemon = self.start();
        assert_eq!(daemon.metric(beyond), 1);
        assert!(self.answers("new"));
        self.victim_goes_to("old");
        wait_for("the victim's change is in force", || self.answers("old"));
        assert_eq!(daemon.metric("tcproute_workloads_failing"), 0);

        mend(&self);
        wait_for("the tenant's route is in force", || daemon.metric(beyond) == 0);
        let routes = daemon.json("/v1/routes");
        assert!(routes.to_string().contains(&self.attacked.ip().to_string()));
        assert!(self.answers("old"));
    }
}

fn reference(service: &str, version: &str, weight: u32) -> String {
    format!("{{kind: MeshServiceSubset, name: {service}, tags: {{v: '{version}'}}, weight: {weight}}}")
}

fn route(from: &str, to: &str, references: &str) -> String {
    format!(
        "type: MeshTCPRoute\nname: split-{from}\nspec:\n  targetRef: {{kind: MeshService, name: {from}}}\n  \
         to:\n  - targetRef: {{kind: MeshService, name: {to}}}\n    \
         rules: [{{default: {{backendRefs: [{references}]}}}}]\n"
    )
}

#[test]
fn five_thousand_backend_refs_harm_their_own_dataplane_alone() {
    if !is_root("five_thousand_backend_refs_harm_their_own_dataplane_alone") {
        return;
    }
    let setup = Setup::new(["--max-routes-per-workload", "4999"].map(str::to_owned));
    let daemon = setup.start();
    let references: Vec<String> = (1..=5000).map(|weight| reference("many", "x", weight)).collect();
    setup.write("attacker.yaml", &route("web", "many", &references.join(", ")));
    setup.harms_nobody(daemon, |setup| {
        setup.write("attacker.yaml", &route("web", "many", &references[..4999].join(", ")));
    });
}

#[test]
fn two_hundred_thousand_endpoints_harm_who_dials_them_alone() {
    let name = "two_hundred_thousand_endpoints_harm_who_dials_them_alone";
    if !is_root(name) {
        return;
    }
    if thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        return println!("SKIPPED {name}: it takes more than one CPU");
    }
    // As many as are allowed if nothing is said; on a slow machine less of both.
    let most = sample(131_072).to_string();
    let setup = Setup::new(["--max-endpoints-per-workload".to_owned(), most]);
    let daemon = setup.start();
    let endpoints = |count: u32| {
        let mut text = String::new();
        for number in 0..count {
            let [_, b, c, d] = number.to_be_bytes();
            let _ = write!(
                text,
                "---\ntype: Dataplane\nname: many-{number}\nnetworking:\n  address: 10.{b}.{c}.{d}\n  inbound:\n  \
                 - {{port: 1, tags: {{kuma.io/service: many, kuma.io/protocol: tcp}}}}\n"
            );
        }
        text
    };
    setup.write("attacker.yaml", &route("web", "many", "{kind: MeshService, name: many}"));
    setup.write("endpoints.yaml", &endpoints(sample(200_000)));
    setup.harms_nobody(daemon, |setup| setup.write("endpoints.yaml", &endpoints(100)));
}

/// A few words mean ten thousand endpoints, again and again: they are not in the daemon's memory as often.
#[test]
fn backend_refs_with_very_many_endpoints_harm_their_own_dataplane_alone() {
    const TAGS: u32 = 12;
    let name = "backend_refs_with_very_many_endpoints_harm_their_own_dataplane_alone";
    if is_slow() {
        return println!("SKIPPED {name}: memory is the same on every kernel, and this takes long");
    }
    if !is_root(name) {
        return;
    }
    let setup = Setup::new(["--max-endpoints-per-workload", "4000000"].map(str::to_owned));
    let daemon = setup.start();
    let tags = |chosen: u32| {
        let tags = (0..TAGS).filter(move |tag| chosen & (1 << tag) != 0).map(|tag| format!("t{tag}: x"));
        tags.collect::<Vec<_>>().join(", ")
    };
    let all = tags(u32::MAX);
    let endpoints = (0..10_000_u32).fold(String::new(), |mut text, number| {
        let [_, b, c, d] = number.to_be_bytes();
        let _ = write!(
            text,
            "---\ntype: Dataplane\nname: many-{number}\nnetworking:\n  address: 10.{b}.{c}.{d}\n  inbound:\n  \
             - {{port: 1, tags: {{kuma.io/service: many, kuma.io/protocol: tcp, {all}}}}}\n"
        );
        text
    });
    // In lines, since so much in brackets is refused.
    let mut policy = "type: MeshTCPRoute\nname: split-web\nspec:\n  targetRef: {kind: MeshService, name: web}\n  to:\n  \
                      - targetRef: {kind: MeshService, name: many}\n    rules:\n    - default:\n        backendRefs:\n"
        .to_owned();
    for chosen in 1..1 << TAGS {
        let tags = tags(chosen);
        let _ = writeln!(policy, "        - {{kind: MeshServiceSubset, name: many, tags: {{{tags}}}}}");
    }
    setup.write("endpoints.yaml", &endpoints);
    setup.write("attacker.yaml", &policy);
    wait_for("the tenant's route is left to the proxy", || {
        daemon.json("/v1/status")["warnings"].to_string().contains("lead to more than 262144 endpoints")
    });
    setup.victim_goes_to("new");
    wait_for("the victim's change is in force", || setup.answers("new"));
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    println!("the daemon has taken {most}");
    let kilobytes: u64 = most.trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 200 << 10, "{most}");
}
