//! Without tcproute: that the pods of the tests behave as those with Kuma's sidecar do.

use std::{io::Write as _, net::SocketAddr, process::Stdio};

use tcproute_tests::{
    cgroup::TestCgroup,
    client::{script, stdout},
    is_root,
    sidecar::{APPLICATION, Backend, CatchAll, Families, PYTHON, Pod, Redirection, SIDECAR, Version},
};

/// Addresses of services, which the pod reaches by its default route.
const SERVICE_V4: &str = "10.43.0.20:3001";
const SERVICE_V6: &str = "[fd43::20]:3001";

/// A bit of the mark of a socket, and what takes marked connections past the redirection: a translation to where they
/// go anyway, before that of the sidecar.
const MARK: u32 = 0x0010_0000;
const PAST: &str = "
table inet tcproute {
    chain past {
        type nat hook output priority -105;
        meta nfproto ipv4 meta l4proto tcp meta mark & 0x00100000 == 0x00100000 dnat ip to ip daddr
        meta nfproto ipv6 meta l4proto tcp meta mark & 0x00100000 == 0x00100000 dnat ip6 to ip6 daddr
    }
}
";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Who answers at a service if its connections are redirected, and if not.
fn answer(service: &str, redirected: bool) -> String {
    if redirected { format!("proxy {service}") } else { "server".to_owned() }
}

/// A pod with these rules. `None`, having said so, where the test cannot run.
fn pod(test: &str, redirection: &Redirection) -> Option<Pod> {
    let pod = Pod::of(test).filter(|pod| redirection.is_possible(pod, test))?;
    redirection.install(&pod);
    Some(pod)
}

fn outbound_connections_come_to_the_sidecar(test: &str, backend: Backend, families: Families) {
    if !is_root(test) {
        return;
    }
    let redirection = Redirection::new(backend, families, Version::V2_4);
    let Some(pod) = pod(test, &redirection) else { return };
    let cgroup = TestCgroup::create();
    let mut sidecar = CatchAll::start(&pod, Some(&cgroup));
    let services = [SERVICE_V4, SERVICE_V6];
    let _servers = services.map(|service| pod.serve(address(service), "server"));
    let inside = ["127.0.0.1:8080", "[::1]:8080"].map(address);
    let _inside = inside.map(|inside| pod.serve_inside(inside, "inside"));

    let redirected = [families != Families::V6, families != Families::V4];
    let [v4, v6] = [0, 1].map(|i| answer(services[i], redirected[i]));
    let [to_v4, to_v6] = services.map(address);
    let application = pod.ask(Some(&cgroup), APPLICATION, &[to_v4, to_v6, inside[0], inside[1]]);
    assert_eq!(application, [&*v4, &v6, "inside", "inside"]);
    assert_eq!(pod.ask(None, SIDECAR, &[to_v4, to_v6]), ["server", "server"]);
    assert_eq!([sidecar.ask(to_v4), sidecar.ask(to_v6)], ["server", "server"]);

    // The sidecar is sent to its own inbound listener, where nobody is.
    let own = SocketAddr::from((pod.address(), 8080));
    let _own = pod.serve_inside(own, "inside");
    assert_eq!(pod.ask(Some(&cgroup), APPLICATION, &[own]), ["inside"]);
    assert_eq!(sidecar.ask(own), if redirected[0] { "ECONNREFUSED" } else { "inside" });

    redirection.flush(&pod);
    assert_eq!(pod.ask(Some(&cgroup), APPLICATION, &[to_v4, to_v6]), ["server", "server"]);
}

#[test]
fn legacy_v4() {
    outbound_connections_come_to_the_sidecar("legacy_v4", Backend::Legacy, Families::V4);
}

#[test]
fn legacy_v6() {
    outbound_connections_come_to_the_sidecar("legacy_v6", Backend::Legacy, Families::V6);
}

#[test]
fn legacy_both() {
    outbound_connections_come_to_the_sidecar("legacy_both", Backend::Legacy, Families::Both);
}

#[test]
fn nft_v4() {
    outbound_connections_come_to_the_sidecar("nft_v4", Backend::Nft, Families::V4);
}

#[test]
fn nft_v6() {
    outbound_connections_come_to_the_sidecar("nft_v6", Backend::Nft, Families::V6);
}

#[test]
fn nft_both() {
    outbound_connections_come_to_the_sidecar("nft_both", Backend::Nft, Families::Both);
}

fn excluded_addresses_are_reached(test: &str, backend: Backend) {
    if !is_root(test) {
        return;
    }
    let mut redirection = Redirection::new(backend, Families::Both, Version::V2_14);
    redirection.exclude_outbound_ips = ["10.43.0.0/24", "10.43.1.1", "fd43::/64"].map(str::to_owned).to_vec();
    let Some(pod) = pod(test, &redirection) else { return };
    let _sidecar = CatchAll::start(&pod, None);
    let _servers = [SERVICE_V4, SERVICE_V6].map(|service| pod.serve(address(service), "server"));
    let services = [SERVICE_V4, SERVICE_V6, "10.43.2.1:3001", "[fd44::1]:3001"].map(address);
    let answers = pod.ask(None, APPLICATION, &services);
    assert_eq!(answers, ["server", "server", "proxy 10.43.2.1:3001", "proxy [fd44::1]:3001"]);
}

#[test]
fn legacy_with_exclusions() {
    excluded_addresses_are_reached("legacy_with_exclusions", Backend::Legacy);
}

#[test]
fn nft_with_exclusions() {
    excluded_addresses_are_reached("nft_with_exclusions", Backend::Nft);
}

/// If the table cannot be added, says why the test is skipped.
fn add_the_way_past(pod: &Pod, test: &str) -> bool {
    let mut nft = pod.command(None, 0, "nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut nft = nft.spawn().unwrap();
    // If it does not read, it says why.
    let _ = nft.stdin.take().unwrap().write_all(PAST.as_bytes());
    let output = nft.wait_with_output().unwrap();
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        println!("SKIPPED {test}: nft: {}", told.lines().next().unwrap_or("it failed"));
    }
    output.status.success()
}

/// By hand, so that what tcproute does of it can be told from what the pod does.
fn a_mark_and_a_table_lead_past_the_sidecar(test: &str, backend: Backend) {
    if !is_root(test) {
        return;
    }
    let Some(pod) = pod(test, &Redirection::new(backend, Families::Both, Version::V2_4)) else { return };
    let _sidecar = CatchAll::start(&pod, None);
    let _servers = [SERVICE_V4, SERVICE_V6].map(|service| pod.serve(address(service), "server"));
    let ask = |mark: u32| {
        let body = format!(
            "
for to in [('10.43.0.20', 3001), ('fd43::20', 3001)]:
    s = socket.socket(family(to[0]))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, {mark})
    s.connect(to)
    print(name(s))
"
        );
        let mut client = pod.command(None, 0, PYTHON);
        stdout(&client.args(["-SEc", &script(&body)]).output().unwrap())
    };
    let redirected = format!("proxy {SERVICE_V4}\nproxy {SERVICE_V6}");
    assert_eq!(ask(MARK), redirected, "a mark alone does nothing");
    if !add_the_way_past(&pod, test) {
        return;
    }
    assert_eq!(ask(MARK | 1), "server\nserver");
    assert_eq!(ask(1), redirected);
}

#[test]
fn legacy_with_the_way_past() {
    a_mark_and_a_table_lead_past_the_sidecar("legacy_with_the_way_past", Backend::Legacy);
}

#[test]
fn nft_with_the_way_past() {
    a_mark_and_a_table_lead_past_the_sidecar("nft_with_the_way_past", Backend::Nft);
}

#[test]
fn a_pause_process_has_the_network_of_its_pod() {
    let test = "a_pause_process_has_the_network_of_its_pod";
    if !is_root(test) {
        return;
    }
    let Some(pod) = Pod::of(test) else { return };
    let cgroup = TestCgroup::create();
    let pause = pod.pause(&cgroup);
    let members = std::fs::read_to_string(cgroup.path().join("cgroup.procs")).unwrap();
    assert_eq!(members.trim(), pause.0.id().to_string());
    let inode = |path: String| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    let own = inode(format!("/proc/{}/ns/net", members.trim()));
    assert_eq!(own, inode(pod.namespace().display().to_string()));
    assert_ne!(own, inode("/proc/self/ns/net".to_owned()));
}
