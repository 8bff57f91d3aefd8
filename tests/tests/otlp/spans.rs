//! What a collector gets.

use std::process::Command;

use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::SpanKind, status::StatusCode};
use tcproute_tests::{is_root, tcproute::binary, wait_for};

use crate::{
    collector::{Answer, Collector, attribute},
    fixture::{Setup, spans, told},
};

#[test]
fn connections_arrive_as_spans_with_their_attributes() {
    if !is_root("connections_arrive_as_spans_with_their_attributes") {
        return;
    }
    let setup = Setup::new();
    let collector = Collector::start(setup.collector, Answer::Taken);
    let daemon = setup.daemon(&setup.url(), &[]);
    let pid = setup.dial(&[setup.up, setup.closed, setup.nobody]);
    wait_for("three spans came", || collector.taken().len() == 3);
    let taken = collector.taken();
    let of = |service: &str| {
        let name = format!("connect {service}");
        taken.iter().find(|span| span.name == name).unwrap()
    };
    let has = |span: &Span, key: &str| attribute(&span.attributes, key);
    for (service, dialled, decision, outcome, error) in [
        ("up", setup.up, "routed", "established", None),
        ("closed", setup.closed, "routed", "refused", Some("refused")),
        ("nobody", setup.nobody, "refused", "no-endpoint", Some("no-endpoint")),
    ] {
        let span = of(service);
        assert_eq!(span.kind(), SpanKind::Client);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        for (key, value) in [
            ("network.transport", "tcp"),
            ("network.type", "ipv4"),
            ("server.address", &dialled.ip().to_string()),
            ("server.port", "5432"),
            ("tcproute.mesh", "default"),
            ("tcproute.dataplane", "web"),
            ("tcproute.service", service),
            ("tcproute.decision", decision),
            ("tcproute.outcome", outcome),
        ] {
            assert_eq!(has(span, key).as_deref(), Some(value), "{key}: {span:?}");
        }
        assert_eq!(has(span, "error.type").as_deref(), error);
        let code = span.status.as_ref().map_or(StatusCode::Unset, Status::code);
        assert_eq!(code == StatusCode::Error, error.is_some());
        // Old kernels do not tell.
        if let Some(found) = has(span, "process.pid") {
            assert_eq!(found, pid.to_string());
            assert!(has(span, "thread.name").unwrap().starts_with("python3"));
        }
    }
    let (up, endpoint) = (of("up"), setup.backend.address());
    assert_eq!(has(up, "network.peer.address"), Some(endpoint.ip().to_string()));
    assert_eq!(has(up, "network.peer.port"), Some(endpoint.port().to_string()));
    assert!(has(up, "tcproute.backend_ref").unwrap().contains("up"));
    assert!(has(up, "tcproute.policies").unwrap().contains("split-up"));
    assert_eq!(has(of("nobody"), "network.peer.address"), None);
    let mut numbers: Vec<_> = taken.iter().map(|span| &span.trace_id).collect();
    numbers.sort();
    numbers.dedup();
    assert!(numbers.len() == 3 && numbers.iter().all(|number| number.len() == 16));

    let batch = &collector.batches()[0];
    assert_eq!(batch.path, "/v1/traces");
    assert_eq!(batch.headers["content-type"], "application/x-protobuf");
    let resource = batch.request.resource_spans[0].resource.as_ref().unwrap();
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert_eq!(attribute(&resource.attributes, "service.name").as_deref(), Some("tcproute"));
    assert_eq!(attribute(&resource.attributes, "host.name"), Some(host));
    assert!(attribute(&resource.attributes, "service.version").is_some());

    wait_for("they are counted", || spans(&daemon, "delivered") == 3);
    assert_eq!(told(&daemon)["deliveredSpans"], 3);
    assert_eq!(daemon.metric("tcproute_otlp_answering"), 1);
    let status = String::from_utf8(daemon.status(&[]).stdout).unwrap();
    assert!(status.contains(&format!("{}/v1/traces: 3 spans delivered", setup.url())), "{status}");
}

#[test]
fn what_was_decided_before_the_end_is_sent() {
    if !is_root("what_was_decided_before_the_end_is_sent") {
        return;
    }
    let setup = Setup::new();
    let collector = Collector::start(setup.collector, Answer::Taken);
    let mut daemon = setup.daemon(&setup.url(), &[]);
    setup.dial(&[setup.up, setup.nobody]);
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(collector.taken().len(), 2);
}

#[test]
fn a_share_of_connections_stands_for_all() {
    if !is_root("a_share_of_connections_stands_for_all") {
        return;
    }
    let setup = Setup::new();
    let collector = Collector::start(setup.collector, Answer::Taken);
    let mut daemon = setup.daemon(&setup.url(), &["--otlp-sample", "0.5"]);
    setup.dial_nobody(1000);
    assert_eq!(daemon.stop(), Some(0));
    let taken = collector.taken();
    // That more or fewer are by chance is not to be expected in a lifetime.
    assert!((350..650).contains(&taken.len()), "{}", taken.len());
    assert!(taken.iter().all(|span| span.trace_state == "ot=th:8" && span.trace_id[9] >= 0x80));
}

#[test]
fn without_it_nobody_listens() {
    if !is_root("without_it_nobody_listens") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.plain();
    assert_eq!(daemon.metric("tcproute_trace_listeners"), 0);
    assert!(told(&daemon).is_null());
    assert!(!daemon.get("/metrics").1.contains("otlp"));
}

#[test]
fn what_cannot_be_is_bad_usage() {
    if !is_root("what_cannot_be_is_bad_usage") {
        return;
    }
    let fails = |arguments: &[&str], why: &str| {
        let mut command = Command::new(binary());
        command.args(["run", "--resources", "/nowhere", "--workload", "web=/nowhere"]).args(arguments);
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(why), "{told}");
    };
    fails(&["--otlp", "collector:4318"], "https://collector:4318");
    fails(&["--otlp", "grpc://collector:4317"], "neither http nor https");
    fails(&["--otlp", "https://user:pw@collector"], "--otlp-token-file");
    fails(&["--otlp", "http://c", "--otlp-token-file", "/t"], "--otlp-token-over-http");
    fails(&["--otlp", "http://c", "--otlp-headers-file", "/t"], "--otlp-token-over-http");
    fails(&["--otlp", "http://c", "--otlp-sample", "0"], "above 0 up to 1");
    fails(&["--otlp-ca", "/ca.pem"], "--otlp <URL>");
    fails(&["--otlp", "https://c", "--otlp-client-cert", "/c.pem"], "--otlp-client-key");
}
