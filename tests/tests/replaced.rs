//! Entries of the map `routes` that are replaced while programs read them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tcproute_tests::{
    Loopback, cgroup::TestCgroup, client::ask, is_root, is_slow, load::Load, maps::routes, mesh::Mesh,
    server::Server, tcproute::Daemon,
};

/// Other routes, which get the memory that was the clients' a moment before.
const OTHERS: u16 = 60;
/// Of the clients' route, before the entry of another one is written.
const ROUNDS: usize = 2;

/// Each entry is written anew as it was. Since 6.1 its memory then serves the next one that is written, and a program
/// that was interrupted between the look-up and the read finds the route of another there.
#[test]
fn a_route_is_found_and_read_whole_while_it_and_others_are_replaced() {
    if !is_root("a_route_is_found_and_read_whole_while_it_and_others_are_replaced") {
        return;
    }
    let net = Loopback::claim();
    let dialled = SocketAddr::from((net.ip(0, 1), 5432));
    let _dialled = Server::start(dialled, "dialled");
    let right = Server::start((net.ip(1, 1), 0), "right");
    let wrong = Server::start((net.ip(1, 2), 0), "wrong");
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).endpoint("db", "1", right.address());
    for other in 0..OTHERS {
        let service = format!("other-{other}");
        mesh.outbound(&service, (dialled.ip(), 6000 + other).into()).endpoint(&service, "1", wrong.address());
    }
    let cgroup = TestCgroup::create();
    let daemon = Daemon::start(&mesh.file(), &[("web", cgroup.path())]);
    let load = Load::start(&cgroup, dialled, 3);
    let mut routes = routes(&daemon.bpffs.path().join("tcproute")).unwrap();
    let entries: Vec<_> = routes.iter().map(Result::unwrap).collect();
    assert_eq!(entries.len(), usize::from(OTHERS) + 1);
    let is_ours = |key: &[u8; 24]| key.windows(2).any(|bytes| bytes == dialled.port().to_ne_bytes());
    let &(ours, value) = entries.iter().find(|(key, _)| is_ours(key)).unwrap();
    let done = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        scope.spawn(|| {
            load.wait_for_more(if is_slow() { 100 } else { 10_000 });
            done.store(true, Ordering::Relaxed);
        });
        let others = entries.iter().cycle().enumerate();
        for (written, (other, its)) in others {
            for _ in 0..ROUNDS {
                routes.insert(ours, value, 0).unwrap();
            }
            routes.insert(other, its, 0).unwrap();
            if done.load(Ordering::Relaxed) {
                return written * (ROUNDS + 1);
            }
        }
        0
    });
    let seen = load.finish();
    println!("{written} entries written: {seen:?}");
    assert_eq!(seen.failures, [].into());
    assert_eq!(seen.names.keys().collect::<Vec<_>>(), ["right"]);

    // What a reader would find at the worst moment: such a route is none, and is counted.
    let (_, its) = *entries.iter().find(|(key, _)| *key != ours).unwrap();
    routes.insert(ours, its, 0).unwrap();
    assert_eq!(ask(&cgroup, dialled, 3), [("dialled".to_owned(), 3)].into());
    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"internal_error\"}"), 3);
    routes.insert(ours, value, 0).unwrap();
    assert_eq!(ask(&cgroup, dialled, 3), [("right".to_owned(), 3)].into());
}
