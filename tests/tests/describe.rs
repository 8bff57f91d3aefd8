//! `tcproute describe`: a live connection, and what there is to know of a Dataplane, a service and a policy.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Command, Stdio},
};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{script, stdout},
    is_root,
    mesh::Mesh,
    process::Process,
    server::Server,
    tcproute::{Daemon, binary},
};

/// Dials and waits, and tells the descriptor and the address of its socket.
const CLIENT: &str = "
import sys
socket = dial('IP', PORT)
print(socket.fileno(), '%s:%d' % socket.getsockname()[:2], flush=True)
sys.stdin.readline()
";

fn describe(arguments: &[&str]) -> String {
    stdout(&Command::new(binary()).arg("describe").args(arguments).output().unwrap())
}

#[test]
fn a_live_connection_tells_where_it_was_dialled_and_why_it_leads_where_it_leads() {
    if !is_root("a_live_connection_tells_where_it_was_dialled_and_why_it_leads_where_it_leads") {
        return;
    }
    let net = Loopback::claim();
    let (dialled, server) = (SocketAddr::from((net.ip(0, 1), 5432)), Server::start((net.ip(1, 1), 0), "a"));
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).split("db", &[("a", 1)]).endpoint("db", "a", server.address());
    let cgroup = TestCgroup::create();
    let daemon = Daemon::start(&mesh.file(), &[("web", cgroup.path())]);
    let socket = daemon.admin_socket().display().to_string();

    let client = |address: SocketAddr| {
        let body =
            CLIENT.replace("IP", &address.ip().to_string()).replace("PORT", &address.port().to_string());
        let mut command = cgroup.command("python3");
        let mut child = command
            .args(["-SEc", &script(&body)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (fd, local) = line.trim().split_once(' ').unwrap();
        let (fd, local) = (fd.to_owned(), local.to_owned());
        (Process(child), fd, local)
    };
    let (mut process, fd, local) = client(dialled);
    let pid = process.0.id();
    let json = |arguments: &[&str]| -> Value {
        let arguments = [&["connection", "--admin-socket", &socket, "--output", "json"], arguments].concat();
        serde_json::from_str(&describe(&arguments)).unwrap()
    };
    let by_descriptor = json(&[&format!("{pid}:{fd}")]);
    println!("{by_descriptor:#}");
    let routed = &by_descriptor[0]["routed"];
    assert_eq!(routed["dialled"], dialled.to_string());
    assert_eq!(routed["endpoint"], server.address().to_string());
    assert_eq!((&routed["service"], &routed["dataplane"]), (&"db".into(), &"web".into()));
    assert_eq!((&routed["backend"], &routed["current"]), (&"MeshServiceSubset db v=a".into(), &true.into()));
    assert_eq!(routed["policies"], serde_json::json!(["split-db"]));
    assert!(routed["started"].is_string(), "{routed}");
    assert_eq!(json(&[&pid.to_string()]), by_descriptor, "all of the process");
    for destination in [server.address(), dialled] {
        assert_eq!(json(&[&local, &destination.to_string()]), by_descriptor, "by addresses");
    }
    let text = describe(&["conn", "--admin-socket", &socket, &format!("{pid}:{fd}")]);
    println!("{text}");
    assert!(text.contains("chosen    MeshServiceSubset db v=a"), "{text}");

    // What is not routed is told as that.
    let (other, fd, _) = client(server.address());
    let not_routed = json(&[&format!("{}:{fd}", other.0.id())]);
    assert_eq!(not_routed[0]["routed"], Value::Null);
    process.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    process.0.wait().unwrap();
    let gone = Command::new(binary()).args(["describe", "connection", &pid.to_string()]).output().unwrap();
    assert_eq!(gone.status.code(), Some(1));
    let wrong = Command::new(binary()).args(["describe", "connection", "x:1"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn resources_are_described_without_privilege() {
    let mut mesh = Mesh::new();
    mesh.outbound("db", "127.0.0.1:5432".parse().unwrap()).split("db", &[("a", 3), ("b", 1)]);
    mesh.endpoint("db", "a", "10.0.0.1:5432".parse().unwrap());
    let file = mesh.file().display().to_string();
    let with = |what: &[&str]| describe(&[what, &["--resources", &file]].concat());

    let dataplane = with(&["dataplane", "web"]);
    println!("{dataplane}");
    for part in [
        "MeshTCPRoute split-db, as MeshService web: about db",
        "db at 127.0.0.1:5432 (tcp): routed, by MeshTCPRoute",
        "MeshTCPRoute split-db wins: the strongest",
        "75.0 % (weight 3) MeshServiceSubset db v=a: to 10.0.0.1:5432",
        "25.0 % (weight 1) MeshServiceSubset db v=b: no endpoint: its share is refused",
    ] {
        assert!(dataplane.contains(part), "{part}\n{dataplane}");
    }
    let service = with(&["svc", "db", "--admin-socket", "/nowhere"]);
    println!("{service}");
    assert!(service.contains("10.0.0.1:5432") && service.contains("which of them are ejected is not known"));
    let policy = with(&["policy", "split-db"]);
    println!("{policy}");
    assert!(policy.contains("for web: wins, and is routed"), "{policy}");
    assert!(policy.contains("NO endpoint, its share is refused"), "{policy}");
    let json: Value = serde_json::from_str(&with(&["policy", "split-db", "--output", "json"])).unwrap();
    assert_eq!(json["selects"], serde_json::json!(["web"]));
}
