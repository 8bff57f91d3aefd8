//! A pod with a sidecar, and a daemon that routes what it dials.

use std::{net::SocketAddr, path::Path, process::Command, rc::Rc};

use tcproute_tests::{
    cgroup::TestCgroup,
    client::{script, stdout},
    is_root,
    mesh::Mesh,
    process::Process,
    server::Server,
    sidecar::{APPLICATION, CatchAll, PYTHON, Pod, Redirection},
    tcproute::{Bpffs, Daemon, binary},
    wait_for,
};

/// What is dialled and has a route, by IPv4 and IPv6.
pub(super) const ROUTED: [&str; 2] = ["10.43.0.20:3001", "[fd43::20]:3001"];
/// What has none.
pub(super) const UNROUTED: [&str; 2] = ["10.43.0.99:3001", "[fd43::99]:3001"];

/// Where nobody listens, though a route leads there.
pub(super) const DEAD: &str = "10.43.0.30:3001";

/// Processes end before the cgroup and the network namespaces that they are in.
pub(super) struct Setup<S = CatchAll> {
    /// Envoy, or what stands for it.
    pub(super) sidecar: S,
    pub(super) pause: Process,
    pub(super) servers: Vec<Server>,
    pub(super) cgroup: TestCgroup,
    pub(super) pod: Pod,
    pub(super) mesh: Mesh,
    pub(super) bpffs: Rc<Bpffs>,
}

impl Setup {
    /// `None`, having said so, where the test cannot run.
    pub(super) fn new(test: &str, redirection: &Redirection) -> Option<Self> {
        if !is_root(test) {
            return None;
        }
        let setup = Self::plain(test).filter(|setup| redirection.is_possible(&setup.pod, test))?;
        redirection.install(&setup.pod);
        Some(setup)
    }

    /// Without any redirection.
    pub(super) fn plain(test: &str) -> Option<Self> {
        if !is_root(test) {
            return None;
        }
        let pod = Pod::of(test)?;
        let cgroup = TestCgroup::create();
        let pause = pod.pause(&cgroup);
        let sidecar = CatchAll::start(&pod, Some(&cgroup));
        let endpoints: [SocketAddr; 2] =
            [(pod.node_address(), 5001).into(), (pod.node_address_v6(), 5001).into()];
        let dialled = ROUTED.map(|text| text.parse::<SocketAddr>().unwrap());
        let mut servers: Vec<Server> = endpoints.iter().map(|&at| pod.serve(at, "endpoint")).collect();
        // Who is not routed gets here.
        servers.extend(dialled.iter().map(|&at| pod.serve(at, "direct")));
        let mut mesh = Mesh::new();
        for (name, (dialled, endpoint)) in ["v4", "v6"].into_iter().zip(dialled.into_iter().zip(endpoints)) {
            mesh.outbound(name, dialled).endpoint(name, "x", endpoint);
        }
        mesh.outbound("dead", DEAD.parse().unwrap());
        mesh.endpoint("dead", "x", SocketAddr::from((pod.node_address(), 5999)));
        Some(Self { sidecar, pause, servers, cgroup, pod, mesh, bpffs: Rc::new(Bpffs::mount()) })
    }
}

impl<S> Setup<S> {
    /// A daemon that routes the pod as `web`.
    pub(super) fn daemon(&self, more: &[&str]) -> Daemon {
        self.daemon_by(&mut Command::new(binary()), more)
    }

    /// As [`Self::daemon`], through another command.
    pub(super) fn daemon_by(&self, command: &mut Command, more: &[&str]) -> Daemon {
        Daemon::start_on(&self.bpffs, command, &self.mesh.file(), &self.workloads(), more)
    }

    pub(super) fn workloads(&self) -> [(&str, &Path); 1] {
        [("web", self.cgroup.path())]
    }

    /// What Python prints in the pod, as this user.
    pub(super) fn python(&self, uid: u32, body: &str) -> String {
        let mut client = self.pod.command(Some(&self.cgroup), uid, PYTHON);
        stdout(&client.args(["-SEc", &script(body)]).output().unwrap())
    }

    /// Who answers an application at these addresses.
    pub(super) fn ask(&self, dialled: &[&str]) -> Vec<String> {
        let dialled: Vec<SocketAddr> = dialled.iter().map(|text| text.parse().unwrap()).collect();
        self.pod.ask(Some(&self.cgroup), APPLICATION, &dialled)
    }

    /// Whether the pod's namespace has tcproute's table.
    pub(super) fn has_table(&self) -> bool {
        has_table(&self.pod)
    }

    /// As `nft` lists it.
    pub(super) fn table(&self) -> String {
        let mut nft = self.pod.command(None, 0, "nft");
        stdout(&nft.args(["list", "table", "inet", "tcproute"]).output().unwrap())
    }

    /// Waits until connections from the pod's namespace are `past`, `plain` or `held`.
    pub(super) fn wait_until(&self, daemon: &Daemon, way: &str) {
        wait_for(&format!("the pod's namespace is {way}"), || self.way(daemon) == way);
    }

    /// What becomes of its connections.
    pub(super) fn way(&self, daemon: &Daemon) -> String {
        let file = std::fs::metadata(self.pod.namespace()).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&file);
        let status = daemon.json("/v1/status");
        let namespaces = status["networkNamespaces"].as_array().unwrap();
        let found = namespaces.iter().find(|namespace| namespace["inode"] == inode);
        found.map_or(String::new(), |namespace| namespace["way"].as_str().unwrap().to_owned())
    }
}

/// Whether the namespace of a pod has tcproute's table.
pub(super) fn has_table(pod: &Pod) -> bool {
    let listed = pod.command(None, 0, "nft").args(["list", "tables"]).output().unwrap();
    stdout(&listed).contains("table inet tcproute")
}

/// What the proxy answers.
pub(super) fn proxied(dialled: &str) -> String {
    format!("proxy {dialled}")
}
