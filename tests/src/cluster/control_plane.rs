//! kube-apiserver and etcd, started, killed and started again.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::Value;

use super::{
    ADMIN, Api, User, arguments,
    binaries::Binaries,
    connection::Endpoint,
    keeper::{Keeper, Kept},
    kinds::{NAMESPACE, SERVICE_ACCOUNT},
    kubeconfig, ports,
    server::Server,
    users,
};
use crate::wait_for;

/// An API server of a test's own, or one that tests share. It is killed when this is dropped, and its data goes.
pub struct ControlPlane {
    api_server: Mutex<Server>,
    etcd: Mutex<Server>,
    etcd_address: SocketAddr,
    endpoint: Endpoint,
    authority: PathBuf,
    /// Of a cluster with nodes.
    controllers: Vec<Mutex<Server>>,
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

    /// One that nodes reach at this address, with the controllers and the scheduler in this directory.
    pub fn of_nodes(address: SocketAddr, programs: &Path) -> Result<Self, String> {
        let mut this = Self::try_start(&Binaries::find()?, address, arguments::Of::Nodes)?;
        let kubeconfig = this.kubeconfig(ADMIN);
        for (name, arguments) in arguments::controllers(&kubeconfig, &this.authority) {
            let mut server = Server::new(name, &programs.join(name), arguments, &this.keeper);
            // They serve nobody.
            server.start(&this.keeper, || true)?;
            this.controllers.push(Mutex::new(server));
        }
        let api = this.api();
        wait_for("pods can be made", || api.get(&SERVICE_ACCOUNT, "default/default").is_some());
        Ok(this)
    }

    fn start(binaries: &Binaries) -> Self {
        for _ in 1..ATTEMPTS {
            match Self::on_loopback(binaries) {
                Err(error) if error.contains("address already in use") => println!("{error}"),
                started => return started.unwrap_or_else(|error| panic!("{error}")),
            }
        }
        Self::on_loopback(binaries).unwrap_or_else(|error| panic!("{error}"))
    }

    fn on_loopback(binaries: &Binaries) -> Result<Self, String> {
        Self::try_start(binaries, (Ipv4Addr::LOCALHOST, ports::claim()).into(), arguments::Of::Objects)
    }

    fn try_start(binaries: &Binaries, address: SocketAddr, of: arguments::Of) -> Result<Self, String> {
        let keeper = Keeper::new();
        let directory = keeper.directory().to_owned();
        let [etcd_address, peers] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, ports::claim())));
        let mut etcd = Server::new("etcd", &binaries.etcd, arguments::etcd(etcd_address, peers), &keeper);
        etcd.start(&keeper, || is_healthy(etcd_address))?;

        let write = |name: &str, text: &str| fs::write(directory.join(name), text);
        write("tokens.csv", &users::token_file()).expect("a file can be written");
        let arguments = arguments::api_server(etcd_address, address, of);
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
        Ok(Self { api_server, etcd, etcd_address, endpoint, authority, controllers: Vec::new(), keeper })
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

    /// Starts another process that ends with this one.
    pub fn spawn(&self, name: &str, command: &mut Command) -> Kept {
        self.keeper.spawn(name, command)
    }

    /// Where each program of it has its log, as long as it is there.
    pub fn directory(&self) -> &Path {
        self.keeper.directory()
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
