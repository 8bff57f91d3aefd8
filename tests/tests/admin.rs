//! The admin endpoint and `tcproute status`: what they tell is what the kernel does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{ask, script, stdout},
    is_root,
    process::Process,
    routes::OneBackend,
    tcproute::{Bpffs, Daemon, binary, get},
    wait_for,
};

/// Routes to `db`, which is served, and to `nobody`, which is refused.
struct Setup {
    net: Loopback,
    route: OneBackend,
    refused: SocketAddr,
    cgroup: TestCgroup,
}

impl Setup {
    fn new() -> Self {
        let net = Loopback::claim();
        let mut route = OneBackend::new(net);
        let refused = (net.ip(0, 2), 5432).into();
        route.mesh.outbound("nobody", refused);
        Self { net, route, refused, cgroup: TestCgroup::create() }
    }

    fn daemon(&self) -> Daemon {
        Daemon::start(&self.route.mesh.file(), &[("web", self.cgroup.path())])
    }

    fn connect(&self, count: u32) {
        assert_eq!(
            ask(&self.cgroup, self.route.dialled, count),
            [("backend".to_owned(), u64::from(count))].into()
        );
    }

    fn be_refused(&self, count: u32) {
        let (ip, port) = (self.refused.ip(), self.refused.port());
        let client = script(&format!(
            "
for _ in range({count}):
    try: dial('{ip}', {port})
    except (ConnectionRefusedError, PermissionError): pass
    else: sys.exit('not refused')
"
        ));
        stdout(&self.cgroup.command("python3").args(["-SEc", &client]).output().unwrap());
    }
}

#[test]
fn metrics_count_every_connection() {
    if !is_root("metrics_count_every_connection") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon();
    let decisions = || {
        ["routed", "refused", "internal_error"]
            .map(|decision| daemon.metric(&format!("tcproute_decisions_total{{decision=\"{decision}\"}}")))
    };
    assert_eq!(decisions(), [0, 0, 0]);
    setup.connect(300);
    setup.be_refused(20);
    assert_eq!(decisions(), [300, 20, 0]);
    assert_eq!(daemon.metric("tcproute_workloads"), 1);
    assert_eq!(daemon.metric("tcproute_workloads_attached"), 1);
    assert_eq!(daemon.metric("tcproute_ready"), 1);
    assert_eq!(daemon.metric("tcproute_map_entries{map=\"routes\"}"), 2);
    assert_eq!(daemon.metric("tcproute_map_capacity{map=\"routes\"}"), 4096);
    assert_eq!(daemon.metric("tcproute_map_entries{map=\"endpoints\"}"), 1);
    assert_eq!(daemon.metric("tcproute_reconcile_duration_seconds_count"), 0);
    fs::write(setup.route.mesh.file(), setup.route.mesh.text() + "---\ntype: Mesh\nname: other\n").unwrap();
    let unchanged = "tcproute_reconciles_total{result=\"unchanged\"}";
    wait_for("the change was looked at", || {
        daemon.metric(unchanged) + daemon.metric("tcproute_reconciles_total{result=\"applied\"}") > 0
    });
    assert!(daemon.metric("tcproute_reconcile_duration_seconds_count") > 0);
    parse(&daemon.get("/metrics").1);
}

/// Every line is what a scraper of Prometheus' text reads, and each metric is explained.
fn parse(text: &str) {
    let mut explained = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            assert!(["HELP", "TYPE"].contains(&what), "{line}");
            explained.push(name);
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        assert!(name.starts_with("tcproute_"), "{line}");
        assert!(explained.iter().any(|known| name.starts_with(known)), "{line}");
    }
    assert!(text.contains("tcproute_build_info{version=\""), "{text}");
}

#[test]
fn status_tells_what_the_kernel_has() {
    if !is_root("status_tells_what_the_kernel_has") {
        return;
    }
    let mut setup = Setup::new();
    let mut daemon = setup.daemon();
    assert_eq!(daemon.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(daemon.get("/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(daemon.get("/v1/nothing").0, 404);
    let status = daemon.json("/v1/status");
    assert_eq!(status["ready"], true);
    assert_eq!(status["error"], Value::Null);
    assert_eq!(status["pid"], daemon.pid());
    let cgroup = setup.cgroup.path().to_path_buf();
    let workload = json!({"dataplane": "web", "mesh": "default", "cgroup": cgroup, "routes": 2, "beyond": 0, "attached": true, "late": false});
    assert_eq!(status["workloads"], json!([workload]));

    let resolved = Command::new(binary())
        .args(["resolve", "--all", "--output", "json", "--resources"])
        .arg(setup.route.mesh.file())
        .output()
        .unwrap();
    let mut resolved: Value = serde_json::from_str(&stdout(&resolved)).unwrap();
    resolved.as_array_mut().unwrap().retain(|dataplane| dataplane["dataplane"] == "web");
    assert_eq!(daemon.json("/v1/routes"), resolved);

    let shown = stdout(&daemon.status(&[]));
    println!("{shown}");
    let has = |parts: &[&str]| shown.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["tcproute", &format!("pid {}", daemon.pid()), "ready"]));
    assert!(has(&["web", "default", "2", "yes", &cgroup.display().to_string()]));
    assert!(has(&["routes", "4096"]));
    let shown: Value = serde_json::from_str(&stdout(&daemon.status(&["--output", "json"]))).unwrap();
    assert_eq!(shown["workloads"], status["workloads"]);

    drop(std::mem::replace(&mut setup.cgroup, TestCgroup::create()));
    wait_for("it is waited for", || daemon.json("/v1/status")["waiting"][0]["cgroup"] == json!(cgroup));
    assert_eq!(daemon.json("/v1/status")["workloads"], json!([]));
    assert_eq!(daemon.metric("tcproute_workloads_attached"), 0);

    let socket = daemon.admin_socket();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    for (question, answer) in [("--live", "ok"), ("--ready", "ready")] {
        assert_eq!(stdout(&daemon.status(&[question])), answer);
    }
    assert_eq!(daemon.stop(), Some(0));
    assert!(!socket.exists(), "the socket is left");
    for question in ["--live", "--ready"] {
        assert_fails(&daemon.status(&[question]), 1, "no tcproute answers at");
    }
    let output = daemon.status(&[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("no tcproute answers at") && stderr.contains("tcproute run"), "{stderr}");
}

#[test]
fn loopback_is_served_when_asked_for() {
    if !is_root("loopback_is_served_when_asked_for") {
        return;
    }
    let setup = Setup::new();
    let address = format!("{}:9901", setup.net.ip(9, 1));
    let daemon = Daemon::start_with(
        &mut Command::new(binary()),
        &setup.route.mesh.file(),
        &[("web", setup.cgroup.path())],
        &["--admin-listen", &address],
    );
    assert_eq!(get(&[], &format!("http://{address}/readyz")), (200, "ready\n".to_owned()));
    assert_eq!(get(&[], &format!("http://{address}/v1/routes")), daemon.get("/v1/routes"));
}

fn run(setup: &Setup, bpffs: &Bpffs, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("run").arg("--resources").arg(setup.route.mesh.file()).arg("--bpffs").arg(bpffs.path());
    command.arg("--state-dir").arg(bpffs.path().join("none"));
    command.arg("--workload").arg(format!("web={}", setup.cgroup.path().display())).args(arguments);
    command
}

fn assert_fails(output: &Output, code: i32, part: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(part), "{part:?} is not in {stderr:?}");
}

#[test]
fn addresses_that_others_reach_are_refused() {
    if !is_root("addresses_that_others_reach_are_refused") {
        return;
    }
    let (setup, bpffs) = (Setup::new(), Bpffs::mount());
    for address in ["0.0.0.0:9901", "[::]:9901", "10.0.0.1:9901"] {
        let output = run(&setup, &bpffs, &["--admin-listen", address]).output().unwrap();
        assert_fails(&output, 2, "only a loopback address will do");
    }
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else() {
    if !is_root("a_stale_socket_is_replaced_and_nothing_else") {
        return;
    }
    let (setup, bpffs) = (Setup::new(), Bpffs::mount());
    let daemon = setup.daemon();
    let answered = daemon.admin_socket();
    let output = run(&setup, &bpffs, &["--admin-socket", answered.to_str().unwrap()]).output().unwrap();
    assert_fails(&output, 1, "another tcproute answers at");
    assert_eq!(daemon.get("/readyz").0, 200, "the first is undisturbed");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    fs::write(&path, "precious").unwrap();
    let output = run(&setup, &bpffs, &["--admin-socket", path.to_str().unwrap()]).output().unwrap();
    assert_fails(&output, 1, "is no socket");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    fs::remove_file(&path).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a socket that nobody answers");
    let mut command = run(&setup, &bpffs, &["--admin-socket", path.to_str().unwrap()]);
    let mut child = Process(command.stderr(Stdio::null()).spawn().unwrap());
    let answers = || {
        let status = Command::new(binary()).arg("status").arg("--admin-socket").arg(&path).output();
        status.unwrap().status.success() || child.has_ended()
    };
    wait_for("the new daemon answers", answers);
    assert!(!child.has_ended(), "it has ended");
}
