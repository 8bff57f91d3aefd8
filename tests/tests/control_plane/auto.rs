//! `--workload auto`: the Dataplanes of this host say in which cgroup they are.

use std::net::IpAddr;

use nix::{ifaddrs::getifaddrs, sys::socket::SockaddrIn};
use tcproute_tests::{cgroup::TestCgroup, client::reaches, tcproute::Daemon, wait_for};

use super::fixture::{Setup, each};

/// An address of this host, which is only told and never dialled.
fn own_address() -> Option<IpAddr> {
    let v4 = getifaddrs().unwrap().filter_map(|it| it.address?.as_sockaddr_in().map(SockaddrIn::ip));
    v4.map(IpAddr::V4).find(|ip| !ip.is_loopback())
}

#[test]
fn the_dataplanes_of_this_host_are_found_by_address_and_label() {
    const TEST: &str = "the_dataplanes_of_this_host_are_found_by_address_and_label";
    let Some(own) = own_address() else {
        return println!("SKIPPED {TEST}: this host has no address of IPv4");
    };
    each(TEST, |control_plane| {
        let setup = Setup::new();
        let name = format!("tcproute-test-{}.service", std::process::id());
        let own_web = || setup.documents().replace("192.0.2.1", &own.to_string());
        let of_unit = || {
            own_web().replace(
                "kuma.io/service: web,",
                &format!("kuma.io/service: web, tcproute.io/cgroup: {name},"),
            )
        };
        control_plane.put_yaml(&of_unit());
        let more = ["--poll-interval", "0.1", "--allow-loopback", "--workload", "auto"];
        let daemon = Daemon::of_control_plane(&setup.bpffs, &control_plane.url(), &[], &more);
        let status = |part: &str| daemon.json("/v1/status")[part].to_string();
        wait_for("it waits for the unit", || status("waiting").contains(&name));
        let slice = TestCgroup::create_slice();
        let unit = slice.child(&name);
        wait_for("its connections are routed", || reaches(&unit, setup.dialled, "v1"));
        // Another address is another host's.
        control_plane.put_yaml(&of_unit().replace(&own.to_string(), "192.0.2.1"));
        wait_for("it is no workload any more", || status("workloads") == "[]");
        assert!(!reaches(&unit, setup.dialled, "v1"));
        // Without a tag it is told.
        control_plane.put_yaml(&own_web());
        let told =
            "Dataplane web of mesh default is of this host, and neither a label nor a tag tcproute.io/cgroup";
        wait_for("it is told", || status("warnings").contains(told));
    });
}
