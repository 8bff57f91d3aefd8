//! kube-apiserver and etcd, started, killed and started again.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::Value;

use super::{
    ADMIN, Api, User, binaries::Binaries, connection::Endpoint, keeper::Keeper, kinds::NAMESPACE, kubeconfig,
    ports, server::Server, users,
};
use crate::wait_for;

/// An API server of a test's own, or one that tests share. It is killed when this is dropped, and its data goes.
pub struct ControlPlane {
    api_server: Mutex<Server>,
    etcd: Mutex<Server>,
    etcd_address: SocketAddr,
    endpoint: Endpoint,
    authority: PathBuf,
    /// Last, so that it goes after those that run in its directory.
    keeper: Keeper,
}

/// Ports may be taken by another process between the look and the start.
const ATTEMPTS: u32 = 3;

impl ControlPlane {
    /// The one that tests of this process share, started by the first of them. A test of it uses namespaces and names
    /// of its own, and neither stops it nor takes a kind away. If there cannot be any, says why the test is skipped.
    pub fn shared(test: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<ControlPlane> = OnceLock::new();
        let binaries = of_test(test)?;
        Some(SHARED.get_or_init(|| Self::start(&binaries)))
    }

    /// One of this test's own. If there cannot be any, says why the test is skipped.
    pub fn own(test: &str) -> Option<Self> {
        Some(Self::start(&of_test(test)?))
    }

    fn start(binaries: &Binaries) -> Self {
        for _ in 1..ATTEMPTS {
            match Self::try_start(binaries) {
                Err(error) if error.contains("address already in use") => println!("{error}"),
                started => return started.unwrap_or_else(|error| panic!("{error}")),
            }
        }
        Self::try_start(binaries).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_start(binaries: &Binaries) -> Result<Self, String> {
        let keeper = Keeper::new();
        let directory = keeper.directory().to_owned();
        let [etcd_address, peers, address] =
            [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, ports::claim())));
        let mut etcd = Server::new("etcd", &binaries.etcd, etcd_arguments(etcd_address, peers), &keeper);
        etcd.start(&keeper, || is_healthy(etcd_address))?;

        let write = |name: &str, text: &str| fs::write(directory.join(name), text);
        write("tokens.csv", &users::token_file()).expect("a file can be written");
        let arguments = api_server_arguments(etcd_address, address);
        let mut api_server = Server::new("kube-apiserver", &binaries.kube_apiserver, arguments, &keeper);
        let certificates = directory.join("certificates/apiserver.crt");
        let authority = directory.join("authority.pem");
        let mut endpoint = None;
        api_server.start(&keeper, || {
            if endpoint.is_none() {
                let pem = fs::read_to_string(&certificates).unwrap_or_default();
                endpoint = last_certificate(&pem).and_then(|pem| {
                    fs::write(&authority, pem).expect("a file can be written");
                    Endpoint::secured(address, &authority).ok()
                });
            }
            endpoint.as_ref().is_some_and(is_ready)
        })?;
        let endpoint = endpoint.expect("it was asked");
        let (api_server, etcd) = (Mutex::new(api_server), Mutex::new(etcd));
        Ok(Self { api_server, etcd, etcd_address, endpoint, authority, keeper })
    }

    /// A client of who may do everything.
    pub fn api(&self) -> Api {
        self.api_as(ADMIN)
    }

    /// A client of this user.
    pub fn api_as(&self, user: User) -> Api {
        Api::new(self.endpoint.clone(), Some(user.token))
    }

    /// What the server tells of itself.
    pub fn version(&self) -> Value {
        self.api().ask("GET", "/version").json()
    }

    /// Where the API server is to be reached, by HTTPS.
    pub const fn address(&self) -> SocketAddr {
        self.endpoint.address()
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The file with the certificate of its authority.
    pub fn authority(&self) -> PathBuf {
        self.authority.clone()
    }

    /// A file that tells a client where the server is and that it is this user.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        let server = format!("https://{}", self.address());
        self.write_kubeconfig(user, &kubeconfig::text(&server, Some(&self.authority), user.token))
    }

    /// The same by way of a proxy, which is spoken to without TLS.
    pub fn kubeconfig_through(&self, proxy: SocketAddr, user: User) -> PathBuf {
        self.write_kubeconfig(user, &kubeconfig::text(&format!("http://{proxy}"), None, user.token))
    }

    fn write_kubeconfig(&self, user: User, text: &str) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kubeconfig-{}-{}", user.name, NEXT.fetch_add(1, Ordering::Relaxed));
        let file = self.keeper.directory().join(name);
        fs::write(&file, text).expect("a file can be written");
        file
    }

    /// Makes a namespace that no other test has, and tells its name.
    pub fn namespace(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.api().create(&NAMESPACE, &NAMESPACE.object(&name, serde_json::json!({})));
        name
    }

    /// kill -9 of the API server. Nobody listens at its port until it is started again.
    pub fn kill_api_server(&self) {
        locked(&self.api_server).kill();
    }

    /// Starts it again, at the same port and with the same data, and waits until it is ready.
    pub fn start_api_server(&self) {
        let endpoint = &self.endpoint;
        let started = locked(&self.api_server).start(&self.keeper, || is_ready(endpoint));
        started.unwrap_or_else(|error| panic!("{error}"));
    }

    /// kill -9 of etcd: the API server goes on without its data.
    pub fn kill_etcd(&self) {
        locked(&self.etcd).kill();
    }

    /// Starts it again, at the same port and with the same data, and waits until it is there.
    pub fn start_etcd(&self) {
        let address = self.etcd_address;
        let started = locked(&self.etcd).start(&self.keeper, || is_healthy(address));
        started.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until the API server is ready, as after etcd has come back.
    pub fn wait_ready(&self) {
        wait_for("the API server is ready", || is_ready(&self.endpoint));
    }
}

fn locked(server: &Mutex<Server>) -> MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of_test(test: &str) -> Option<Binaries> {
    Binaries::find().inspect_err(|why| println!("SKIPPED {test}: {why}")).ok()
}

/// One member; what it loses in a crash of the machine is no loss.
fn etcd_arguments(clients: SocketAddr, peers: SocketAddr) -> Vec<String> {
    let arguments = [
        "--data-dir=etcd".to_owned(),
        format!("--listen-client-urls=http://{clients}"),
        format!("--advertise-client-urls=http://{clients}"),
        format!("--listen-peer-urls=http://{peers}"),
        format!("--initial-advertise-peer-urls=http://{peers}"),
        format!("--initial-cluster=default=http://{peers}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    arguments.into()
}

/// It makes its own certificate, and signs tokens of service accounts by the same key.
fn api_server_arguments(etcd: SocketAddr, address: SocketAddr) -> Vec<String> {
    // What needs controllers or defaults of a real cluster.
    let plugins =
        ["ServiceAccount", "TaintNodesByCondition", "Priority", "DefaultTolerationSeconds"].join(",");
    let arguments = [
        format!("--etcd-servers=http://{etcd}"),
        format!("--bind-address={}", address.ip()),
        format!("--advertise-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
        "--endpoint-reconciler-type=none".to_owned(),
        "--cert-dir=certificates".to_owned(),
        "--token-auth-file=tokens.csv".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-account-key-file=certificates/apiserver.key".to_owned(),
        "--service-account-signing-key-file=certificates/apiserver.key".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--disable-admission-plugins={plugins}"),
        "--enable-priority-and-fairness=false".to_owned(),
    ];
    arguments.into()
}

fn is_healthy(etcd: SocketAddr) -> bool {
    let answer = Api::new(Endpoint::plain(etcd), None).try_ask("GET", "/health", None);
    answer.is_ok_and(|answer| answer.status == 200)
}

/// Whether it is ready and has made its first namespaces, which comes a moment later.
fn is_ready(endpoint: &Endpoint) -> bool {
    let api = Api::new(endpoint.clone(), Some(ADMIN.token));
    let is_there = |path: &str| api.try_ask("GET", path, None).is_ok_and(|answer| answer.status == 200);
    is_there("/readyz") && is_there(&NAMESPACE.path("default"))
}

/// kube-apiserver writes its own certificate first and that of its authority last.
fn last_certificate(pem: &str) -> Option<&str> {
    const BEGINNING: &str = "-----BEGIN CERTIFICATE-----";
    let last = pem.rfind(BEGINNING).filter(|&at| at > 0)?;
    pem.trim_end().ends_with("-----END CERTIFICATE-----").then_some(&pem[last..])
}
