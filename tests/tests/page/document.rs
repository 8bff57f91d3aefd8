use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};
use tcproute_tests::is_root;

use super::fixture::Setup;

/// The answer with its head.
fn ask(mut stream: impl std::io::Read + std::io::Write, path: &str, headers: &str) -> (String, String) {
    write!(stream, "GET {path} HTTP/1.0\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn tcp(address: SocketAddr, path: &str, headers: &str) -> (String, String) {
    ask(TcpStream::connect(address).unwrap(), path, headers)
}

fn unix(socket: &Path, path: &str, headers: &str) -> (String, String) {
    ask(UnixStream::connect(socket).unwrap(), path, headers)
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    text.split_once(begin).unwrap().1.split_once(end).unwrap().0
}

#[test]
fn the_page_may_run_its_own_script_and_nothing_else() {
    if !is_root("the_page_may_run_its_own_script_and_nothing_else") {
        return;
    }
    let setup = Setup::new(&[("a", 1)]);
    let daemon = setup.daemon(&[]);
    let (head, page) = tcp(setup.admin, "/", &format!("Host: {}\r\n", setup.admin));
    assert_eq!(unix(&daemon.admin_socket(), "/", "Host: localhost\r\n").1, page);
    println!("{head}\n{} bytes", page.len());
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let all: Vec<&str> =
            lines.filter(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect();
        assert_eq!(all.len(), 1, "{name} in {head}");
        all[0]
    };
    let hash = |tag: &str| {
        let text = between(&page, &format!("<{tag}>"), &format!("</{tag}>"));
        assert!(text.len() > 1000, "{tag}");
        format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
    };
    let policy: Vec<&str> = header("content-security-policy").split("; ").collect();
    let expected = [
        "default-src 'none'".to_owned(),
        format!("script-src {}", hash("script")),
        format!("style-src {}", hash("style")),
        "connect-src 'self'".to_owned(),
        "img-src data:".to_owned(),
        "base-uri 'none'".to_owned(),
        "form-action 'none'".to_owned(),
        "frame-ancestors 'none'".to_owned(),
        "require-trusted-types-for 'script'".to_owned(),
        "trusted-types 'none'".to_owned(),
    ];
    assert_eq!(policy, expected);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(header(name), value, "{name}");
    }
    // Whoever has no script is told what to ask instead.
    let without = between(&page, "<noscript>", "</noscript>");
    assert!(without.contains("tcproute status") && without.contains("tcproute stats"), "{without}");
}

#[test]
fn pages_of_others_get_neither_the_page_nor_what_it_draws() {
    if !is_root("pages_of_others_get_neither_the_page_nor_what_it_draws") {
        return;
    }
    let setup = Setup::new(&[("a", 1)]);
    let metrics = SocketAddr::new(setup.admin.ip(), 9902);
    let daemon = setup.daemon(&["--metrics-listen", &metrics.to_string()]);
    let ours = format!("Host: {}\r\n", setup.admin);
    for path in ["/", "/v1/view"] {
        // A name that leads to loopback (DNS rebinding), also behind `ssh -L`.
        for (head, _) in [
            tcp(setup.admin, path, "Host: evil.example\r\n"),
            unix(&daemon.admin_socket(), path, "Host: evil.example\r\n"),
        ] {
            assert!(head.starts_with("HTTP/1.0 421"), "{path}: {head}");
        }
        for foreign in ["Sec-Fetch-Site: cross-site\r\n", "Origin: http://evil.example\r\n"] {
            let (head, _) = tcp(setup.admin, path, &format!("{ours}{foreign}"));
            assert!(head.starts_with("HTTP/1.0 403"), "{path}: {head}");
        }
        let (head, _) = tcp(metrics, path, &format!("Host: {metrics}\r\n"));
        assert!(head.starts_with("HTTP/1.0 404"), "others are not shown {path}: {head}");
    }
    // A reader who follows no link, and the page itself.
    assert!(tcp(setup.admin, "/", &format!("{ours}Sec-Fetch-Site: none\r\n")).0.starts_with("HTTP/1.0 200"));
    for method in ["POST", "PUT", "DELETE"] {
        let mut stream = TcpStream::connect(setup.admin).unwrap();
        write!(stream, "{method} / HTTP/1.0\r\n{ours}Content-Length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 405"), "for reading only: {method}: {answer}");
    }
}
