//! Who is believed, and what is told to whom: TLS, certificates and tokens.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tcproute_tests::{
    control_plane::{Authority, Clients, Files, Options, Server, Tls},
    is_root,
    tcproute::binary,
    wait_for,
};

use super::fixture::{Setup, lead, why};

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A control plane with TLS, its authority, and a directory with the files of that.
fn encrypted(clients: impl Fn(&Authority) -> Clients) -> (Server, Authority, Files, tempfile::TempDir) {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let files = authority.write_to(directory.path());
    let tls = Tls { identity: authority.server(), clients: clients(&authority) };
    let server = Server::start(Options { tls: Some(tls), ..Options::default() });
    (server, authority, files, directory)
}

/// What `resolve` says of a control plane.
fn resolve(url: &str, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(binary());
    command.args(["resolve", "--all", "--mesh", "default", "--url", url]).args(more);
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn only_who_is_of_the_authority_is_believed() {
    if !is_root("only_who_is_of_the_authority_is_believed") {
        return;
    }
    let (server, authority, files, directory) = encrypted(|_| Clients::Unasked);
    let setup = Setup::new();
    server.put_yaml(&setup.documents());
    let ca = ["--ca", path(&files.ca)];
    assert_eq!(resolve(&server.url(), &ca), (true, String::new()));
    // Those of the system know nothing of it.
    let (is_done, told) = resolve(&server.url(), &[]);
    assert!(!is_done && (told.contains("certificate") || told.contains("authorities")), "{told}");
    let foreign = Authority::new();
    let aside = tempfile::tempdir().unwrap();
    let (is_done, told) = resolve(&server.url(), &["--ca", path(&foreign.write_to(aside.path()).ca)]);
    assert!(!is_done && told.contains("certificate"), "{told}");
    let (is_done, told) = resolve(&server.url(), &["--ca", "/nowhere/ca.pem"]);
    assert!(!is_done && told.contains("/nowhere/ca.pem has no certificates"), "{told}");

    // An authority that becomes another one, and the daemon with it.
    let daemon = setup.start(&server.url(), &ca);
    setup.reach("v1");
    server.stop();
    let next = Authority::new();
    server.change(|options| options.tls = Some(Tls::new(next.server())));
    server.restart();
    wait_for("it is told", || why(&daemon).is_some_and(|why| why.contains("certificate")));
    assert_eq!(setup.reached(10), ["v1"]);
    next.write_to(directory.path());
    server.put_yaml(&lead(0, 1));
    setup.reach("v2");
    // One that is no longer good.
    server.stop();
    server.change(|options| options.tls = Some(Tls::new(next.expired_server())));
    server.restart();
    wait_for("it is told", || why(&daemon).is_some_and(|why| why.contains("xpired")));
    assert_eq!(setup.reached(10), ["v2"]);
    drop(authority);
}

#[test]
fn a_certificate_is_shown_to_who_asks_for_it() {
    if !is_root("a_certificate_is_shown_to_who_asks_for_it") {
        return;
    }
    let (server, _, files, _directory) = encrypted(|authority| Clients::Must(authority.certificate()));
    let ca = ["--ca", path(&files.ca)];
    let (is_done, told) = resolve(&server.url(), &ca);
    assert!(!is_done && told.contains("ertificate"), "{told}");
    let own = ["--client-cert", path(&files.certificate), "--client-key", path(&files.key)];
    assert_eq!(resolve(&server.url(), &[&ca[..], &own].concat()), (true, String::new()));
    assert!(server.requests().iter().all(|request| request.has_certificate));
    let (is_done, told) = resolve(&server.url(), &[&ca[..], &own[..2]].concat());
    assert!(!is_done && told.contains("--client-key"), "{told}");
}

#[test]
fn a_token_is_sent_read_again_and_never_shown() {
    const FIRST: &str = "first-secret-token";
    const SECOND: &str = "second-secret-token";
    if !is_root("a_token_is_sent_read_again_and_never_shown") {
        return;
    }
    let (server, _, files, directory) = encrypted(|_| Clients::Unasked);
    server.change(|options| {
        options.token = Some(FIRST.to_owned());
        options.requires_token = true;
    });
    let setup = Setup::new();
    server.put_yaml(&setup.documents());
    let file: PathBuf = directory.path().join("token");
    let access = ["--ca", path(&files.ca), "--token-file", path(&file)];
    let (is_done, told) = resolve(&server.url(), &access[..2]);
    assert!(!is_done && told.contains("forbids it (403), so that a --token-file"), "{told}");
    let (is_done, told) = resolve(&server.url(), &access);
    assert!(!is_done && told.contains("token: No such file"), "{told}");
    fs::write(&file, format!("{FIRST}\n")).unwrap();
    assert_eq!(resolve(&server.url(), &access), (true, String::new()));

    let daemon = setup.start(&server.url(), &access);
    setup.reach("v1");
    server.change(|options| options.token = Some(SECOND.to_owned()));
    wait_for("it is told", || why(&daemon).is_some_and(|why| why.contains("does not take the token (401)")));
    assert_eq!(setup.reached(10), ["v1"]);
    fs::write(&file, SECOND).unwrap();
    server.put_yaml(&lead(0, 1));
    setup.reach("v2");
    // Neither where it is told how it goes nor in the command line.
    let (_, metrics) = daemon.get("/metrics");
    let command = fs::read_to_string(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    let all = [daemon.json("/v1/status").to_string(), metrics, command].concat();
    assert!(!all.contains("secret-token"), "{all}");
    assert!(
        server.requests().iter().any(|it| it.authorization.as_deref() == Some("Bearer second-secret-token"))
    );
}

/// A log with all that there is to log.
#[test]
fn no_log_has_a_token() {
    if !is_root("no_log_has_a_token") {
        return;
    }
    let (server, _, files, directory) = encrypted(|_| Clients::Unasked);
    let file = directory.path().join("token");
    fs::write(&file, "unheard-of-4711").unwrap();
    server.change(|options| options.token = Some("another".to_owned()));
    let mut command = Command::new(binary());
    command.args(["resolve", "--all", "--url", &server.url(), "--ca", path(&files.ca)]);
    let output = command.args(["--token-file", path(&file)]).env("RUST_LOG", "trace").output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("401"), "{told}");
    assert!(!told.contains("4711"), "{told}");
}

#[test]
fn a_token_is_not_sent_in_the_clear() {
    if !is_root("a_token_is_not_sent_in_the_clear") {
        return;
    }
    let server = Server::start(Options {
        token: Some("secret".to_owned()),
        requires_token: true,
        ..Options::default()
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, "secret").unwrap();
    let (is_done, told) = resolve(&server.url(), &["--token-file", path(&file)]);
    assert!(!is_done && told.contains("use https, or --token-over-http"), "{told}");
    assert_eq!(server.requests_count(), 0);
    let asked = ["--token-file", path(&file), "--token-over-http"];
    assert_eq!(resolve(&server.url(), &asked), (true, String::new()));
    // Whoever leads elsewhere does not get it there.
    let elsewhere = Server::start(Options::default());
    server.fault("/", tcproute_tests::control_plane::Fault::Redirect(elsewhere.url()), None);
    let (is_done, told) = resolve(&server.url(), &asked);
    assert!(!is_done && told.contains("it leads elsewhere"), "{told}");
    assert_eq!(elsewhere.requests_count(), 0);
}
