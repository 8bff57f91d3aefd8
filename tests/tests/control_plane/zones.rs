//! A global control plane has the Dataplanes of all zones.

use tcproute_tests::{
    control_plane::{Options, Server, Version},
    is_root, wait_for,
};

use super::fixture::{Setup, lead, source, tcproute};

#[test]
fn only_the_own_zone_is_dialled() {
    if !is_root("only_the_own_zone_is_dialled") {
        return;
    }
    for version in Version::ALL {
        for config_is_open in [true, false] {
            let options = Options { is_global: true, config_is_open, zones: Some(2), ..Options::of(version) };
            let server = Server::start(options);
            let setup = Setup::new();
            // v1 is in the zone of who dials, v2 in another one.
            let documents = setup
                .documents()
                .replace("kuma.io/protocol: tcp", "kuma.io/protocol: tcp, kuma.io/zone: east");
            let documents = documents.replace(
                "version: v2, kuma.io/protocol: tcp, kuma.io/zone: east",
                "version: v2, kuma.io/protocol: tcp, kuma.io/zone: west",
            );
            let documents = documents.replace(
                "mesh: default\nname: web",
                "mesh: default\nlabels: {kuma.io/zone: east, kuma.io/origin: zone}\nname: web",
            );
            let documents = documents.replace(
                "mesh: default\nname: db-1",
                "mesh: default\nlabels: {kuma.io/zone: east, kuma.io/origin: zone}\nname: db-1",
            );
            let documents = documents.replace(
                "mesh: default\nname: db-2",
                "mesh: default\nlabels: {kuma.io/zone: west, kuma.io/origin: zone}\nname: db-2",
            );
            let whole = "---\ntype: MeshTCPRoute\nmesh: default\nname: split\nlabels: {kuma.io/origin: global}\nspec:\n  targetRef: {kind: Mesh}\n  to:\n    - targetRef: {kind: MeshService, name: db}\n      rules: [{default: {backendRefs: [{kind: MeshService, name: db}]}}]\n";
            server.put_yaml(&documents.replace(&lead(100, 0), whole));
            let daemon = setup.start(&server.url(), &[]);
            setup.reach("v1");
            // A share that is in another zone only.
            server.put_yaml(
                &lead(1, 1).replace("mesh: default\n", "mesh: default\nlabels: {kuma.io/origin: global}\n"),
            );
            wait_for("it is left to the proxy, and told", || {
                let warnings = daemon.json("/v1/status")["warnings"].to_string();
                warnings.contains("the endpoints of db are in other zones, which only a zone proxy reaches")
            });
            let told = source(&daemon)["server"].as_str().unwrap().to_owned();
            assert!(told.starts_with(&format!("Kuma {}, global", version.number())), "{told}");
            let output = tcproute(&["validate"], &server.url(), &[]);
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(told.contains("it is global, and has the Dataplanes of all zones"), "{told}");
        }
    }
}
