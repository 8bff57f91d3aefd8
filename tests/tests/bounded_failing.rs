//! `--eject-after`: a workload of which very many endpoints fail has its share of what is counted, and takes nothing of
//! others'.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{net::SocketAddr, process::Command};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::knock,
    is_root,
    mesh::Mesh,
    server::Server,
    tcproute::{Daemon, binary},
    wait_for,
};

/// A fourth of what there is for all.
const SHARE: u64 = 4096;

/// The Dataplane `victim`, which has a route to an endpoint that is dead and to one that answers; and `web`, to many
/// that are dead.
fn mesh(victim: (SocketAddr, [SocketAddr; 2]), attacker: SocketAddr, endpoints: &[SocketAddr]) -> Mesh {
    let mut mesh = Mesh::new();
    let (dialled, own) = victim;
    mesh.outbound("many", attacker);
    for &endpoint in endpoints {
        mesh.endpoint("many", "x", endpoint);
    }
    for endpoint in own {
        mesh.endpoint("db", "x", endpoint);
    }
    mesh.dataplane("victim", "victim", "db", dialled);
    for service in ["many", "db"] {
        mesh.document(&format!(
            "type: MeshTCPRoute\nname: all-{service}\nspec:\n  targetRef: {{kind: Mesh}}\n  to:\n  \
             - targetRef: {{kind: MeshService, name: {service}}}\n    \
             rules: [{{default: {{backendRefs: [{{kind: MeshService, name: {service}}}]}}}}]\n"
        ));
    }
    mesh
}

#[test]
fn very_many_failing_endpoints_of_one_workload_hide_no_failing_endpoint_of_another() {
    if !is_root("very_many_failing_endpoints_of_one_workload_hide_no_failing_endpoint_of_another") {
        return;
    }
    let net = Loopback::claim();
    let [dialled, attacked] = [1, 2].map(|last| SocketAddr::from((net.ip(0, last), 5432)));
    let own = [1, 2].map(|last| SocketAddr::from((net.ip(1, last), 5432)));
    let _up = Server::start((own[0].ip(), own[0].port()), "up");
    let endpoints: Vec<SocketAddr> =
        (0..5000_u16).map(|n| (net.ip(2 + (n / 250) as u8, (n % 250) as u8), 1).into()).collect();
    let before = mesh((dialled, own), attacked, &endpoints);
    let [attacker, victim] = [TestCgroup::create(), TestCgroup::create()];
    let workloads = [("web", attacker.path()), ("victim", victim.path())];
    let more = ["--eject-after", "40", "--eject-for", "600"];
    let daemon = Daemon::start_with(&mut Command::new(binary()), &before.file(), &workloads, &more);
    let share = |which: &str| daemon.metric(&format!("tcproute_share_{which}{{of=\"failing\"}}"));
    assert_eq!(share("most"), SHARE);

    wait_for("the share is full", || {
        knock(&attacker, attacked, 4000);
        share("largest") == SHARE
    });
    knock(&attacker, attacked, 200);
    assert_eq!((share("largest"), share("taken")), (SHARE, SHARE));
    let (_, metrics) = daemon.get("/metrics");
    let exceeded: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("tcproute_share_exceeded_total")).collect();
    let [line] = exceeded[..] else { panic!("{exceeded:?}") };
    assert!(
        line.contains("of=\"failing\"") && line.contains(&attacker.path().display().to_string()),
        "{line}"
    );

    let ejected = || {
        let status = daemon.json("/v1/status");
        let out = status["ejected"].as_array().unwrap().iter();
        out.filter(|out| out["endpoint"] == own[1].to_string().as_str()).count()
    };
    wait_for("the dead endpoint of the other one is out", || {
        knock(&victim, dialled, 20);
        ejected() == 1
    });

    // What is not an endpoint any more is not counted.
    let after = mesh((dialled, own), attacked, &endpoints[..10]);
    std::fs::write(before.file_path(), after.text()).unwrap();
    wait_for("the others have left", || share("taken") <= 10);
    assert_eq!(ejected(), 1);
    let gone = mesh((dialled, own), attacked, &[]);
    std::fs::write(before.file_path(), gone.text()).unwrap();
    wait_for("nothing is counted", || share("taken") == 0);
}
