//! The maps grow while they are in use: connections are made all the time, and each is checked.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    process::Command,
    time::{Duration, Instant},
};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    chi_square::assert_split,
    client::{self, ask},
    is_root, is_slow,
    load::Load,
    replace,
    routes::Split,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for, wait_within,
};

/// How much a node has to do. Each of the heavy workloads dials each of the services, and the light ones one.
#[derive(Debug, Clone, Copy)]
struct Stage {
    services: u32,
    endpoints: u32,
    heavy: usize,
    light: usize,
}

impl Stage {
    const fn routes(self) -> u64 {
        self.services as u64 * self.heavy as u64 + self.light as u64
    }
}

const SMALL: Stage = Stage { services: 10, endpoints: 1, heavy: 1, light: 0 };

/// Up to 10,000 workloads, 100,000 routes, 200,000 backends and 100,000 endpoints. The last is small again.
const STAGES: [Stage; 5] = [
    Stage { services: 100, endpoints: 1, heavy: 1, light: 10 },
    Stage { services: 100, endpoints: 10, heavy: 10, light: 100 },
    Stage { services: 500, endpoints: 20, heavy: 20, light: 200 },
    Stage { services: 2000, endpoints: 50, heavy: 50, light: 10_000 },
    SMALL,
];

/// The same where everything takes long.
const SLOW_STAGES: [Stage; 3] = [
    Stage { services: 100, endpoints: 1, heavy: 1, light: 5 },
    Stage { services: 300, endpoints: 20, heavy: 20, light: 10 },
    SMALL,
];

/// What a workload dials to reach a service.
fn dialled(service: u32) -> String {
    Ipv4Addr::from(0xF000_0000 + service).to_string()
}

/// The services with their policies, and the Dataplanes `heavy` and `light`.
fn resources(Stage { services, endpoints, .. }: Stage, real: &Server) -> String {
    let mut text = String::new();
    // Many inbounds in one Dataplane: what they are made of is no matter.
    for n in 0..endpoints {
        let ip = Ipv4Addr::from(0x7FFF_0000 + n);
        let _ = write!(
            text,
            "---\ntype: Dataplane\nname: spread-{n}\nnetworking:\n  address: {ip}\n  inbound:\n"
        );
        for service in 0..services {
            let version = if n % 2 == 0 { "a" } else { "b" };
            let port = 10_000 + service % 50_000;
            let _ = writeln!(
                text,
                "  - {{port: {port}, tags: {{kuma.io/service: s-{service}, kuma.io/protocol: tcp, v: {version}}}}}"
            );
        }
    }
    let _ = write!(
        text,
        "---\ntype: Dataplane\nname: real\nnetworking:\n  address: {}\n  inbound:\n  \
         - {{port: {}, tags: {{kuma.io/service: real, kuma.io/protocol: tcp}}}}\n",
        real.address().ip(),
        real.address().port()
    );
    for service in 0..services {
        let _ = write!(
            text,
            "---\ntype: MeshTCPRoute\nname: split-{service}\nspec:\n  targetRef: {{kind: Mesh}}\n  to:\n  \
             - targetRef: {{kind: MeshService, name: s-{service}}}\n    rules: [{{default: {{backendRefs: [\
             {{kind: MeshServiceSubset, name: s-{service}, tags: {{v: a}}, weight: {}}}, \
             {{kind: MeshServiceSubset, name: s-{service}, tags: {{v: b}}, weight: 1}}]}}}}]\n",
            service % 100 + 1
        );
    }
    for (name, of) in [("heavy", services), ("light", 1)] {
        let _ = write!(
            text,
            "---\ntype: Dataplane\nname: {name}\nnetworking:\n  address: 127.0.0.1\n  inbound:\n  \
             - {{port: 80, tags: {{kuma.io/service: {name}, kuma.io/protocol: tcp}}}}\n  outbound:\n  \
             - {{address: {}, port: 80, tags: {{kuma.io/service: real}}}}\n",
            dialled(1 << 20)
        );
        for service in 0..of {
            let _ = writeln!(
                text,
                "  - {{address: {}, port: 80, tags: {{kuma.io/service: s-{service}}}}}",
                dialled(service)
            );
        }
    }
    text
}

/// Entries and capacity of the maps, by name.
fn maps(daemon: &Daemon) -> BTreeMap<String, (u64, u64)> {
    let status = daemon.json("/v1/status");
    let maps = status["maps"].as_array().unwrap().iter();
    let map = |map: &serde_json::Value| {
        let number = |field: &str| map[field].as_u64().unwrap();
        (map["name"].as_str().unwrap().to_owned(), (number("entries"), number("capacity")))
    };
    maps.map(map).collect()
}

#[test]
fn maps_grow_and_no_connection_notices() {
    if !is_root("maps_grow_and_no_connection_notices") {
        return;
    }
    let split = Split::new();
    let real = Server::start((Loopback::claim().ip(1, 1), 0), "real");
    let weights = [("1", 60), ("2", 30), ("3", 10)];
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("web.yaml"), split.mesh(&weights).text()).unwrap();
    let more = directory.path().join("more.yaml");
    fs::write(&more, resources(SMALL, &real)).unwrap();
    let (web, parent) = (TestCgroup::create(), TestCgroup::create());
    let heavy_pattern = parent.path().join("heavy-*");
    let light_pattern = parent.path().join("light-*");
    let mut heavy = vec![parent.child("heavy-0")];
    let mut light: Vec<TestCgroup> = Vec::new();
    let daemon = Daemon::start(
        directory.path(),
        &[("web", web.path()), ("heavy", &heavy_pattern), ("light", &light_pattern)],
    );
    let begun = maps(&daemon);
    let load = Load::start(&web, split.dialled, 2);
    let stages: &[Stage] = if is_slow() { &SLOW_STAGES } else { &STAGES };
    for &stage in stages {
        let since = Instant::now();
        replace(&more, &resources(stage, &real));
        heavy.truncate(stage.heavy);
        light.truncate(stage.light);
        heavy.extend((heavy.len()..stage.heavy).map(|n| parent.child(&format!("heavy-{n}"))));
        light.extend((light.len()..stage.light).map(|n| parent.child(&format!("light-{n}"))));
        // `web` has one, and each of the others also that to the real server.
        let routes = 1 + stage.routes() + stage.heavy as u64 + stage.light as u64;
        let workloads = 1 + stage.heavy + stage.light;
        wait_for("the routes of this stage", || {
            let status = daemon.json("/v1/status");
            let attached = status["workloads"].as_array().unwrap();
            attached.len() == workloads
                && attached.iter().all(|workload| workload["attached"] == true)
                && maps(&daemon)["routes"].0 == routes
        });
        let took = since.elapsed();
        load.wait_for_more(if is_slow() { 10 } else { 500 });
        // The last that has come is routed, too.
        let last = light.last().or(heavy.last()).unwrap();
        let address = format!("{}:80", dialled(1 << 20)).parse().unwrap();
        assert_eq!(ask(last, address, 3), BTreeMap::from([("real".to_owned(), 3)]));
        println!(
            "{stage:?}: {routes} routes, {workloads} workloads after {took:.1?}; maps {:?}",
            maps(&daemon)
        );
    }
    let grown = maps(&daemon);
    for map in ["routes", "backends", "outcomes"] {
        assert!(grown[map].1 > begun[map].1, "{map} has not grown: {begun:?} {grown:?}");
    }
    let seen = load.finish();
    println!("{seen:?}");
    assert_eq!((&seen.failures, &seen.other_peers), (&BTreeMap::new(), &BTreeMap::new()));
    let chosen: Vec<u64> =
        ["v1", "v2", "v3"].iter().map(|name| seen.names.get(*name).copied().unwrap_or(0)).collect();
    assert_eq!(seen.names.values().sum::<u64>(), chosen.iter().sum::<u64>(), "{seen:?}");
    let shares = chosen.iter().copied().zip(weights.map(|(_, weight)| f64::from(weight) / 100.0));
    assert_split("web", &shares.collect::<Vec<_>>());
    // Each was counted exactly once, by whatever maps the programs had. A connection whose other end stays open is at
    // its end a minute later (tcp_fin_timeout).
    wait_within(Duration::from_mins(5), "each connection is counted once", || {
        let outcomes = daemon.json("/v1/outcomes");
        let of_web =
            outcomes.as_array().unwrap().iter().find(|workload| workload["dataplane"] == "web").unwrap();
        let backends = of_web["routes"][0]["backends"].as_array().unwrap();
        let sum =
            |field: &str| -> u64 { backends.iter().map(|it| it["total"][field].as_u64().unwrap()).sum() };
        let total: u64 = chosen.iter().sum();
        assert!(sum("established") <= total, "{outcomes:#}");
        (sum("established"), sum("closed")) == (total, total)
    });
}

/// A Dataplane with so many outbounds to the service `db`, at this network.
fn many_outbounds(name: &str, net: &str, count: u32) -> String {
    let mut text = format!(
        "---\ntype: Dataplane\nname: {name}\nnetworking:\n  address: 127.0.0.1\n  inbound:\n  \
         - {{port: 80, tags: {{kuma.io/service: {name}}}}}\n  outbound:\n"
    );
    for n in 0..count {
        let (c, d) = (n / 250, n % 250 + 1);
        let _ = writeln!(text, "  - {{address: {net}.{c}.{d}, port: 5432, tags: {{kuma.io/service: db}}}}");
    }
    text
}

/// Two workloads with servers of their own, of which one wants more than there may be.
struct Crowded {
    server: Server,
    small: TestCgroup,
    large: TestCgroup,
    directory: tempfile::TempDir,
}

impl Crowded {
    fn new() -> Self {
        let server = Server::start((Loopback::claim().ip(1, 1), 0), "db");
        let directory = tempfile::tempdir().unwrap();
        Self { server, small: TestCgroup::create(), large: TestCgroup::create(), directory }
    }

    fn write(&self, small: u32, large: u32) {
        let address = self.server.address();
        let text = format!(
            "type: Dataplane\nname: db\nnetworking:\n  address: {}\n  inbound:\n  \
             - {{port: {}, tags: {{kuma.io/service: db}}}}\n{}{}",
            address.ip(),
            address.port(),
            many_outbounds("small", "240.1", small),
            many_outbounds("large", "240.2", large)
        );
        replace(&self.directory.path().join("mesh.yaml"), &text);
    }

    fn daemon(&self, more: &[&str]) -> Daemon {
        let workloads = [("small", self.small.path()), ("large", self.large.path())];
        Daemon::start_with(&mut Command::new(binary()), self.directory.path(), &workloads, more)
    }
}

/// Whether a connection from this cgroup gets to the server.
fn reaches(cgroup: &TestCgroup, dialled: &str) -> bool {
    client::reaches(cgroup, dialled.parse().unwrap(), "db")
}

#[test]
fn where_memory_ends_one_workload_stays_as_it_is_and_others_go_on() {
    if !is_root("where_memory_ends_one_workload_stays_as_it_is_and_others_go_on") {
        return;
    }
    let node = Crowded::new();
    node.write(10, 10);
    let daemon = node.daemon(&["--max-map-memory", "2"]);
    node.write(20, 60_000);
    daemon.wait_for_line("do not fit");
    wait_for("the small one has its routes", || reaches(&node.small, "240.1.0.20:5432"));
    assert!(reaches(&node.large, "240.2.0.10:5432"));
    assert_eq!(daemon.get("/readyz").0, 200, "the others are in step");
    let status = daemon.json("/v1/status");
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("do not fit") && warnings.contains("--max-map-memory"), "{warnings}");
    let memory = &status["mapMemory"];
    assert!(memory["bytes"].as_u64() <= memory["mostBytes"].as_u64(), "{memory}");
    node.write(30, 20);
    wait_for("the large one has its routes", || reaches(&node.large, "240.2.0.20:5432"));
    assert!(reaches(&node.small, "240.1.0.30:5432"));
    wait_for("nothing is told any more", || {
        !daemon.json("/v1/status")["warnings"].to_string().contains("do not fit")
    });
}

/// A service with so many endpoints, of one Dataplane.
fn many_endpoints(service: &str, count: u32) -> String {
    let mut text =
        format!("---\ntype: Dataplane\nname: {service}\nnetworking:\n  address: 127.0.0.1\n  inbound:\n");
    for n in 0..count {
        let ip = Ipv4Addr::from(0x7FFF_0000 + n);
        let _ = writeln!(text, "  - {{address: {ip}, port: 80, tags: {{kuma.io/service: {service}}}}}");
    }
    text
}

/// 1,400 endpoints are wanted where 1,496 are free, but no more than 1,300 beside each other.
#[test]
fn what_finds_no_room_in_one_piece_has_the_maps_grow() {
    if !is_root("what_finds_no_room_in_one_piece_has_the_maps_grow") {
        return;
    }
    let (web, directory) = (TestCgroup::create(), tempfile::tempdir().unwrap());
    let write = |services: &[(&str, u32)]| {
        let mut text = "type: Dataplane\nname: web\nnetworking:\n  address: 127.0.0.1\n  inbound:\n  \
             - {port: 80, tags: {kuma.io/service: web}}\n  outbound:\n"
            .to_owned();
        for (port, (service, _)) in (1..).zip(services) {
            let _ = writeln!(
                text,
                "  - {{address: 240.0.0.1, port: {port}, tags: {{kuma.io/service: {service}}}}}"
            );
        }
        text.extend(services.iter().map(|(service, count)| many_endpoints(service, *count)));
        replace(&directory.path().join("mesh.yaml"), &text);
    };
    write(&[("a", 1300), ("b", 1301), ("c", 1299)]);
    let daemon = Daemon::start(directory.path(), &[("web", web.path())]);
    let before = maps(&daemon)["endpoints"];
    assert_eq!(before, (3900, 4096));
    write(&[("a", 1300), ("c", 1299)]);
    wait_for("b is gone", || maps(&daemon)["endpoints"].0 == 2599);
    write(&[("a", 1300), ("c", 1299), ("d", 1400)]);
    wait_for("d is there", || maps(&daemon)["endpoints"].0 == 3999);
    assert!(maps(&daemon)["endpoints"].1 > 4096);
    assert!(!daemon.json("/v1/status")["warnings"].to_string().contains("do not fit"));
}

#[test]
fn beyond_its_quota_a_workload_is_left_to_the_proxy_and_others_do_not_notice() {
    if !is_root("beyond_its_quota_a_workload_is_left_to_the_proxy_and_others_do_not_notice") {
        return;
    }
    let node = Crowded::new();
    node.write(15, 500);
    let daemon = node.daemon(&["--max-routes-per-workload", "100"]);
    assert_eq!(maps(&daemon)["routes"].0, 115);
    assert_eq!(daemon.metric("tcproute_routes_beyond_quota"), 400);
    let told = "400 routes of large in the cgroup";
    assert!(daemon.json("/v1/status")["warnings"].to_string().contains(told));
    assert!(reaches(&node.large, "240.2.0.1:5432") && reaches(&node.small, "240.1.0.15:5432"));
    // Fewer than it may have.
    node.write(15, 90);
    wait_for("all are routed", || daemon.metric("tcproute_routes_beyond_quota") == 0);
    assert_eq!(maps(&daemon)["routes"].0, 105);
    node.write(15, 101);
    wait_for("one is too many", || daemon.metric("tcproute_routes_beyond_quota") == 1);
    assert_eq!(maps(&daemon)["routes"].0, 115);
    assert!(reaches(&node.large, "240.2.0.90:5432"));
}
