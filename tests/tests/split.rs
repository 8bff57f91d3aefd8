//! Connections are split as the policy says, also in the examples.

use std::{net::SocketAddr, path::Path, process::Output};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    chi_square::assert_split,
    client::{ask, counting, counts},
    is_root,
    mesh::Mesh,
    sample,
    server::Server,
    tcproute::{Daemon, exec},
};

fn dial(resources: &Path, dataplane: &str, address: SocketAddr, count: u32) -> Output {
    exec(resources, dataplane, &["python3", "-SEc", &counting(address, count)])
}

#[test]
fn the_examples_run_live() {
    if !is_root("the_examples_run_live") {
        return;
    }
    let server = |address: &str, name| Server::start(address.parse::<SocketAddr>().unwrap(), name);
    let _servers = [
        server("127.0.1.1:3001", "v1-1"),
        server("127.0.1.2:3001", "v1-2"),
        server("127.0.2.1:3001", "v2"),
        server("127.0.0.1:4001", "external"),
    ];
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for (form, dialled) in [("universal", "127.0.0.1:10001"), ("kubernetes", "127.43.0.20:3001")] {
        let dialled = dialled.parse().unwrap();
        let output = dial(&examples.join(format!("split-{form}.yaml")), "frontend-1", dialled, sample(4000));
        let seen = counts(&output);
        let of = |name: &str| seen.get(name).copied().unwrap_or(0);
        assert_split(&format!("{form}: versions"), &[(of("v1-1") + of("v1-2"), 0.9), (of("v2"), 0.1)]);
        assert_split(&format!("{form}: endpoints of 1.0"), &[(of("v1-1"), 0.5), (of("v1-2"), 0.5)]);

        let output = dial(&examples.join(format!("redirect-{form}.yaml")), "frontend-1", dialled, 20);
        assert_eq!(counts(&output), [("external".to_owned(), 20)].into());
    }
}

#[test]
fn weights_need_not_sum_to_100_and_weight_0_gets_nothing() {
    if !is_root("weights_need_not_sum_to_100_and_weight_0_gets_nothing") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let weights = [("a", 40), ("b", 15), ("c", 15), ("d", 15), ("off", 0), ("a", 1)];
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).split("db", &weights);
    let names = ["a", "b", "c", "d", "off"];
    let servers: Vec<Server> =
        (1_u8..).zip(names).map(|(last, name)| Server::start((net.ip(1, last), 5432), name)).collect();
    for (server, name) in servers.iter().zip(names) {
        mesh.endpoint("db", name, server.address());
    }
    let seen = counts(&dial(&mesh.file(), "web", dialled, sample(4000)));
    let of = |name: &str| seen.get(name).copied().unwrap_or(0);
    let split: Vec<(u64, f64)> = [("a", 41.0), ("b", 15.0), ("c", 15.0), ("d", 15.0), ("off", 0.0)]
        .map(|(name, weight)| (of(name), weight / 86.0))
        .into();
    assert_split("40,15,15,15,0,1", &split);
}

#[test]
fn a_thousand_routes_and_a_thousand_backend_refs() {
    if !is_root("a_thousand_routes_and_a_thousand_backend_refs") {
        return;
    }
    let net = Loopback::claim();
    let mut mesh = Mesh::new();
    // Every backendRef of `wide` leads to one of two servers; each of the 1000 others to one of them.
    let even = Server::start((net.ip(1, 1), 1), "even");
    let odd = Server::start((net.ip(1, 2), 1), "odd");
    let versions: Vec<String> = (0..1000).map(|i| format!("v{i}")).collect();
    let weights: Vec<(&str, u32)> = versions.iter().map(|version| (version.as_str(), 3)).collect();
    for (i, version) in versions.iter().enumerate() {
        let server = if i % 2 == 0 { &even } else { &odd };
        mesh.endpoint("wide", version, server.address());
        mesh.endpoint(&format!("narrow-{i}"), "x", server.address());
        let number = u16::try_from(i).unwrap();
        mesh.outbound(&format!("narrow-{i}"), (net.ip(2, 1), 2000 + number).into());
    }
    let dialled: SocketAddr = (net.ip(3, 1), 1).into();
    mesh.outbound("wide", dialled).split("wide", &weights);
    let cgroup = TestCgroup::create();
    let _daemon = Daemon::start(&mesh.file(), &[("web", cgroup.path())]);
    let dial = |address, count| ask(&cgroup, address, count);
    let seen = dial(dialled, sample(4000));
    assert_split("1000 backendRefs", &[(seen["even"], 0.5), (seen["odd"], 0.5)]);
    for (port, name) in [(2000, "even"), (2999, "odd")] {
        assert_eq!(dial((net.ip(2, 1), port).into(), 10), [(name.to_owned(), 10)].into());
    }
}
