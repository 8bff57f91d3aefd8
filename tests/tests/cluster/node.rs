//! A node of the cluster: its pods, each an object with a directory and processes, what they dial, and the daemon.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr, path::Path, rc::Rc, sync::Once};

use serde_json::{Value, json};
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client,
    cluster::{
        ADMIN, Api, ControlPlane, crds,
        kinds::{DATAPLANE, KUMA, MESH, MESH_METRIC, MESH_TCP_ROUTE, NAMESPACE, POD, SERVICE},
    },
    is_root,
    server::Server,
    tcproute::{Bpffs, Daemon},
    wait_for,
};

/// A node with a namespace and a mesh of the same name, so that tests do not meddle with each other.
pub(crate) struct Node<'c> {
    pub(crate) cluster: &'c ControlPlane,
    pub(crate) api: Api,
    /// The namespace, the mesh, and what the node is called.
    pub(crate) name: String,
    pub(crate) bpffs: Rc<Bpffs>,
    net: Loopback,
    slice: TestCgroup,
    servers: RefCell<Vec<Server>>,
}

/// A pod of a node, with its directory once that is there.
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) cgroup: Option<TestCgroup>,
}

impl Node<'static> {
    /// Of the shared cluster, which has all of Kuma's kinds but those that came later than 2.4 and 2.5.
    pub(crate) fn of(test: &str) -> Option<Self> {
        static INSTALLED: Once = Once::new();
        if !is_root(test) {
            return None;
        }
        let cluster = ControlPlane::shared(test)?;
        INSTALLED.call_once(|| install(&cluster.api()));
        Some(Self::on(cluster))
    }
}

/// Has a cluster know Kuma's kinds.
pub(crate) fn install(api: &Api) {
    let kinds: Vec<_> = KUMA.into_iter().filter(|kind| *kind != MESH_METRIC).collect();
    crds::install(api, &kinds);
}

impl<'c> Node<'c> {
    /// Of this cluster.
    pub(crate) fn on(cluster: &'c ControlPlane) -> Self {
        let (api, name) = (cluster.api(), cluster.namespace());
        let injecting = json!({"metadata": {
            "labels": {"kuma.io/sidecar-injection": "enabled", "kuma.io/mesh": name},
            "annotations": {"kuma.io/mesh": name},
        }});
        api.patch(&NAMESPACE, &name, &injecting);
        let node = Self {
            cluster,
            api,
            name,
            bpffs: Rc::new(Bpffs::mount()),
            net: Loopback::claim(),
            slice: TestCgroup::create_slice(),
            servers: RefCell::default(),
        };
        if node.api.discovers(&MESH) {
            node.api.create(&MESH, &MESH.object(&node.name, json!({"spec": {}})));
        }
        node
    }

    /// The place of an object in its namespace.
    pub(crate) fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    /// A Service with one port, and where it is dialled.
    pub(crate) fn service(&self, name: &str, port: u16, selector: &Value) -> SocketAddr {
        let spec = json!({"selector": selector, "ports": [{"port": port}]});
        let made = self.api.create(&SERVICE, &SERVICE.object(&self.place(name), json!({"spec": spec})));
        let ip = made["spec"]["clusterIP"].as_str().unwrap();
        SocketAddr::new(ip.parse().unwrap(), port)
    }

    /// The tag of what is behind a port of a Service.
    pub(crate) fn tag(&self, service: &str, port: u16) -> String {
        format!("{service}_{}_svc_{port}", self.name)
    }

    /// A server of a version, and the Dataplane of the pod that it would run in, on another node.
    pub(crate) fn endpoint(&self, name: &str, tag: &str, version: &str) -> SocketAddr {
        let mut servers = self.servers.borrow_mut();
        let last = u8::try_from(servers.len() + 1).unwrap();
        let server = Server::start((self.net.ip(1, last), 0), version);
        let address = server.address();
        servers.push(server);
        let tags = json!({"kuma.io/service": tag, "kuma.io/protocol": "tcp", "version": version});
        self.dataplane(name, &address.ip().to_string(), &json!([{"port": address.port(), "tags": tags}]));
        address
    }

    /// A Dataplane as the control plane would write it.
    pub(crate) fn dataplane(&self, name: &str, address: &str, inbounds: &Value) {
        let spec = json!({"networking": {"address": address, "inbound": inbounds}});
        let object = json!({"mesh": self.name, "spec": spec});
        self.api.create(&DATAPLANE, &DATAPLANE.object(&self.place(name), object));
    }

    /// A MeshTCPRoute of everybody to a service, by `(version, weight)`.
    pub(crate) fn route(&self, name: &str, tag: &str, weights: &[(&str, u32)]) {
        let made = MESH_TCP_ROUTE.object(&self.place(name), self.route_to(tag, weights));
        self.api.create(&MESH_TCP_ROUTE, &made);
    }

    /// Gives it other weights.
    pub(crate) fn reroute(&self, name: &str, tag: &str, weights: &[(&str, u32)]) {
        self.api.patch(&MESH_TCP_ROUTE, &self.place(name), &self.route_to(tag, weights));
    }

    fn route_to(&self, tag: &str, weights: &[(&str, u32)]) -> Value {
        let backend = |(version, weight): &(&str, u32)| json!({"kind": "MeshServiceSubset", "name": tag, "tags": {"version": version}, "weight": weight});
        let refs: Vec<Value> = weights.iter().map(backend).collect();
        json!({
            "metadata": {"labels": {"kuma.io/mesh": self.name}},
            "spec": {"targetRef": {"kind": "Mesh"}, "to": [{
                "targetRef": {"kind": "MeshService", "name": tag},
                "rules": [{"default": {"backendRefs": refs}}],
            }]},
        })
    }

    /// A pod of this node that runs, without a directory yet. `rest` are other fields of the object.
    pub(crate) fn pod(&self, name: &str, rest: Value) -> Pod {
        let mut object = POD.object(&self.place(name), rest);
        object["spec"]["nodeName"] = json!(self.name);
        object["spec"]["automountServiceAccountToken"] = json!(false);
        object["spec"]["containers"] = json!([{"name": "app", "image": "app"}]);
        let made = self.api.create(&POD, &object);
        self.patch_pod(name, &json!({"phase": "Running", "podIP": self.net.ip(2, 1).to_string()}));
        Pod { name: name.to_owned(), uid: made["metadata"]["uid"].as_str().unwrap().to_owned(), cgroup: None }
    }

    /// As [`Self::pod`], with a directory as kubelet makes it without systemd.
    pub(crate) fn running_pod(&self, name: &str) -> Pod {
        let mut pod = self.pod(name, json!({"metadata": {"labels": {"app": name}}}));
        self.make_directory(&mut pod, "kubepods/besteffort/pod{uid}");
        pod
    }

    /// A Service `db`: its tag, and where it is dialled.
    pub(crate) fn database(&self) -> (String, SocketAddr) {
        (self.tag("db", 5432), self.service("db", 5432, &json!({"app": "db"})))
    }

    /// Changes the status of a pod.
    pub(crate) fn patch_pod(&self, name: &str, status: &Value) {
        self.api.patch_status(&POD, &self.place(name), status);
    }

    /// Makes the directory of a pod; `{uid}` and `{uid_}` stand for its uid.
    pub(crate) fn make_directory(&self, pod: &mut Pod, layout: &str) {
        let path = layout.replace("{uid}", &pod.uid).replace("{uid_}", &pod.uid.replace('-', "_"));
        pod.cgroup = Some(self.slice.descendant(&path));
    }

    /// The daemon of this node, which reaches the API server as an administrator.
    pub(crate) fn daemon(&self, more: &[&str]) -> Daemon {
        self.daemon_by(&self.cluster.kubeconfig(ADMIN), more)
    }

    /// As [`Self::daemon`], by this file.
    pub(crate) fn daemon_by(&self, kubeconfig: &Path, more: &[&str]) -> Daemon {
        let more = [&["--allow-loopback", "--system-namespace", &self.name], more].concat();
        Daemon::of_cluster(&self.bpffs, kubeconfig, &self.name, &more)
    }
}

impl Pod {
    pub(crate) fn cgroup(&self) -> &TestCgroup {
        self.cgroup.as_ref().expect("it has a directory")
    }

    /// Who answers how often when somebody in it dials so often.
    pub(crate) fn dials(&self, address: SocketAddr, count: u32) -> BTreeMap<String, u64> {
        client::ask(self.cgroup(), address, count)
    }

    /// Waits until each of several connections gets to the server of that name.
    pub(crate) fn gets_to(&self, address: SocketAddr, name: &str) {
        wait_for(&format!("{} gets to {name}", self.name), || client::reaches(self.cgroup(), address, name));
    }
}

/// Waits until so many workloads are attached, and no others are there.
pub(crate) fn attached(daemon: &Daemon, count: u64) {
    wait_for(&format!("{count} workloads are attached"), || {
        daemon.metric("tcproute_workloads_attached") == count && daemon.metric("tcproute_workloads") == count
    });
}

/// What the status tells of the source, if it does not answer.
pub(crate) fn failing(daemon: &Daemon) -> Option<String> {
    let status = daemon.json("/v1/status");
    status["sources"][0]["failing"]["why"].as_str().map(str::to_owned)
}
