use std::{io::Write as _, net::TcpStream};

use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
use tcproute_tests::{
    client::{ask, stdout},
    is_root,
    tcproute::{Daemon, get},
    wait_for,
};

use super::fixture::Setup;

fn listeners(daemon: &Daemon, listener: &str) -> u64 {
    daemon.metric(&format!("tcproute_admin_page_listeners{{listener=\"{listener}\"}}"))
}

#[test]
fn few_are_told_at_once_and_others_are_answered_meanwhile() {
    if !is_root("few_are_told_at_once_and_others_are_answered_meanwhile") {
        return;
    }
    let setup = Setup::new(&[("a", 1)]);
    let daemon = setup.daemon(&[]);
    let all: Vec<_> = (0..20).map(|_| setup.stream("")).collect();
    let told = all.iter().filter(|stream| stream.code() == 200).count();
    let refused = all.iter().filter(|stream| stream.code() == 503).count();
    let limit = daemon.metric("tcproute_admin_page_listeners_limit{listener=\"tcp\"}");
    println!("{told} are told, {refused} are refused");
    assert_eq!((told as u64, refused), (limit, 20 - told));
    assert_eq!(listeners(&daemon, "tcp"), limit);
    // All see the same reading.
    let mut told: Vec<_> = all.into_iter().filter(|stream| stream.code() == 200).collect();
    let views: Vec<_> = told.iter_mut().map(|stream| stream.view()["node"].clone()).collect();
    assert!(views.windows(2).all(|pair| pair[0] == pair[1]));
    for path in ["/", "/readyz", "/v1/status"] {
        assert_eq!(get(&[], &format!("http://{}{path}", setup.admin)).0, 200, "{path}");
    }
    assert!(stdout(&daemon.status(&[])).contains(": ready"));
    assert_eq!(ask(&setup.cgroup, setup.dialled, 1), [("a".to_owned(), 1)].into());
    drop(told);
    wait_for("their places are free again", || listeners(&daemon, "tcp") == 0);
    assert_eq!(setup.stream("").code(), 200);
}

#[test]
fn who_reads_nothing_is_cut_off() {
    if !is_root("who_reads_nothing_is_cut_off") {
        return;
    }
    let mut setup = Setup::new(&[("a", 1), ("b", 1)]);
    setup.more(1000);
    let daemon = setup.daemon(&[]);
    let slow: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(setup.admin).unwrap();
            setsockopt(&stream, RcvBuf, &2048).unwrap();
            write!(stream, "GET /v1/view HTTP/1.1\r\nHost: {}\r\n\r\n", setup.admin).unwrap();
            stream
        })
        .collect();
    wait_for("they are told", || listeners(&daemon, "tcp") == 8);
    wait_for("they are cut off", || {
        // Something changes each time.
        ask(&setup.cgroup, setup.dialled, 5);
        listeners(&daemon, "tcp") == 0
    });
    assert_eq!(setup.stream("").code(), 200);
    drop(slow);
}
