//! Faults of answers, each over a real socket.

use std::time::{Duration, Instant};

use super::{
    super::{Fault, Options, Server, client::Client},
    get, with_dataplanes,
};

const LIST: &str = "/meshes/default/dataplanes";

fn server(fault: Fault) -> Server {
    let server = Server::start(Options::default());
    with_dataplanes(&server, 5);
    server.fault("dataplanes", fault, Some(1));
    server
}

/// After its fault it answers as ever, and meanwhile whatever it is not set for.
fn is_well(server: &Server) {
    assert_eq!(get(server, "/").status(), 200);
    let reply = get(server, LIST);
    assert!(reply.is_complete && reply.status() == 200 && reply.body.contains("dp-5"), "{reply:?}");
}

/// For a server that may not come to an end.
fn hasty(server: &Server) -> Client {
    Client { patience: Duration::from_millis(700), ..Client::new(server.address()) }
}

#[test]
fn a_status_comes_with_its_body() {
    let server = server(Fault::busy(503, 7));
    assert_eq!(get(&server, "/").status(), 200);
    let reply = get(&server, LIST);
    assert_eq!(reply.status(), 503);
    assert_eq!(reply.head.headers["retry-after"], "7");
    assert!(reply.body.starts_with(r#"{"type":"/std-errors","status":503,"#), "{reply:?}");
    is_well(&server);
    server.fault("", Fault::Status { status: 429, body: "no".into(), retry_after: None }, None);
    for _ in 0..3 {
        let reply = get(&server, "/");
        assert_eq!((reply.status(), reply.body.as_str()), (429, "no"));
        assert!(!reply.head.headers.contains_key("retry-after"));
    }
    server.clear_faults();
    is_well(&server);
}

#[test]
fn no_answer_comes() {
    let server = server(Fault::Hang);
    let error = hasty(&server).ask("GET", LIST, "").expect_err("it hangs");
    assert!(error.to_string().contains("no answer"), "{error:#}");
    is_well(&server);
}

#[test]
fn the_connection_ends_within_the_body() {
    let server = server(Fault::Cut);
    let begin = Instant::now();
    let reply = get(&server, LIST);
    assert!(begin.elapsed() < Duration::from_secs(5), "it is closed");
    assert!(!reply.is_complete && reply.status() == 200, "{reply:?}");
    assert!(reply.body.starts_with(r#"{"total":5"#) && !reply.body.contains("dp-5"), "{reply:?}");
    is_well(&server);
}

#[test]
fn html_comes() {
    let server = server(Fault::Garbage);
    let reply = get(&server, LIST);
    assert_eq!(reply.head.headers["content-type"], "text/html; charset=utf-8");
    assert!(reply.is_complete && reply.status() == 200 && reply.body.contains("<html>"), "{reply:?}");
    is_well(&server);
}

#[test]
fn half_of_the_json_comes_as_the_whole() {
    let server = server(Fault::Truncated);
    let reply = get(&server, LIST);
    assert!(reply.is_complete && reply.status() == 200, "{reply:?}");
    assert!(reply.body.starts_with(r#"{"total":5"#) && !reply.body.contains("dp-5"), "{reply:?}");
    is_well(&server);
}

#[test]
fn a_body_has_no_end() {
    let server = server(Fault::Endless);
    let reply = hasty(&server).ask("GET", LIST, "").expect("it begins");
    assert!(!reply.is_complete && reply.body.len() > 10 << 20, "{} bytes", reply.body.len());
    is_well(&server);
}

#[test]
fn a_body_drips() {
    let server = server(Fault::Drip);
    let reply = hasty(&server).ask("GET", LIST, "").expect("it begins");
    assert!(!reply.is_complete && (1..=8).contains(&reply.body.len()), "{reply:?}");
    assert!(r#"{"total":5"#.starts_with(&reply.body), "{reply:?}");
    is_well(&server);
}

#[test]
fn another_place_is_named() {
    let server = server(Fault::Redirect("http://127.0.0.1:1/meshes".into()));
    let reply = get(&server, LIST);
    assert_eq!(reply.status(), 302);
    assert_eq!(reply.head.headers["location"], "http://127.0.0.1:1/meshes");
    is_well(&server);
}

#[test]
fn the_last_fault_that_fits_counts() {
    let server = server(Fault::status(500));
    server.fault("size=2", Fault::status(502), None);
    assert_eq!(get(&server, &format!("{LIST}?size=2")).status(), 502);
    assert_eq!(get(&server, LIST).status(), 500);
    is_well(&server);
}
