//! Once with the real Envoy as the sidecar.

use std::{collections::BTreeMap, net::SocketAddr, process::Command, rc::Rc};

use tcproute_tests::{
    cgroup::TestCgroup,
    chi_square::assert_split,
    client::{counting, counts, stdout},
    is_root,
    mesh::Mesh,
    sidecar::{
        APPLICATION, Backend, Envoy, Families, PYTHON, Pod, Program, Protocol, Redirection, Service, Version,
    },
    tcproute::{Bpffs, Daemon, binary},
};

use super::setup::{ROUTED, Setup, UNROUTED};

/// What is dialled and takes requests.
const REQUESTS: &str = "10.43.0.40:3001";

/// The services behind [`ROUTED`].
const SPLIT: [&str; 2] = ["backend-v4", "backend-v6"];

/// Of the two versions of each.
const WEIGHTS: [u32; 2] = [90, 10];

/// So many connections to each address.
const CONNECTIONS: u32 = 200;

/// Connections that were counted, by who has had to do with them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    /// That came to Envoy at all.
    by_envoy: u64,
    /// That it has split by weight.
    split: u64,
    /// That it has passed on to where they were to go.
    passed_on: u64,
    /// Of which it has understood a request.
    requests: u64,
    /// That tcproute has led to an endpoint.
    routed: u64,
}

impl Setup<Envoy> {
    fn with_envoy(test: &str) -> Option<Self> {
        if !is_root(test) {
            return None;
        }
        let program = Program::of(test)?;
        let redirection = Redirection::new(Backend::Nft, Families::Both, Version::V2_14);
        let pod = Pod::of(test).filter(|pod| redirection.is_possible(pod, test))?;
        let cgroup = TestCgroup::create();
        let pause = pod.pause(&cgroup);
        // If neither Envoy nor tcproute takes a connection, it gets to where it was to go.
        let mut servers: Vec<_> = ROUTED
            .iter()
            .chain(&UNROUTED)
            .chain([&REQUESTS])
            .map(|text| pod.serve(text.parse().unwrap(), "direct"))
            .collect();
        let (mut mesh, mut services) = (Mesh::new(), Vec::new());
        let hosts = [pod.node_address().into(), pod.node_address_v6().into()];
        for ((name, dialled), host) in SPLIT.into_iter().zip(ROUTED).zip(hosts) {
            let [v1, v2, elsewhere] = [5001, 5002, 5009].map(|port| SocketAddr::new(host, port));
            servers.extend([(v1, "v1"), (v2, "v2"), (elsewhere, "elsewhere")].map(|(a, n)| pod.serve(a, n)));
            let dialled = dialled.parse().unwrap();
            mesh.outbound(name, dialled).endpoint(name, "1", v1).endpoint(name, "2", v2);
            mesh.split(name, &[("1", WEIGHTS[0]), ("2", WEIGHTS[1])]);
            // Endpoints that Envoy dials have routes themselves. Its connections would end there.
            let wrong = if host.is_ipv4() { "wrong-v4" } else { "wrong-v6" };
            mesh.outbound(wrong, v1).outbound(wrong, v2).endpoint(wrong, "x", elsewhere);
            let endpoints = vec![(v1, WEIGHTS[0]), (v2, WEIGHTS[1])];
            services.push(Service { name, dialled, protocol: Protocol::Tcp, endpoints });
        }
        let site = SocketAddr::new(hosts[0], 8080);
        servers.push(pod.serve_http(site, "site"));
        mesh.outbound("site", REQUESTS.parse().unwrap()).outbound("wrong-v4", site);
        mesh.split("site", &[("1", 1)]).document(&format!(
            "type: Dataplane\nname: site\nnetworking:\n  address: {}\n  inbound:\n  \
             - {{port: 8080, tags: {{kuma.io/service: site, kuma.io/protocol: http, v: '1'}}}}\n",
            site.ip()
        ));
        // Of two, it counts for a destination of this protocol.
        mesh.document(
            "type: MeshHTTPRoute\nname: site\nspec:\n  targetRef: {kind: MeshService, name: web}\n  to:\n  \
             - targetRef: {kind: MeshService, name: site}\n    rules:\n    \
             - matches: [{path: {type: PathPrefix, value: /}}]\n      \
             default: {backendRefs: [{kind: MeshService, name: site}]}\n",
        );
        services.push(Service {
            name: "site",
            dialled: REQUESTS.parse().unwrap(),
            protocol: Protocol::Http,
            endpoints: vec![(site, 1)],
        });
        let sidecar = Envoy::start(&program, &pod, &cgroup, &services);
        redirection.install(&pod);
        Some(Self { sidecar, pause, servers, cgroup, pod, mesh, bpffs: Rc::new(Bpffs::mount()) })
    }

    fn counted(&self, daemon: Option<&Daemon>) -> Counted {
        let stats = self.sidecar.stats(&self.pod);
        let sum = |prefix: &str, names: [&str; 2], suffix: &str| -> u64 {
            names.iter().map(|name| stats.get(&format!("{prefix}.{name}.{suffix}"))).sum()
        };
        let passthrough = ["outbound_passthrough_ipv4", "outbound_passthrough_ipv6"];
        Counted {
            by_envoy: stats.accepted(),
            split: sum("tcp", SPLIT, "downstream_cx_total"),
            passed_on: sum("cluster", passthrough, "upstream_cx_total"),
            requests: stats.get("http.site.downstream_rq_total"),
            routed: daemon.map_or(0, |daemon| daemon.metric("tcproute_decisions_total{decision=\"routed\"}")),
        }
    }

    /// What was counted meanwhile.
    fn meanwhile<T>(&self, daemon: Option<&Daemon>, act: impl FnOnce() -> T) -> (Counted, T) {
        let before = self.counted(daemon);
        let result = act();
        let after = self.counted(daemon);
        let counted = Counted {
            by_envoy: after.by_envoy - before.by_envoy,
            split: after.split - before.split,
            passed_on: after.passed_on - before.passed_on,
            requests: after.requests - before.requests,
            routed: after.routed - before.routed,
        };
        println!("{counted:?}");
        (counted, result)
    }

    /// All connections get to the endpoints in these shares: those of an application, or of somebody in the pod who is
    /// no workload.
    fn check_split(&self, cgroup: Option<&TestCgroup>) {
        for dialled in ROUTED {
            let mut client = self.pod.command(cgroup, APPLICATION, PYTHON);
            client.args(["-SEc", &counting(dialled.parse().unwrap(), CONNECTIONS)]);
            let mut names = counts(&client.output().unwrap());
            let [v1, v2] = ["v1", "v2"].map(|name| names.remove(name).unwrap_or_default());
            assert_eq!((v1 + v2, names), (CONNECTIONS.into(), BTreeMap::new()));
            let [first, second] = WEIGHTS.map(|weight| f64::from(weight) / 100.0);
            assert_split(dialled, &[(v1, first), (v2, second)]);
        }
    }

    fn request(&self) -> String {
        let mut curl = self.pod.command(Some(&self.cgroup), APPLICATION, "curl");
        curl.args([
            "--silent",
            "--show-error",
            "--include",
            "--max-time",
            "20",
            &format!("http://{REQUESTS}/"),
        ]);
        stdout(&curl.output().unwrap())
    }
}

#[test]
fn with_the_real_envoy() {
    let Some(setup) = Setup::with_envoy("with_the_real_envoy") else { return };
    let all = 2 * u64::from(CONNECTIONS);
    let by_envoy = || Counted { by_envoy: all, split: all, ..Counted::default() };
    let application = Some(&setup.cgroup);
    assert_eq!(setup.meanwhile(None, || setup.check_split(application)).0, by_envoy());

    let mut daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    // Routed connections never come to Envoy.
    let (counted, ()) = setup.meanwhile(Some(&daemon), || setup.check_split(application));
    assert_eq!(counted, Counted { routed: all, ..Counted::default() });

    // What has no route does.
    let unrouted = [UNROUTED; 20].concat();
    let (counted, answers) = setup.meanwhile(Some(&daemon), || setup.ask(&unrouted));
    assert_eq!(answers, ["direct"; 40]);
    assert_eq!(counted, Counted { by_envoy: 40, passed_on: 40, ..Counted::default() });

    // Nor is what Envoy dials routed, though it would be if the application dialled it.
    let endpoints = [(setup.pod.node_address(), 5001), (setup.pod.node_address(), 8080)]
        .map(|endpoint| SocketAddr::from(endpoint).to_string());
    let endpoints = endpoints.each_ref().map(String::as_str);
    let (counted, answers) = setup.meanwhile(Some(&daemon), || setup.ask(&endpoints));
    assert_eq!(answers, ["elsewhere", "elsewhere"]);
    assert_eq!(counted, Counted { routed: 2, ..Counted::default() });
    assert_eq!(setup.meanwhile(Some(&daemon), || setup.check_split(None)).0, by_envoy());

    // Requests are Envoy's.
    let (counted, answer) = setup.meanwhile(Some(&daemon), || setup.request());
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("\nserver: envoy\r\n"), "{answer}");
    assert!(answer.ends_with("site"), "{answer}");
    assert_eq!(counted, Counted { by_envoy: 1, requests: 1, ..Counted::default() });

    daemon.stop();
    let mut detach = Command::new(binary());
    stdout(&detach.arg("detach").arg("--bpffs").arg(setup.bpffs.path()).output().unwrap());
    assert!(!setup.has_table());
    assert_eq!(setup.meanwhile(None, || setup.check_split(application)).0, by_envoy());
}
