//! TLS, tokens and headers.

use std::path::Path;

use tcproute_tests::{
    control_plane::{Authority, Clients, Tls},
    is_root, replace, wait_for,
};

use crate::{
    collector::{Answer, Collector},
    fixture::{Setup, told},
};

#[test]
fn a_token_and_headers_are_sent_to_the_collector_that_is_believed() {
    if !is_root("a_token_and_headers_are_sent_to_the_collector_that_is_believed") {
        return;
    }
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let path = |name: &str| at(name).display().to_string();
    let (ours, foreign) = (Authority::new(), Authority::new());
    ours.write_to(directory.path());
    replace(&at("token"), "first-secret\n");
    replace(&at("headers"), "# of the vendor\nx-team: of-the-header\n");
    let server = ours.server_of(&[&setup.collector.ip().to_string()]);
    let tls = Tls { identity: server, clients: Clients::Must(ours.certificate()) };
    let collector = Collector::start_with(setup.collector, Answer::Taken, Some(&tls));

    let (ca, token, headers) = (path("ca.pem"), path("token"), path("headers"));
    let (certificate, key) = (path("client.pem"), path("client.key"));
    let url = format!("https://{}", setup.collector);
    let flags = [
        ["--otlp-ca", &ca],
        ["--otlp-token-file", &token],
        ["--otlp-headers-file", &headers],
        ["--otlp-client-cert", &certificate],
        ["--otlp-client-key", &key],
    ];
    let daemon = setup.daemon(&url, flags.as_flattened());
    setup.dial(&[setup.up]);
    wait_for("it came", || collector.taken().len() == 1);
    let batch = &collector.batches()[0];
    assert_eq!(batch.headers["authorization"], "Bearer first-secret");
    assert_eq!(batch.headers["x-team"], "of-the-header");

    // All is read again.
    replace(&at("token"), "second-secret\n");
    setup.dial(&[setup.up]);
    wait_for("it came", || collector.taken().len() == 2);
    assert_eq!(collector.batches()[1].headers["authorization"], "Bearer second-secret");
    let fails = |why: &str| {
        setup.dial(&[setup.up]);
        wait_for("it fails", || told(&daemon)["failing"]["why"].as_str().is_some_and(|it| it.contains(why)));
        let told = daemon.get("/v1/status").1;
        assert!(!told.contains("secret") && !told.contains("of-the-header"), "{told}");
    };
    replace(&at("headers"), "of-the-header\n");
    fails("line 1 is not like");
    replace(&at("headers"), "x-team: of-the-header\n");
    wait_for("it came", || collector.taken().len() == 3);
    // Who cannot be believed gets nothing.
    drop(collector);
    let server = foreign.server_of(&[&setup.collector.ip().to_string()]);
    let collector = Collector::start_with(setup.collector, Answer::Taken, Some(&Tls::new(server)));
    fails("certificate");
    assert!(collector.batches().is_empty());
    replace(Path::new(&ca), &foreign.certificate());
    wait_for("it is believed", || !collector.taken().is_empty());
}
