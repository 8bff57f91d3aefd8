//! A real control plane, so that a test can hold against it what it holds against ours.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    ControlPlane,
    client::Client,
    port::Port,
    resource,
    version::{self, Version},
};
use crate::{patience, process::Process};

/// A kuma-cp for Universal with its resources in memory. It is killed when this is dropped.
pub struct Real {
    /// First, so that it is gone before its directory.
    process: Process,
    version: String,
    address: SocketAddr,
    _ports: Vec<Port>,
    directory: TempDir,
}

/// The variables that name a port, in which that of HTTP comes first.
const PORTS: [&str; 7] = [
    "KUMA_API_SERVER_HTTP_PORT",
    "KUMA_API_SERVER_HTTPS_PORT",
    "KUMA_DP_SERVER_PORT",
    "KUMA_DIAGNOSTICS_SERVER_PORT",
    "KUMA_MONITORING_ASSIGNMENT_SERVER_PORT",
    "KUMA_INTER_CP_SERVER_PORT",
    "KUMA_MULTIZONE_GLOBAL_KDS_GRPC_PORT",
];

/// So often it is started again: it listens everywhere, where others may have taken a port meanwhile.
const TRIES: u32 = 3;

const LOG: &str = "kuma-cp.log";

impl Real {
    /// Starts this binary, and waits until it answers and has its mesh `default`.
    pub fn start(binary: &Path) -> Result<Self> {
        let mut tries = 1..=TRIES;
        loop {
            match Self::try_start(binary) {
                Err(error) if tries.next().is_some() => println!("once more, with other ports: {error:#}"),
                started => return started,
            }
        }
    }

    fn try_start(binary: &Path) -> Result<Self> {
        let version = version_of(binary)?;
        let directory = tempfile::Builder::new().prefix("tcproute-kuma-").tempdir()?;
        let log = File::create(directory.path().join(LOG))?;
        let ports: Vec<Port> = PORTS.iter().map(|_| Port::claim()).collect();
        // Before 2.6 a control plane that is alone has a mode of its own.
        let mode = if version::release(&version) < (2, 6) { "standalone" } else { "zone" };
        let mut command = Command::new(binary);
        command.arg("run").current_dir(directory.path()).env("HOME", directory.path()).env("KUMA_MODE", mode);
        command.env("KUMA_GENERAL_WORK_DIR", directory.path());
        command.env("KUMA_ENVIRONMENT", "universal").env("KUMA_STORE_TYPE", "memory");
        command.env("KUMA_REPORTS_ENABLED", "false");
        command.env("KUMA_API_SERVER_HTTP_INTERFACE", "127.0.0.1");
        command.env("KUMA_API_SERVER_HTTPS_INTERFACE", "127.0.0.1");
        command.env("KUMA_INTER_CP_CATALOG_INSTANCE_ADDRESS", "127.0.0.1");
        for (variable, port) in PORTS.iter().zip(&ports) {
            command.env(variable, port.address().port().to_string());
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        let address = ports[0].address();
        let mut real = Self { process: Process(process), version, address, _ports: ports, directory };
        real.wait()?;
        Ok(real)
    }

    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + patience();
        let answers = |real: &Self, path| real.ask("GET", path, "").is_ok_and(|(status, _)| status == 200);
        while !(answers(self, "/") && answers(self, "/meshes/default")) {
            if self.process.has_ended() {
                bail!("kuma-cp has ended:\n{}", self.log());
            }
            if Instant::now() > deadline {
                bail!("kuma-cp does not answer:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Where it is, such as `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same as an address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of its release, such as `2.14.3`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        let log = fs::read(self.directory.path().join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Puts a resource there, which it must take. One without a mesh is of `default`.
    pub fn put(&self, document: &Value) {
        let (path, document) = resource::place(self.nearest(), document);
        self.done("PUT", &path, &document.to_string());
    }

    /// The same with all documents of a text.
    pub fn put_yaml(&self, documents: &str) {
        for document in resource::of_yaml(documents) {
            self.put(&document);
        }
    }

    /// Takes a resource away, which must be there. `mesh` says nothing for kinds that are within none.
    pub fn delete(&self, kind: &str, mesh: &str, name: &str) {
        self.done("DELETE", &resource::path(self.nearest(), kind, mesh, name), "");
    }

    fn nearest(&self) -> Version {
        Version::nearest(&self.version)
    }

    fn done(&self, method: &str, path: &str, body: &str) {
        let answer = self.ask(method, path, body);
        let (status, body) = answer.unwrap_or_else(|error| panic!("{method} {path}: {error:#}"));
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
    }

    /// Whoever comes from loopback is an admin to it.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let reply = Client::new(self.address).ask(method, path, body)?;
        ensure!(reply.is_complete, "the body does not end");
        Ok((reply.status(), reply.body))
    }
}

impl ControlPlane for Real {
    fn url(&self) -> String {
        Self::url(self)
    }

    fn put_yaml(&self, documents: &str) {
        Self::put_yaml(self, documents);
    }

    fn delete(&self, kind: &str, mesh: &str, name: &str) {
        Self::delete(self, kind, mesh, name);
    }
}

/// The first number that it tells, as in `Kuma: 2.14.3`.
fn version_of(binary: &Path) -> Result<String> {
    let output = Command::new(binary).arg("version").output();
    let output = output.with_context(|| format!("cannot start {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_number = |word: &&str| word.contains('.') && version::release(word) > (0, 0);
    let found = text.split_whitespace().find(is_number).map(str::to_owned);
    found.with_context(|| format!("{} tells no version: {text}", binary.display()))
}
