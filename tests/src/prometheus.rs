//! A real Prometheus, and promtool.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{process::Process, wait_for};

/// Whether both programs are there; if not, says why the test is skipped.
pub fn is_there(test: &str) -> bool {
    let missing = ["prometheus", "promtool"].into_iter().find(|program| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
    });
    if let Some(program) = missing {
        println!("SKIPPED {test}: no {program} (Debian: apt-get install prometheus)");
    }
    missing.is_none()
}

/// promtool with these arguments, which reads this.
pub fn promtool(arguments: &[impl AsRef<OsStr>], input: Stdio) -> Result<String, String> {
    let mut promtool = Command::new("promtool");
    let output = promtool.args(arguments).stdin(input).output().expect("promtool can be started");
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// One that scrapes, and is ended when this is dropped.
pub struct Prometheus {
    address: SocketAddr,
    _process: Process,
}

impl Prometheus {
    /// Starts it at this address with a configuration file, beside which it keeps its data, and waits until it answers.
    pub fn start(address: SocketAddr, config: &Path) -> Self {
        let mut prometheus = Command::new("prometheus");
        prometheus.arg(format!("--config.file={}", config.display()));
        prometheus.arg(format!("--storage.tsdb.path={}", config.with_file_name("data").display()));
        prometheus.arg(format!("--web.listen-address={address}")).arg("--log.level=warn");
        let process = prometheus.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut process = Process(process.expect("prometheus can be started"));
        wait_for("Prometheus is ready", || {
            assert!(!process.has_ended(), "Prometheus has ended");
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--fail", "--output", "/dev/null", &format!("http://{address}/-/ready")]);
            curl.status().is_ok_and(|status| status.success())
        });
        Self { address, _process: process }
    }

    /// What the API tells under this path, with a query if there is one.
    pub fn api(&self, path: &str, query: Option<&str>) -> Value {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--get", &format!("http://{}/api/v1/{path}", self.address)]);
        if let Some(query) = query {
            curl.args(["--data-urlencode", &format!("query={query}")]);
        }
        let output = curl.output().expect("curl can be started");
        let text = String::from_utf8_lossy(&output.stdout);
        let mut answer: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"));
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        answer["data"].take()
    }

    /// The values that a query has at present.
    pub fn values(&self, query: &str) -> Vec<f64> {
        let data = self.api("query", Some(query));
        let samples = data["result"].as_array().unwrap_or_else(|| panic!("{query}: {data}"));
        let value = |sample: &Value| sample["value"][1].as_str().and_then(|value| value.parse().ok());
        samples.iter().map(|it| value(it).unwrap_or_else(|| panic!("{query}: {it}"))).collect()
    }
}
