//! How servers are reached, stopped and started again.

use std::{io, net::TcpStream, sync::Arc, thread, time::Duration};

use serde_json::json;
use tokio_rustls::rustls::{ClientConfig, crypto::ring};

use super::{
    super::{Authority, Clients, Identity, Options, Server, Tls, Version, client::Client, tls},
    dataplane, get, with_dataplanes,
};

const LIST: &str = "/meshes/default/dataplanes";

fn secured(server: &Server, authority: &Authority, identity: Option<&Identity>) -> Client {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("the provider has them");
    let config =
        config.with_root_certificates(tls::roots(&authority.certificate()).expect("it is a certificate"));
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.read().expect("it is a certificate");
            config.with_client_auth_cert(chain, key).expect("they fit together")
        }
    };
    Client { tls: Some(Arc::new(config)), ..Client::new(server.address()) }
}

fn with_tls(identity: Identity, clients: Clients) -> Server {
    Server::start(Options { tls: Some(Tls { identity, clients }), ..Options::default() })
}

#[test]
fn requests_are_noted() {
    let server = Server::start(Options { token: Some("secret".into()), ..Options::default() });
    let headers = vec![("host", "cp.example".to_owned()), ("authorization", "Bearer secret".to_owned())];
    let client = Client { headers, ..Client::new(server.address()) };
    client.ask("GET", "/dataplanes?size=7", "").expect("it answers");
    get(&server, "/");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("GET", "/dataplanes?size=7"));
    assert_eq!(requests[0].host, "cp.example");
    assert_eq!(requests[0].authorization.as_deref(), Some("Bearer secret"));
    assert_eq!((requests[1].authorization.as_deref(), requests[1].has_certificate), (None, false));
    assert_eq!((server.requests_count(), server.connections()), (2, 2));
    server.forget_requests();
    assert_eq!(server.requests_count(), 0);
}

#[test]
fn long_answers_come_in_chunks() {
    let server = Server::start(Options::default());
    with_dataplanes(&server, 30);
    let long = get(&server, LIST);
    assert_eq!(long.head.headers["transfer-encoding"], "chunked");
    assert!(long.is_complete && long.body.contains("dp-30"));
    assert!(get(&server, "/").head.headers.contains_key("content-length"));
}

#[test]
fn it_is_started_again_at_the_same_port() {
    let server = Server::start(Options::of(Version::V2_4));
    server.put(&dataplane("dp-1"));
    let url = server.url();
    for version in [Version::V2_14, Version::V2_4] {
        server.stop();
        let refused = TcpStream::connect(server.address()).expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        server.change(|options| options.version = version);
        server.restart();
        assert_eq!(server.url(), url);
        assert!(get(&server, "/").body.contains(version.number()));
        assert!(get(&server, LIST).body.contains("dp-1"));
    }
    server.forget();
    assert!(server.names("Dataplane", "default").is_empty());
    assert_eq!(server.names("Mesh", ""), ["default"]);
}

#[test]
fn lists_stay_for_a_second_if_a_test_wants_it() {
    let server = Server::start(Options { caches: true, ..Options::default() });
    assert!(get(&server, LIST).body.contains(r#""total":0"#));
    server.put(&dataplane("dp-1"));
    assert!(get(&server, LIST).body.contains(r#""total":0"#));
    thread::sleep(Duration::from_millis(1100));
    assert!(get(&server, LIST).body.contains("dp-1"));
}

#[test]
fn resources_come_and_go() {
    let server = Server::start(Options::default());
    server
        .put_yaml("type: Mesh\nname: b\n---\n---\n{type: MeshTCPRoute, mesh: b, name: r, spec: {to: []}}\n");
    assert_eq!(server.names("MeshTCPRoute", "b"), ["r"]);
    let client = Client::new(server.address());
    let route = json!({"type": "MeshTCPRoute", "mesh": "b", "name": "s", "spec": {}}).to_string();
    for status in [201, 200] {
        let reply = client.ask("PUT", "/meshes/b/meshtcproutes/s", &route).expect("it answers");
        assert_eq!((reply.status(), reply.body.as_str()), (status, "{}"));
    }
    server.delete("MeshTCPRoute", "b", "r");
    assert_eq!(server.names("MeshTCPRoute", "b"), ["s"]);
    server.delete("Mesh", "", "b");
    assert!(server.names("MeshTCPRoute", "b").is_empty());
}

#[test]
fn tls_is_spoken() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = with_tls(authority.server(), Clients::Unasked);
    assert!(server.url().starts_with("https://127.0.0.1:"));
    with_dataplanes(&server, 2);
    let reply = secured(&server, &authority, None).ask("GET", "/dataplanes?size=1", "").expect("it is known");
    assert!(reply.body.contains(r#""next":"https://127.0.0.1:"#), "{reply:?}");
    secured(&server, &stranger, None).ask("GET", "/", "").expect_err("nobody vouches for it");
    for identity in [authority.expired_server(), authority.server_of(&["kuma.example"])] {
        let server = with_tls(identity, Clients::Unasked);
        secured(&server, &authority, None).ask("GET", "/", "").expect_err("it is not the server");
    }
    assert_eq!(server.requests_count(), 1);
}

#[test]
fn clients_show_certificates() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let ask = |server: &Server, identity: Option<&Identity>| {
        let reply = secured(server, &authority, identity).ask("GET", "/", "");
        reply.is_ok_and(|reply| reply.status() == 200)
    };
    let good = authority.client();
    let bad = [stranger.client(), authority.expired_client(), authority.server()];
    let free = with_tls(authority.server(), Clients::May(authority.certificate()));
    let strict = with_tls(authority.server(), Clients::Must(authority.certificate()));
    assert!(ask(&free, None) && ask(&free, Some(&good)) && ask(&strict, Some(&good)));
    let shown: Vec<bool> = free.requests().iter().map(|request| request.has_certificate).collect();
    assert_eq!(shown, [false, true]);
    assert!(!ask(&strict, None));
    for identity in &bad {
        assert!(!ask(&free, Some(identity)) && !ask(&strict, Some(identity)));
    }
}

#[test]
fn certificates_are_written() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let authority = Authority::new();
    let files = authority.write_to(directory.path());
    let read = |path| std::fs::read_to_string(path).expect("it is written");
    assert_eq!(read(&files.ca), authority.certificate());
    assert!(files.ca.ends_with("ca.pem") && files.key.ends_with("client.key"));
    let identity = Identity { certificate: read(&files.certificate), key: read(&files.key) };
    let server = with_tls(authority.server(), Clients::Must(read(&files.ca)));
    secured(&server, &authority, Some(&identity)).ask("GET", "/", "").expect("it is known");
}
