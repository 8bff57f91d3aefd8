//! Addresses that do not count: no connection gets there, and it is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Output},
};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{script, stdout},
    is_root,
    mesh::Mesh,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for,
};

fn external(name: &str, address: &str) -> String {
    format!(
        "type: ExternalService\nname: {name}\ntags: {{kuma.io/service: ext}}\nnetworking: {{address: '{address}'}}\n"
    )
}

fn vips(port: u16, ips: &[&str]) -> String {
    let ips: Vec<String> = ips.iter().map(|ip| format!("{{ip: '{ip}'}}")).collect();
    format!(
        "type: MeshService\nname: mine\nspec:\n  selector: {{dataplaneTags: {{v: x}}}}\n  ports: [{{port: {port}, targetPort: 5432}}]\n\
         status:\n  vips: [{}]\n",
        ips.join(", ")
    )
}

fn tcproute(arguments: &[&str], file: &Path) -> Output {
    Command::new(binary()).args(arguments).arg(file).output().unwrap()
}

/// Row by row what people may write as an endpoint.
#[test]
fn no_address_of_the_node_or_of_all_is_an_endpoint() {
    let resolve = |address: &str, more: &[&str]| {
        let mut mesh = Mesh::new();
        mesh.outbound("ext", "[fd00::1]:80".parse().unwrap()).document(&external("e", address));
        let mut command = Command::new(binary());
        command.args(["resolve", "--dataplane", "web", "--output", "json"]).args(more);
        let output = command.arg("--resources").arg(mesh.file()).output().unwrap();
        let routes: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        let warnings = routes["warnings"].to_string();
        let endpoints = routes["routes"][0]["backends"][0]["endpoints"].as_array().unwrap().len();
        assert_eq!(routes["routes"][0]["action"], "route");
        // What is left out is told with the resource that has it.
        assert_eq!(
            endpoints == 0,
            warnings.contains("ExternalService e of mesh default: no connection goes to")
        );
        endpoints
    };
    for address in [
        "0.0.0.0:80",
        "255.255.255.255:80",
        "224.0.0.1:80",
        "169.254.169.254:80",
        "[::]:80",
        "[fe80::1]:80",
        "[ff02::1]:80",
        "[::ffff:169.254.169.254]:80",
        "[64:ff9b::a9fe:a9fe]:80",
        "[2002:a9fe:a9fe::1]:80",
    ] {
        assert_eq!(resolve(address, &["--allow-loopback"]), 0, "{address}");
    }
    for address in ["127.0.0.1:10255", "localhost:80", "[::1]:80", "[64:ff9b::7f00:1]:80"] {
        assert!(resolve(address, &[]) > 0, "{address}");
        assert_eq!(resolve(address, &["--allow-loopback=false"]), 0, "{address}");
    }
    for address in ["10.96.0.1:443", "[::ffff:10.96.0.1]:443", "[64:ff9b::a60:1]:443"] {
        assert_eq!(resolve(address, &[]), 1, "{address}");
        assert_eq!(
            resolve(address, &["--deny-cidr", "fd77::/16", "--deny-cidr", "10.96.0.0/12"]),
            0,
            "{address}"
        );
    }
}

#[test]
fn validate_names_the_place_of_each_address_that_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.yaml");
    let dataplane = "type: Dataplane\nname: d\nnetworking:\n  address: 169.254.0.1\n  inbound:\n  - port: 1\n    tags: {kuma.io/service: d}\n  \
         - {port: 2, address: 10.1.0.1, tags: {kuma.io/service: d}}\n  outbound:\n  - {port: 3, address: 224.0.0.1, tags: {kuma.io/service: ext}}\n";
    let text = [dataplane, &external("e", "169.254.169.254:80"), &vips(443, &["241.0.0.1", "10.96.0.1"])];
    fs::write(&file, text.join("---\n")).unwrap();
    let notes = |more: &[&str]| {
        let output = tcproute(&[&["validate"], more].concat(), &file);
        let text = stdout(&output).replace(&format!("{}/", directory.path().display()), "");
        text.lines().filter_map(|line| line.strip_prefix("note: ").map(str::to_owned)).collect::<Vec<_>>()
    };
    let always = [
        "mesh.yaml:4:12: networking.address: 169.254.0.1 is or holds a link-local address: no connection goes there",
        "mesh.yaml:10:24: networking.outbound[0].address: 224.0.0.1 is or holds a multicast address: it is not dialled",
        "mesh.yaml:15:23: networking.address: 169.254.169.254 is or holds a link-local address: no connection goes there",
    ];
    let vip =
        "mesh.yaml:23:34: status.vips[1].ip: 10.96.0.1 is a VIP outside of --vip-cidr: it is not dialled";
    assert_eq!(notes(&[]), [&always[..], &[vip]].concat());
    assert_eq!(notes(&["--vip-cidr", "240.0.0.0/4", "--vip-cidr", "10.96.0.0/12"]), always);
    let denied = "mesh.yaml:8:24: networking.inbound[1].address: 10.1.0.1 is or holds an address in a --deny-cidr: no connection goes there";
    let all = notes(&["--deny-cidr", "10.1.0.0/16"]);
    assert!(all.contains(&denied.to_owned()), "{all:#?}");
    let output = tcproute(&["validate", "--deny-cidr", "10.1"], &file);
    assert_eq!(output.status.code(), Some(2));
}

/// The share of a backend that has no other endpoint is refused, and never goes where it was dialled.
#[test]
fn a_share_whose_endpoints_do_not_count_is_refused_and_told() {
    if !is_root("a_share_whose_endpoints_do_not_count_is_refused_and_told") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let _past = Server::start(dialled, "past");
    let backend = Server::start((net.ip(1, 1), 0), "backend");
    let mut mesh = Mesh::new();
    mesh.outbound("ext", dialled).document(&external("fine", &backend.address().to_string()));
    let file = mesh.file();
    let workload = TestCgroup::create();
    let daemon = Daemon::start(&file, &[("web", workload.path())]);
    let dial = || {
        let body = format!("print(name(dial('{}', {})))", dialled.ip(), dialled.port());
        let client = workload.command("python3").args(["-SEc", &script(&body)]).output().unwrap();
        let error = String::from_utf8_lossy(&client.stderr).into_owned();
        if client.status.success() {
            stdout(&client)
        } else {
            error.lines().last().unwrap_or_default().to_owned()
        }
    };
    assert_eq!(dial(), "backend");

    // Beside one that counts it is left out, and told once.
    mesh.document(&external("metadata", "169.254.169.254:80"));
    fs::write(&file, mesh.text()).unwrap();
    let told = "ExternalService metadata of mesh default: no connection goes to 169.254.169.254:80";
    daemon.wait_for_line(told);
    for _ in 0..20 {
        assert_eq!(dial(), "backend");
    }
    assert_eq!(daemon.metric("tcproute_denied_addresses{reason=\"link_local\"}"), 1);
    let warnings = daemon.json("/v1/status")["warnings"].to_string();
    assert!(warnings.contains(told), "{warnings}");

    // Alone it leaves nothing to connect to.
    let mut mesh = Mesh::new();
    mesh.outbound("ext", dialled).document(&external("metadata", "169.254.169.254:80"));
    fs::write(&file, mesh.text()).unwrap();
    wait_for("the endpoint has left", || dial() != "backend");
    let error = dial();
    assert!(error.contains("Error: [Errno"), "{error}");
    assert!(daemon.metric("tcproute_decisions_total{decision=\"refused\"}") > 0);
    assert_eq!(daemon.metric("tcproute_denied_addresses{reason=\"link_local\"}"), 1);
}

/// A VIP that is claimed outside of the networks for VIPs leads to whoever has that address.
#[test]
fn a_vip_is_dialled_where_vips_may_be() {
    if !is_root("a_vip_is_dialled_where_vips_may_be") {
        return;
    }
    let net = Loopback::claim();
    let (claimed, port) = (net.ip(0, 1), 6000);
    let _owner = Server::start((claimed, port), "owner");
    let backend = Server::start((net.ip(1, 1), 5432), "backend");
    let mut mesh = Mesh::new();
    mesh.endpoint("db", "x", backend.address()).document(&vips(port, &[&claimed.to_string()]));
    let dial = |more: &[&str]| {
        let body = format!("print(name(dial('{claimed}', {port})))");
        let mut exec = Command::new(binary());
        exec.args(["exec", "--compat", "latest", "--dataplane", "web", "--resources"])
            .arg(mesh.file())
            .args(more);
        stdout(&exec.args(["--", "python3", "-SEc", &script(&body)]).output().unwrap())
    };
    assert_eq!(dial(&[]), "owner");
    let net = format!("{}/16", net.ip(0, 0));
    assert_eq!(dial(&["--vip-cidr", &net]), "backend");
    assert_eq!(dial(&["--vip-cidr", &net, "--deny-cidr", &claimed.to_string()]), "owner");
}
