//! The forms of later versions of Kuma, live.

use std::net::SocketAddr;

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    chi_square::assert_split,
    client::ask,
    is_root,
    mesh::Mesh,
    sample,
    server::Server,
    tcproute::{Daemon, binary},
};

/// A MeshService that is served by the endpoints with a version.
fn service(name: &str, version: &str, port: u16, vip: &str) -> String {
    format!(
        "type: MeshService\nname: {name}\nlabels: {{app: {name}}}\nspec:\n  \
         selector: {{dataplaneTags: {{v: {version}}}}}\n  ports: [{{port: {port}, targetPort: 5432, name: main}}]\n\
         status: {{vips: [{vip}]}}\n"
    )
}

/// A policy for the Dataplane `web` whose connections to `db` are split 3:1.
fn split(name: &str, labels: &str, refs: [&str; 2]) -> String {
    format!(
        "type: MeshTCPRoute\nname: {name}\nlabels: {{{labels}}}\nspec:\n  targetRef: {{kind: Dataplane, name: web}}\n  \
         to:\n  - targetRef: {{kind: MeshService, labels: {{app: db}}, sectionName: main}}\n    rules: [{{default: {{backendRefs: \
         [{{kind: MeshService, {}, weight: 3}}, {{kind: MeshService, {}, weight: 1}}]}}}}]\n",
        refs[0], refs[1]
    )
}

/// The VIP of a MeshService is dialled, the policy is one of those of later versions, and so is their order.
#[test]
fn vips_labels_and_ports_split_in_the_order_of_later_versions() {
    if !is_root("vips_labels_and_ports_split_in_the_order_of_later_versions") {
        return;
    }
    let net = Loopback::claim();
    let vip: SocketAddr = (net.ip(0, 1), 6000).into();
    let old = Server::start((net.ip(1, 1), 5432), "old");
    let new = Server::start((net.ip(1, 2), 5432), "new");
    let mut mesh = Mesh::new();
    mesh.endpoint("a", "old", old.address()).endpoint("b", "new", new.address());
    mesh.document(&service("db", "none", 6000, &format!("{{ip: {}}}", vip.ip())));
    mesh.document(&service("db-old", "old", 7000, "")).document(&service("db-new", "new", 8000, ""));
    let (old_ref, new_ref) = ("labels: {app: db-old}, port: 7000", "labels: {app: db-new}, port: 8000");
    // In 2.4 the greater name would win, and all policies without a zone's label are the weaker ones later.
    // A policy of the global control plane means nothing of a zone by name alone.
    mesh.document(&split("aaa", "kuma.io/origin: zone", [new_ref, "name: db-old, port: 7000"]));
    mesh.document(&split("zzz", "kuma.io/origin: global", [old_ref, new_ref]));
    for (compat, new_share) in [("latest", 0.75), ("2.4", 0.25)] {
        let workload = TestCgroup::create();
        let _daemon = Daemon::start_with(
            &mut std::process::Command::new(binary()),
            &mesh.file(),
            &[("web", workload.path())],
            &["--compat", compat, "--vip-cidr", "127.0.0.0/8"],
        );
        let seen = ask(&workload, vip, sample(4000));
        let of = |name: &str| seen.get(name).copied().unwrap_or(0);
        assert_split(compat, &[(of("new"), new_share), (of("old"), 1.0 - new_share)]);
    }
}
