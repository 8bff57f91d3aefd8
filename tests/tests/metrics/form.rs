//! In which form metrics are told.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use tcproute_tests::{client::script, is_root, process::Process};

use super::fixture::{Setup, curl};

#[test]
fn who_asks_for_openmetrics_gets_it_and_others_the_older_text() {
    if !is_root("who_asks_for_openmetrics_gets_it_and_others_the_older_text") {
        return;
    }
    let setup = Setup::new();
    let _daemon = setup.daemon(&[]);
    let get = |accept: &str| {
        let header = format!("Accept: {accept}");
        let url = format!("http://{}/metrics", setup.address);
        curl(&url, &["--include", "--header", &header]).unwrap().1
    };
    let old = get("*/*");
    assert!(old.contains("text/plain; version=0.0.4; charset=utf-8"), "{old}");
    assert!(old.contains("# TYPE tcproute_log_lines_lost_total counter\ntcproute_log_lines_lost_total 0\n"));
    assert!(!old.contains("# EOF") && !old.contains("# UNIT"), "{old}");
    let new = get("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    assert!(new.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"), "{new}");
    assert!(new.contains("# TYPE tcproute_log_lines_lost counter\ntcproute_log_lines_lost_total 0\n"));
    assert!(new.ends_with("# EOF\n"), "{new}");
}

#[test]
fn by_option_open_connections_are_told_by_endpoint() {
    if !is_root("by_option_open_connections_are_told_by_endpoint") {
        return;
    }
    let setup = Setup::new();
    let more = ["--metrics-detail", "endpoints", "--metrics-most", "1"].map(str::to_owned);
    let daemon = setup.daemon(&more);
    let dialled = setup.route.dialled;
    let body = format!(
        "
import sys
sockets = [dial('{}', {}) for _ in range(3)]
print('open', flush=True)
sys.stdin.readline()
",
        dialled.ip(),
        dialled.port()
    );
    let mut client = setup.cgroup.command("python3");
    client.args(["-SEc", &script(&body)]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _client = Process(client);
    assert_eq!(line, "open\n");
    let text = daemon.get("/metrics").1;
    let endpoint = setup.route.backend.address();
    let open = text.lines().find(|line| line.starts_with("tcproute_endpoint_open_connections{"));
    let open = open.unwrap_or_else(|| panic!("{text}"));
    assert!(open.ends_with(&format!("endpoint=\"{endpoint}\"}} 3")), "{open}");
    assert!(text.contains("tcproute_endpoints_left_out 0\n"), "{text}");
}
