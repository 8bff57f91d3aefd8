//! Who gets metrics from elsewhere.

use std::fs;

use tcproute_tests::{control_plane::Authority, is_root, wait_for};

use super::fixture::{Setup, bearer, curl};

#[test]
fn who_has_the_token_gets_metrics_and_nobody_else() {
    if !is_root("who_has_the_token_gets_metrics_and_nobody_else") {
        return;
    }
    let setup = Setup::new();
    let token = setup.write("token", "first\n");
    let more = [setup.tls(), vec!["--metrics-token-file".to_owned(), token.display().to_string()]].concat();
    let daemon = setup.daemon(&more);
    let with = |path: &str, token: &str| setup.status(path, &["--header", &bearer(token)]);
    let (_, metrics) = setup.https("/metrics", &["--header", &bearer("first")]).unwrap();
    assert!(metrics.contains("\ntcproute_ready 1\n"), "{metrics}");
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(with(path, "first"), Some(200), "{path}");
        for wrong in ["second", "firs", "first2", ""] {
            assert_eq!(with(path, wrong), Some(401), "{path} with {wrong:?}");
        }
        assert_eq!(setup.status(path, &[]), Some(401), "{path}");
        assert_eq!(setup.status(path, &["--user", "first:first"]), Some(401), "{path}");
    }
    // Nothing else is there, whoever asks.
    for path in ["/v1/status", "/v1/routes", "/v1/outcomes", "/v1/trace", "/"] {
        assert_eq!((with(path, "first"), with(path, "second")), (Some(404), Some(401)), "{path}");
    }
    let (_, head) = setup.https("/metrics", &["--include"]).unwrap();
    assert!(head.to_lowercase().contains("www-authenticate: bearer"), "{head}");

    setup.write("token", "second\n");
    assert_eq!(with("/metrics", "second"), Some(200));
    assert_eq!(with("/metrics", "first"), Some(401));
    // What is no token changes nothing.
    setup.write("token", "\n");
    assert_eq!(with("/metrics", "second"), Some(200));
    daemon.wait_for_line("the token of metrics stay");
    assert_eq!(with("/metrics", ""), Some(401));
    assert!(daemon.metric("tcproute_admin_connections_limit{listener=\"metrics\"}") > 0);
}

#[test]
fn who_shows_a_certificate_of_the_authority_gets_metrics_and_nobody_else() {
    if !is_root("who_shows_a_certificate_of_the_authority_gets_metrics_and_nobody_else") {
        return;
    }
    let setup = Setup::new();
    let (ours, foreign) = (Authority::new(), Authority::new());
    let ca = setup.write("clients.pem", &ours.certificate());
    let more = [setup.tls(), vec!["--metrics-client-ca".to_owned(), ca.display().to_string()]].concat();
    let _daemon = setup.daemon(&more);
    let status = |name: &str| {
        let file = |ending: &str| setup.at(&format!("{name}.{ending}")).display().to_string();
        setup.status("/metrics", &["--cert", &file("pem"), "--key", &file("key")])
    };
    for (name, identity) in
        [("ours", ours.client()), ("foreign", foreign.client()), ("expired", ours.expired_client())]
    {
        identity.write_to(&setup.at(""), name);
    }
    assert_eq!(["ours", "foreign", "expired"].map(status), [Some(200), None, None]);
    assert_eq!(setup.status("/metrics", &[]), None, "without a certificate");

    setup.write("clients.pem", &foreign.certificate());
    assert_eq!(["ours", "foreign", "expired"].map(status), [None, Some(200), None]);
}

#[test]
fn a_certificate_that_is_replaced_is_shown_at_once() {
    if !is_root("a_certificate_that_is_replaced_is_shown_at_once") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&setup.tls());
    assert_eq!(setup.status("/metrics", &[]), Some(200), "on loopback nobody has to be known");
    let other = Authority::new();
    let new = setup.identity(&other);
    // Half of it is no pair.
    setup.write("server.pem", &new.certificate);
    assert_eq!(setup.status("/metrics", &[]), Some(200));
    daemon.wait_for_line("the certificates of metrics stay as they were");
    setup.write("server.key", &new.key);
    assert_eq!(setup.status("/metrics", &[]), None, "it is of another authority");
    setup.write("ca.pem", &other.certificate());
    assert_eq!(setup.status("/metrics", &[]), Some(200));
    fs::remove_file(setup.at("server.key")).unwrap();
    assert_eq!(setup.status("/metrics", &[]), Some(200));
}

#[test]
fn who_speaks_no_tls_gets_nothing() {
    if !is_root("who_speaks_no_tls_gets_nothing") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&setup.tls());
    let answer = curl(&format!("http://{}/metrics", setup.address), &["--http0.9"]);
    assert!(!answer.as_ref().is_ok_and(|(_, body)| body.contains("tcproute_")), "{answer:?}");
    let old = setup.https("/metrics", &["--tls-max", "1.1"]);
    assert!(old.is_err(), "{old:?}");
    wait_for("they are gone", || daemon.metric("tcproute_admin_connections{listener=\"metrics\"}") == 0);
    assert_eq!(setup.status("/metrics", &[]), Some(200));
}
