//! `tcproute get`: lists of what the daemon knows, as people and programs ask for them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::stdout,
    is_root,
    mesh::Mesh,
    process::Process,
    screen::Screen,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for,
};

/// On Kubernetes, so that there are namespaces; made long ago.
const OF_A_CLUSTER: &str = "
apiVersion: kuma.io/v1alpha1
kind: Dataplane
mesh: default
metadata: {name: cart-1, namespace: shop, creationTimestamp: 2020-01-02T03:04:05Z, labels: {team: red}}
spec:
  networking:
    address: 10.0.0.9
    inbound:
    - {port: 80, tags: {kuma.io/service: cart_shop_svc_80, version: v1}}
";

/// Where a list is asked for.
struct Setup {
    server: Server,
    dialled: SocketAddr,
    mesh: Mesh,
    cgroup: TestCgroup,
}

impl Setup {
    fn new() -> Self {
        let net = Loopback::claim();
        let (dialled, server) = ((net.ip(0, 1), 5432).into(), Server::start((net.ip(1, 1), 0), "a"));
        let mut mesh = Mesh::new();
        mesh.outbound("db", dialled).split("db", &[("a", 3), ("b", 1)]);
        mesh.endpoint("db", "a", server.address()).document(OF_A_CLUSTER);
        Self { server, dialled, mesh, cgroup: TestCgroup::create() }
    }

    fn daemon(&self, more: &[&str]) -> Daemon {
        let workloads = [("web", self.cgroup.path())];
        Daemon::start_with(&mut Command::new(binary()), &self.mesh.file(), &workloads, more)
    }
}

fn get(socket: &Path, arguments: &[&str]) -> Output {
    let mut get = Command::new(binary());
    get.arg("get").arg("--admin-socket").arg(socket).args(arguments).output().unwrap()
}

/// Its lines, each as words.
fn words(output: &Output) -> Vec<Vec<String>> {
    let text = stdout(output);
    println!("{text}");
    text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn the_daemon_tells_what_there_is_of_each_kind() {
    if !is_root("the_daemon_tells_what_there_is_of_each_kind") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&[]);
    let socket = daemon.admin_socket();
    let names = |arguments: &[&str]| {
        stdout(&get(&socket, &[arguments, &["-o", "name"]].concat()))
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&stdout(&get(&socket, &[arguments, &["-o", "json"]].concat()))).unwrap()
    };

    for kind in ["dp", "dataplane", "dataplanes"] {
        let all = ["dataplane/cart-1.shop", "dataplane/endpoint-1", "dataplane/web"];
        assert_eq!(names(&[kind]), all, "{kind}");
        assert_eq!(names(&[kind, "-A"]), all, "{kind}");
    }
    assert_eq!(names(&["dp", "-n", "shop"]), ["dataplane/cart-1.shop"]);
    assert_eq!(names(&["dp", "-l", "team=red,version in (v1,v2)"]), ["dataplane/cart-1.shop"]);
    assert_eq!(names(&["dp", "-l", "kuma.io/service,!version"]), ["dataplane/endpoint-1", "dataplane/web"]);
    assert_eq!(names(&["dp/web"]), ["dataplane/web"]);
    assert_eq!(names(&["dp", "--mesh", "other"]), Vec::<String>::new());
    assert!(names(&["svc"]).contains(&"service/db".to_owned()));
    assert_eq!(names(&["svc", "-n", "shop"]), ["service/cart_shop_svc_80"]);
    assert_eq!(names(&["policies"]), ["meshtcproute/split-db"]);
    assert_eq!(names(&["meshtcproute", "split-db"]), ["meshtcproute/split-db"]);
    assert_eq!(names(&["ep", "db"]), [format!("endpoint/{}", setup.server.address())]);
    assert_eq!(names(&["routes"]), [format!("route/web/{}", setup.dialled)]);

    let table = words(&get(&socket, &["dp"]));
    assert_eq!(table[0], ["NAME", "MESH", "ADDRESS", "SERVES", "READY", "OUTBOUNDS", "HERE", "AGE"]);
    let cart = table.iter().find(|row| row[0] == "cart-1.shop").unwrap();
    assert_eq!(cart[1..7], ["default", "10.0.0.9", "cart_shop_svc_80", "1/1", "0", "no"]);
    // Years, and perhaps days.
    assert!(cart[7].contains('y'), "{cart:?}");
    let web = table.iter().find(|row| row[0] == "web").unwrap();
    assert_eq!(web[5..], ["1", "yes", "-"], "it is on this node, and nobody knows since when");
    let without = words(&get(&socket, &["dp", "--no-headers"]));
    assert_eq!(without.len(), table.len() - 1);
    let routes = words(&get(&socket, &["route", "web"]));
    assert_eq!(routes[1][..3], ["web", "default", "db"]);
    let leads_to = "75.0 % MeshServiceSubset db v=a, 25.0 % MeshServiceSubset db v=b (refused)";
    assert_eq!(routes[1][4..].join(" "), leads_to);

    let web = json(&["dp", "web"]);
    assert_eq!((&web["name"], &web["workloads"]), (&"web".into(), &1.into()), "one is an object");
    assert_eq!(json(&["dp"])[0]["created"], "2020-01-02T03:04:05Z");
    assert_eq!(stdout(&get(&socket, &["dp", "cart-1", "-o", "jsonpath={.labels.team}"])), "red");
    let yaml = stdout(&get(&socket, &["svc", "db", "-o", "yaml"]));
    assert!(yaml.contains("protocol: tcp\n"), "{yaml}");
    let wide = stdout(&get(&socket, &["dp", "cart-1", "-o", "wide"]));
    assert!(wide.contains("LABELS") && wide.contains("team=red"), "{wide}");

    let client = format!(
        "import sys\ns = dial({:?}, {})\nprint(flush=True)\nsys.stdin.readline()",
        setup.dialled.ip().to_string(),
        setup.dialled.port()
    );
    let open = || json(&["connections", "web"]).as_array().unwrap().clone();
    let mut clients = Vec::new();
    // A fourth of them is refused.
    wait_for("one is open", || {
        let mut command = setup.cgroup.command("python3");
        let script = tcproute_tests::client::script(&client);
        let child = command.args(["-SEc", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Process(child.stderr(Stdio::null()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let is_open = !line.is_empty();
        clients.push(child);
        is_open
    });
    let all = open();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["endpoint"], setup.server.address().to_string());
    assert_eq!((&all[0]["open"], &all[0]["service"]), (&1.into(), &"db".into()));
}

#[test]
fn what_cannot_be_answered_is_told() {
    if !is_root("what_cannot_be_answered_is_told") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&[]);
    let socket = daemon.admin_socket();
    let failed = |arguments: &[&str]| {
        let output = get(&socket, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let unknown = failed(&["dp", "wbe"]);
    assert_eq!(unknown, "error: there is no dataplane \"wbe\", did you mean \"web\"?\n");
    assert!(failed(&["pods"]).contains("it must be of dataplanes, services,"));
    assert!(failed(&["dp", "-l", "a in b"]).contains("is no name of a label"));
    assert!(failed(&["routes", "-l", "a=b"]).contains("have no labels"));
    assert!(failed(&["dp", "-A", "-n", "shop"]).contains("cannot be used with"));
    assert!(failed(&["connections", "-f", "/nowhere"]).contains("No such file"));
    assert!(failed(&["dp", "-w", "-f", "/nowhere"]).contains("asks the daemon"));
    // Nothing is no error, as it is for kubectl.
    let none = get(&socket, &["dp", "-n", "nowhere"]);
    assert_eq!((none.status.code(), &*none.stdout), (Some(0), &b""[..]));
    assert_eq!(String::from_utf8_lossy(&none.stderr), "no dataplanes found\n");
    let away = get(Path::new("/nowhere"), &["dp"]);
    assert_eq!(away.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&away.stderr).contains("no tcproute answers at /nowhere"));
    assert_eq!(daemon.get("/v1/list/secrets").0, 404);
}

#[test]
fn files_are_listed_without_a_daemon() {
    let mesh = {
        let mut mesh = Mesh::new();
        mesh.outbound("db", "127.0.0.1:5432".parse().unwrap()).split("db", &[("a", 1)]);
        mesh.endpoint("db", "a", "10.0.0.1:5432".parse().unwrap()).document(OF_A_CLUSTER);
        mesh
    };
    let file: PathBuf = mesh.file();
    let file = file.display().to_string();
    let names = |arguments: &[&str]| {
        let arguments = [arguments, &["-o", "name", "-f", &file]].concat();
        stdout(&get(Path::new("/nowhere"), &arguments)).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&["dp", "-n", "shop"]), ["dataplane/cart-1.shop"]);
    assert_eq!(names(&["routes", "web"]), ["route/web/127.0.0.1:5432"]);
    assert_eq!(names(&["endpoints", "db"]), ["endpoint/10.0.0.1:5432"]);
    // -f of the other commands, and a namespace beside a name.
    let run = |arguments: &[&str]| stdout(&Command::new(binary()).args(arguments).output().unwrap());
    assert!(run(&["validate", "-f", &file]).contains("1 file, 4 resources: valid"));
    assert!(run(&["resolve", "-f", &file, "--dataplane", "web"]).contains("MeshServiceSubset db v=a"));
    let described = run(&["describe", "dp", "cart-1", "-n", "shop", "-f", &file]);
    assert!(described.contains("Dataplane cart-1.shop of mesh default"), "{described}");
    let diff =
        Command::new(binary()).args(["diff", "-f", &file, "--kubeconfig", "/nowhere"]).output().unwrap();
    assert_eq!(diff.status.code(), Some(1), "it is compared with the cluster: {diff:?}");
}

#[test]
fn a_list_is_printed_again_and_again() {
    if !is_root("a_list_is_printed_again_and_again") {
        return;
    }
    let mut setup = Setup::new();
    let daemon = setup.daemon(&[]);
    let mut watch = Command::new(binary());
    watch.args(["get", "dp", "-w", "0.1", "-o", "name", "--admin-socket"]).arg(daemon.admin_socket());
    let mut watch = Process(watch.stdout(Stdio::piped()).spawn().unwrap());
    let pipe = BufReader::new(watch.0.stdout.take().unwrap());
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let reader = Arc::clone(&seen);
    let reader = thread::spawn(move || {
        for line in pipe.lines().map_while(Result::ok) {
            reader.lock().unwrap().insert(line);
        }
    });
    let has = |name: &str| seen.lock().unwrap().contains(name);
    wait_for("it lists what there is", || has("dataplane/web"));
    setup.mesh.endpoint("db", "b", "10.0.0.4:5432".parse().unwrap());
    setup.mesh.file();
    wait_for("it lists what has come", || has("dataplane/endpoint-2"));
    assert!(!watch.has_ended());
    drop(watch);
    reader.join().unwrap();
}

/// On a terminal of 80 columns.
#[test]
fn tables_fit_the_terminal_and_have_colours_only_there() {
    if !is_root("tables_fit_the_terminal_and_have_colours_only_there") {
        return;
    }
    let mut setup = Setup::new();
    let name = format!("a-{}", "very-".repeat(20) + "long-name");
    setup.mesh.document(&format!(
        "type: Dataplane\nname: {name}\nnetworking:\n  address: 10.0.0.7\n  inbound:\n  \
         - {{port: 80, health: {{ready: false}}, tags: {{kuma.io/service: sick}}}}\n"
    ));
    let daemon = setup.daemon(&[]);
    let socket = daemon.admin_socket();
    let on_terminal = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut get = Command::new(binary());
        get.arg("get").args(arguments).arg("--admin-socket").arg(&socket);
        get.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        let mut screen = Screen::start(get.envs(environment.iter().copied()));
        assert!(screen.wait_for_end().success());
        String::from_utf8(screen.written().to_vec()).unwrap()
    };
    let shown = on_terminal(&["dp"], &[]);
    println!("{shown}");
    assert_eq!(shown.lines().count(), 5, "a line for each row");
    assert!(shown.contains('…') && !shown.contains(&name), "{shown}");
    let sick = shown.lines().find(|line| line.contains("0/1")).unwrap();
    assert!(sick.starts_with("\x1b[33m") && sick.trim_end().ends_with("\x1b[0m"), "{sick:?}");
    for line in shown.replace("\x1b[33m", "").replace("\x1b[0m", "").lines() {
        assert!(line.trim_end().chars().count() <= 80, "{line:?}");
    }
    let plain = on_terminal(&["dp"], &[("NO_COLOR", "1")]);
    assert!(!plain.contains('\x1b') && plain.contains('…'), "{plain:?}");
    assert!(on_terminal(&["dp", "-o", "wide"], &[]).contains(&name), "wide cuts nothing");
    let piped = stdout(&get(&socket, &["dp"]));
    assert!(piped.contains(&name) && !piped.contains('\x1b'), "{piped:?}");
}

/// So many Dataplanes are one's own mesh and that of others.
const MANY: usize = 10_000;

#[test]
fn many_dataplanes_are_listed_in_no_time() {
    if !is_root("many_dataplanes_are_listed_in_no_time") {
        return;
    }
    let mut setup = Setup::new();
    let mut text = String::new();
    for number in 0..MANY {
        let (high, low, service) = (number / 250, number % 250 + 1, number / 10);
        writeln!(
            text,
            "---\ntype: Dataplane\nname: many-{number}\nnetworking:\n  address: 10.1.{high}.{low}\n  inbound:\n  \
             - {{port: 80, tags: {{kuma.io/service: service-{service}}}}}"
        )
        .unwrap();
    }
    setup.mesh.document(text.strip_prefix("---\n").unwrap());
    let daemon = setup.daemon(&[]);
    for kind in ["dataplanes", "services", "endpoints", "policies"] {
        let begin = Instant::now();
        let (code, body) = daemon.get(&format!("/v1/list/{kind}"));
        println!("{kind}: {} bytes in {:?}", body.len(), begin.elapsed());
        assert_eq!(code, 200, "{kind}: {body}");
        let all: Vec<Value> = serde_json::from_str(&body).unwrap();
        let least = match kind {
            "dataplanes" | "endpoints" => MANY,
            "services" => MANY / 10,
            _ => 1,
        };
        assert!(all.len() >= least, "{kind}: {}", all.len());
    }
}
