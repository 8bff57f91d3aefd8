//! A daemon that serves metrics to others, and whoever asks for them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    control_plane::{Authority, Identity},
    routes::OneBackend,
    tcproute::{Bpffs, Daemon, binary, run_arguments},
};

/// Where a workload is, and the files of the listener.
pub(crate) struct Setup {
    pub(crate) route: OneBackend,
    pub(crate) cgroup: TestCgroup,
    /// Where metrics are to be served. To listen there takes a privilege that the daemon gives up.
    pub(crate) address: SocketAddr,
    pub(crate) authority: Authority,
    directory: tempfile::TempDir,
}

/// What curl has got, or why it got nothing.
pub(crate) type Answer = Result<(u16, String), String>;

impl Setup {
    pub(crate) fn new() -> Self {
        let net = Loopback::claim();
        Self {
            route: OneBackend::new(net),
            cgroup: TestCgroup::create(),
            address: (net.ip(9, 1), 443).into(),
            authority: Authority::new(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in one step.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        tcproute_tests::replace(&path, text);
        path
    }

    /// Who the listener is, by this authority.
    pub(crate) fn identity(&self, authority: &Authority) -> Identity {
        authority.server_of(&[&self.address.ip().to_string()])
    }

    /// With `server.pem`, `server.key` and `ca.pem`, and the arguments that name them.
    pub(crate) fn tls(&self) -> Vec<String> {
        let (certificate, key) = self.identity(&self.authority).write_to(self.directory.path(), "server");
        self.write("ca.pem", &self.authority.certificate());
        let shown = |path: &Path| path.display().to_string();
        ["--metrics-tls-cert".to_owned(), shown(&certificate), "--metrics-tls-key".to_owned(), shown(&key)]
            .into()
    }

    pub(crate) fn daemon(&self, more: &[String]) -> Daemon {
        let listen = ["--metrics-listen".to_owned(), self.address.to_string()];
        let workloads = [("web", self.cgroup.path())];
        let more = [&listen[..], more, &["--sidecar".to_owned(), "off".to_owned()]].concat();
        Daemon::start_with(&mut Command::new(binary()), &self.route.mesh.file(), &workloads, &more)
    }

    /// What becomes of a daemon that cannot start.
    pub(crate) fn failing(&self, more: &[&str]) -> Output {
        let bpffs = Bpffs::mount();
        let mut command = Command::new(binary());
        let workloads = [("web", self.cgroup.path())];
        let socket = self.at("failing/admin.sock");
        run_arguments(&mut command, &self.route.mesh.file(), bpffs.path(), &socket, &workloads);
        command.args(more).output().unwrap()
    }

    /// Asks by TLS, believing `ca.pem`.
    pub(crate) fn https(&self, path: &str, more: &[&str]) -> Answer {
        let ca = self.at("ca.pem").display().to_string();
        curl(&format!("https://{}{path}", self.address), &[&["--cacert", &ca], more].concat())
    }

    /// The same, and only the status or nothing.
    pub(crate) fn status(&self, path: &str, more: &[&str]) -> Option<u16> {
        self.https(path, more).ok().map(|(status, _)| status)
    }
}

/// What curl gets.
pub(crate) fn curl(url: &str, arguments: &[&str]) -> Answer {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"]);
    let output = curl.args(arguments).arg(url).output().expect("curl can be started");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, code) = text.rsplit_once('\n').unwrap();
    Ok((code.parse().unwrap(), body.to_owned()))
}

/// The header that brings a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}
