//! DNS never holds anything back: a name that is not answered has its last addresses or none.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use serde_json::{Value, json};
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{ask, reaches},
    is_root,
    mesh::Mesh,
    replace,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for,
};

/// A DNS server that is silent until it is told to answer, with one address for every name. Of names that begin with
/// `silent` it never says anything.
struct DnsServer {
    answers: Arc<AtomicBool>,
}

impl DnsServer {
    fn start(listens: IpAddr, answer: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((listens, 53)).unwrap();
        let answers = Arc::new(AtomicBool::new(false));
        let speaks = Arc::clone(&answers);
        // It ends with the test's process.
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut query) {
                // The first label follows its length.
                let is_silent = query[13..length].starts_with(b"silent");
                if speaks.load(Ordering::SeqCst) && !is_silent {
                    let _ = socket.send_to(&reply(&query[..length], answer), client);
                }
            }
        });
        Self { answers }
    }

    fn speak(&self) {
        self.answers.store(true, Ordering::SeqCst);
    }

    fn fall_silent(&self) {
        self.answers.store(false, Ordering::SeqCst);
    }
}

/// RFC 1035: the header with the question as it was asked, and one A record if that was the question.
fn reply(query: &[u8], answer: Ipv4Addr) -> Vec<u8> {
    let name_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let is_a = query[name_end..name_end + 2] == [0, 1];
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    reply.extend(&query[12..name_end + 4]);
    if is_a {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        reply.extend(answer.octets());
    }
    reply
}

fn external(name: &str) -> String {
    format!(
        "type: ExternalService\nname: {name}\ntags: {{kuma.io/service: {name}}}\nnetworking: {{address: '{name}.example:5432'}}\n"
    )
}

/// The daemon, to which this is `/etc/resolv.conf`.
fn with_resolver(resolv: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = "[ -e /etc/resolv.conf ] || : > /etc/resolv.conf; mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script]).arg(resolv).arg(binary());
    command
}

fn start(resolv: &Path, resources: &Path, cgroup: &TestCgroup, more: &[&str]) -> Daemon {
    let more = [&["--dns-interval", "0.2"], more].concat();
    Daemon::start_with(&mut with_resolver(resolv), resources, &[("web", cgroup.path())], &more)
}

#[test]
fn a_silent_resolver_holds_nothing_back() {
    if !is_root("a_silent_resolver_holds_nothing_back") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let outside: SocketAddr = (net.ip(0, 2), 5432).into();
    let [old, new] = [(1, "old"), (2, "new")].map(|(n, name)| Server::start((net.ip(1, n), 0), name));
    let _named = Server::start((net.ip(1, 3), 5432), "named");
    let dns = DnsServer::start(net.ip(0, 53).into(), net.ip(1, 3));
    let directory = tempfile::tempdir().unwrap();
    let [file, resolv] = ["mesh.yaml", "resolv.conf"].map(|name| directory.path().join(name));
    fs::write(&resolv, format!("nameserver {}\n", net.ip(0, 53))).unwrap();
    let text = |server: &Server, names: usize| {
        let mut mesh = Mesh::new();
        mesh.outbound("db", dialled).endpoint("db", "x", server.address());
        mesh.outbound("name-0", outside);
        for name in 0..names {
            mesh.document(&external(&format!("name-{name}")));
        }
        mesh.text()
    };
    // Also a start does not wait for it for long.
    fs::write(&file, text(&old, 1)).unwrap();
    let cgroup = TestCgroup::create();
    let begun = Instant::now();
    let daemon = start(&resolv, &file, &cgroup, &[]);
    println!("started {:?} after it began, with a name that is not answered", begun.elapsed());
    let ask = |dialled| ask(&cgroup, dialled, 20).into_keys().collect::<Vec<_>>();
    assert_eq!(ask(dialled), ["old"]);
    // New names beside another change: that is in force at once.
    let begun = Instant::now();
    fs::write(&file, text(&new, 20)).unwrap();
    daemon.wait_for_line("new routes in force");
    println!("in force {:?} after the write, with 20 names that are not answered", begun.elapsed());
    assert_eq!(ask(dialled), ["new"]);
    let endpoints = || {
        let routes = daemon.json("/v1/routes")[0]["routes"].clone();
        let of = |route: &&Value| route["service"] == "name-0";
        routes.as_array().unwrap().iter().find(of).unwrap()["backends"][0]["endpoints"].clone()
    };
    assert_eq!(endpoints(), json!([]));
    dns.speak();
    wait_for("its address is in force", || endpoints() == json!([format!("{}:5432", net.ip(1, 3))]));
    assert_eq!(ask(outside), ["named"]);
}

/// Each second, for longer than a route is held: what is asked while the server is silent is lost. To glibc the time is
/// that of each attempt, and to musl, which packages have, that of all.
fn asking_again_soon() -> &'static str {
    let build = Command::new(binary()).args(["version", "--output", "json"]).output().unwrap();
    let build: Value = serde_json::from_slice(&build.stdout).unwrap();
    if build["target"].as_str().unwrap().ends_with("musl") {
        "timeout:10 attempts:10"
    } else {
        "timeout:1 attempts:9"
    }
}

/// A policy that leads elsewhere, by a name that nobody has asked for yet.
#[test]
fn a_route_goes_on_until_the_name_it_is_led_to_is_answered() {
    if !is_root("a_route_goes_on_until_the_name_it_is_led_to_is_answered") {
        return;
    }
    let net = Loopback::claim();
    let [dialled, beside] = [1, 2].map(|last| SocketAddr::from((net.ip(0, last), 5432)));
    let near = Server::start((net.ip(1, 1), 0), "near");
    let other = Server::start((net.ip(1, 2), 0), "other");
    let _far = Server::start((net.ip(1, 3), 5432), "far");
    let dns = DnsServer::start(net.ip(0, 53).into(), net.ip(1, 3));
    let directory = tempfile::tempdir().unwrap();
    let [file, resolv] = ["mesh.yaml", "resolv.conf"].map(|name| directory.path().join(name));
    fs::write(&resolv, format!("nameserver {}\noptions {}\n", net.ip(0, 53), asking_again_soon())).unwrap();
    let write = |to: &str| {
        let mut mesh = Mesh::new();
        mesh.outbound("db", dialled).endpoint("db", "x", near.address());
        let server = if to == "db" { &near } else { &other };
        mesh.outbound("beside", beside).endpoint("beside", "x", server.address());
        for name in ["far", "silent"] {
            mesh.document(&external(name));
        }
        mesh.document(&format!(
            "type: MeshTCPRoute\nname: r\nspec:\n  targetRef: {{kind: Mesh}}\n  to:\n  \
             - targetRef: {{kind: MeshService, name: db}}\n    \
             rules: [{{default: {{backendRefs: [{{kind: MeshService, name: {to}}}]}}}}]\n"
        ));
        replace(&file, &mesh.text());
    };
    write("db");
    let cgroup = TestCgroup::create();
    let _daemon = start(&resolv, &file, &cgroup, &[]);
    // Who answers until it is this one. Nothing is refused on the way.
    let until = |last: &str| {
        let mut seen = BTreeSet::new();
        wait_for(&format!("{last} answers"), || {
            let answers = ask(&cgroup, dialled, 20);
            assert_eq!(answers.values().sum::<u64>(), 20, "something is refused: {answers:?}");
            seen.extend(answers.keys().cloned());
            answers.len() == 1 && answers.contains_key(last)
        });
        seen
    };
    assert_eq!(until("near"), ["near".to_owned()].into());
    write("far");
    wait_for("what is beside it is in force", || reaches(&cgroup, beside, "other"));
    assert_eq!(until("near"), ["near".to_owned()].into());
    dns.speak();
    assert!(until("far").is_subset(&["far".to_owned(), "near".to_owned()].into()));

    // One that is never answered is waited for, but not for long.
    let begun = Instant::now();
    write("silent");
    wait_for("what has no address is refused", || !reaches(&cgroup, dialled, "far"));
    println!("refused after {:?}", begun.elapsed());
}

#[test]
fn after_a_reboot_names_have_the_addresses_that_they_had() {
    if !is_root("after_a_reboot_names_have_the_addresses_that_they_had") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let _named = Server::start((net.ip(1, 3), 5432), "named");
    let dns = DnsServer::start(net.ip(0, 53).into(), net.ip(1, 3));
    let directory = tempfile::tempdir().unwrap();
    let [file, resolv, state] = ["mesh.yaml", "resolv.conf", "state"].map(|name| directory.path().join(name));
    fs::write(&resolv, format!("nameserver {}\n", net.ip(0, 53))).unwrap();
    let mut mesh = Mesh::new();
    mesh.outbound("name-0", dialled);
    mesh.document(&external("name-0"));
    fs::write(&file, mesh.text()).unwrap();
    let cgroup = TestCgroup::create();
    let more = ["--state-dir", state.to_str().unwrap()];
    dns.speak();
    let daemon = start(&resolv, &file, &cgroup, &more);
    let reaches_it = || reaches(&cgroup, dialled, "named");
    wait_for("it is answered", reaches_it);
    wait_for("that is kept", || fs::read_dir(state.join("dns")).unwrap().count() == 1);
    dns.fall_silent();
    drop(daemon);
    assert!(!reaches_it());
    let _daemon = start(&resolv, &file, &cgroup, &more);
    assert!(reaches_it(), "nobody has answered since");
}

#[test]
fn who_has_very_many_silent_names_keeps_nobody_waiting() {
    const MANY: usize = 5_000;
    if !is_root("who_has_very_many_silent_names_keeps_nobody_waiting") {
        return;
    }
    let net = Loopback::claim();
    let [many, one]: [SocketAddr; 2] = [1, 2].map(|n| (net.ip(0, n), 5432).into());
    let _named = Server::start((net.ip(1, 3), 5432), "named");
    DnsServer::start(net.ip(0, 53).into(), net.ip(1, 3)).speak();
    let directory = tempfile::tempdir().unwrap();
    let [file, resolv] = ["mesh.yaml", "resolv.conf"].map(|name| directory.path().join(name));
    fs::write(&resolv, format!("nameserver {}\n", net.ip(0, 53))).unwrap();
    let text = |is_outside_known: bool| {
        let mut mesh = Mesh::new();
        mesh.outbound("outside", one);
        let (ip, port) = (many.ip(), many.port());
        mesh.document(&format!(
            "type: Dataplane\nname: many\nnetworking:\n  address: 192.0.2.1\n  \
             inbound: [{{port: 1, tags: {{kuma.io/service: many}}}}]\n  \
             outbound: [{{address: '{ip}', port: {port}, tags: {{kuma.io/service: silent}}}}]\n"
        ));
        for name in 0..MANY {
            mesh.document(
                &external(&format!("silent-{name}"))
                    .replace(&format!("service: silent-{name}"), "service: silent"),
            );
        }
        if is_outside_known {
            mesh.document(&external("outside"));
        }
        mesh.text()
    };
    fs::write(&file, text(false)).unwrap();
    let [web, other] = [TestCgroup::create(), TestCgroup::create()];
    let workloads = [("web", web.path()), ("many", other.path())];
    let daemon =
        Daemon::start_with(&mut with_resolver(&resolv), &file, &workloads, &["--dns-interval", "0.2"]);
    let share = daemon.metric("tcproute_dns_names_most_of_share");
    assert_eq!(daemon.metric("tcproute_dns_names"), share);
    assert_eq!(daemon.metric("tcproute_dns_names_largest_share"), share);
    assert_eq!(daemon.metric("tcproute_dns_names_left_out"), MANY as u64 - share);
    let warnings = daemon.json("/v1/status")["warnings"].to_string();
    assert!(warnings.contains("Dataplane many leads to more than"), "{warnings}");
    // All turns that one may have are taken by now, and would be for minutes.
    fs::write(&file, text(true)).unwrap();
    let begun = Instant::now();
    wait_for("the name is answered", || reaches(&web, one, "named"));
    println!("answered {:?} after the write, beside {MANY} silent names of another", begun.elapsed());
}
