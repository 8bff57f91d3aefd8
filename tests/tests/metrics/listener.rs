//! Where metrics are served, and who may hold up whom.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use tcproute_tests::{client::script, is_root, process::Process, wait_for};

use super::fixture::{Setup, curl};

fn assert_fails(output: &Output, code: i32, part: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(part), "{part:?} is not in {stderr:?}");
}

#[test]
fn what_others_reach_is_not_served_unprotected_by_mistake() {
    if !is_root("what_others_reach_is_not_served_unprotected_by_mistake") {
        return;
    }
    let setup = Setup::new();
    let tls = setup.tls();
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    let token = setup.write("token", "t").display().to_string();
    let fails = |address: &str, more: &[&str], code, part| {
        assert_fails(&setup.failing(&[&["--metrics-listen", address], more].concat()), code, part);
    };
    for address in ["0.0.0.0:0", "[::]:0"] {
        fails(address, &[], 2, "everybody on the way may read it");
        fails(address, &["--metrics-token-file", &token], 2, "everybody on the way may read it");
        fails(address, &tls, 2, "whoever reaches it may read it");
    }
    assert_fails(&setup.failing(&["--metrics-insecure"]), 2, "--metrics-listen");
    fails("127.0.0.1:0", &tls[..2], 2, "--metrics-tls-key");
    fails("127.0.0.1:0", &["--metrics-client-ca", &token], 2, "--metrics-tls-cert");
    fails("metrics", &[], 2, "invalid socket address");
    // What is missing, or is something else.
    fails("127.0.0.1:0", &["--metrics-token-file", "/nowhere/token"], 1, "/nowhere/token");
    let wrong = ["--metrics-tls-cert", &token, "--metrics-tls-key", &token];
    fails("127.0.0.1:0", &wrong, 1, "cannot serve metrics at 127.0.0.1:0");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    fails(&taken.local_addr().unwrap().to_string(), &[], 1, "(--metrics-listen): Address ");
}

#[test]
fn without_tls_and_for_everybody_when_that_is_asked_for() {
    if !is_root("without_tls_and_for_everybody_when_that_is_asked_for") {
        return;
    }
    let mut setup = Setup::new();
    // One that is free at present.
    setup.address = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap();
    let _daemon = setup.daemon(&["--metrics-insecure".to_owned()]);
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", setup.address.port());
    let status = |path: &str, more: &[&str]| curl(&url(path), more).unwrap().0;
    assert_eq!(status("/metrics", &[]), 200);
    // It has names that nobody here knows.
    assert_eq!(status("/metrics", &["--header", "Host: node-1.example:9902"]), 200);
    assert_eq!(status("/v1/status", &[]), 404);
    assert_eq!(status("/metrics", &["--request", "POST"]), 405);
}

/// As at the admin endpoint.
#[test]
fn on_loopback_pages_of_others_get_nothing() {
    if !is_root("on_loopback_pages_of_others_get_nothing") {
        return;
    }
    let setup = Setup::new();
    let _daemon = setup.daemon(&[]);
    let status =
        |header: &str| curl(&format!("http://{}/metrics", setup.address), &["--header", header]).unwrap().0;
    assert_eq!(status("Host: evil.example"), 421);
    assert_eq!(status("Sec-Fetch-Site: cross-site"), 403);
    assert_eq!(status("Sec-Fetch-Site: none"), 200);
}

#[test]
fn who_is_slow_holds_up_nobody() {
    if !is_root("who_is_slow_holds_up_nobody") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&setup.tls());
    let files = || fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let before = files();
    let of = |what: &str| daemon.metric(&format!("tcproute_admin_{what}{{listener=\"metrics\"}}"));
    // Some say nothing, others begin with TLS and do not go on.
    let (ip, port) = (setup.address.ip(), setup.address.port());
    let program = script(&format!(
        "
def open(text):
    s = socket.socket()
    s.settimeout(20)
    s.connect(('{ip}', {port}))
    try: s.send(text)
    except ConnectionError: pass
    return s
all = [open(b'' if i % 2 else bytes([22, 3, 1, 2, 0, 1])) for i in range(500)]
print('ready', flush=True)
sys.stdin.read()
"
    ));
    let mut slow = Command::new("python3");
    slow.args(["-SEc", &program]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut slow = slow.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(slow.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let _slow = Process(slow);
    assert_eq!(said.trim(), "ready");
    assert_eq!(setup.status("/metrics", &[]), Some(200), "a scraper gets in");
    let taken = of("connections");
    println!(
        "{taken} connections, {} displaced, files {before} -> {}",
        of("connections_displaced_total"),
        files()
    );
    assert!(taken <= of("connections_limit") && files() < before + 100);
    wait_for("they are cut off", || of("connections") == 0);
    assert_eq!(setup.status("/metrics", &[]), Some(200));
}
