//! `tcproute bugreport`: one file with all that is known of a node, and nothing secret.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use nix::unistd::gethostname;
use serde_json::{Value, json};

use super::{AdminSocket, BadUsage, config, doctor::SubjectArguments, layers, output};
use crate::{
    bpf::pins,
    bugreport::{self, Bundle, Places, Request, Secrets},
    doctor::Subject,
    logging,
};

#[derive(Debug, Args)]
pub(super) struct Bugreport {
    /// The file, which must not be there yet; - is standard output [default: one that is called by host and time, in
    /// this directory]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Put pseudonyms in the place of names and addresses.
    #[arg(long)]
    redact: bool,
    /// A file with the log of the daemon [default: systemd's journal]
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,
    #[command(flatten)]
    admin: AdminSocket,
    #[command(flatten)]
    subject: SubjectArguments,
}

impl Bugreport {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        let now = Timestamp::now();
        let is_to_stdout = self.output.as_deref() == Some(Path::new("-"));
        let path = self.output.clone().unwrap_or_else(|| default_name(now));
        if !is_to_stdout && path.symlink_metadata().is_ok() {
            bail!(already_there(&path));
        }
        let subject = self.subject.subject();
        let daemon = Daemon::find(&subject.bpffs);
        let config = daemon.config();
        let secrets = secrets(&daemon, config.as_deref().unwrap_or_default(), &subject);
        let request = Request {
            subject,
            admin_socket: self.admin.admin_socket.clone(),
            config: config.map(|flags| daemon.told(&flags)),
            log: self.log.clone(),
        };
        let parts = Box::pin(bugreport::gather(request)).await;
        let mut secrets = Secrets::new(secrets.known());
        let bundle =
            bugreport::bundle(parts, &mut secrets, self.redact, now).context("cannot put it together")?;
        if is_to_stdout {
            let mut stdout = io::stdout().lock();
            stdout
                .write_all(&bundle.bytes)
                .and_then(|()| stdout.flush())
                .context("cannot write to stdout")?;
            logging::say(summary("the bundle", &bundle));
        } else {
            write(&path, &bundle.bytes)?;
            output::show(&super::text::Text::of(summary(&path.display().to_string(), &bundle)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn default_name(now: Timestamp) -> PathBuf {
    let host = gethostname().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).collect();
    format!("tcproute-bugreport-{host}-{}.tar.gz", now.strftime("%Y%m%dT%H%M%SZ")).into()
}

fn already_there(path: &Path) -> BadUsage {
    BadUsage(format!("{} is there already: name another file with --output", path.display()))
}

fn summary(name: &str, Bundle { bytes, missing }: &Bundle) -> String {
    let missing = match missing {
        0 => String::new(),
        1 => ", without 1 part that could not be had: manifest.json says why".to_owned(),
        more => format!(", without {more} parts that could not be had: manifest.json says why"),
    };
    format!("{name}: {} KiB{missing}", bytes.len().div_ceil(1024))
}

/// Writes a new file for its owner alone; what is left of one that cannot be written is removed.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let at = || format!("cannot write {}", path.display());
    let mut file = match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(already_there(path)),
        opened => opened.with_context(at)?,
    };
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(|| {
        // It is the error before that is told.
        let _ = fs::remove_file(path);
        at()
    })
}

/// The daemon as it was started, or as it would be.
struct Daemon {
    pid: Option<u32>,
    /// Or why they are not known.
    arguments: Result<Vec<OsString>, String>,
    environment: Vec<(String, String)>,
}

impl Daemon {
    /// The one that has the pins in this bpffs.
    fn find(bpffs: &Path) -> Self {
        let Some(pid) = pins::daemon(bpffs) else {
            let arguments = Ok(["tcproute", "run"].map(OsString::from).to_vec());
            return Self { pid: None, arguments, environment: own_environment() };
        };
        let of = |file: &str| fs::read(format!("/proc/{pid}/{file}"));
        let parts = |bytes: Vec<u8>| -> Vec<OsString> {
            let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
            bytes.split(|&byte| byte == 0).map(|part| OsStr::from_bytes(part).to_owned()).collect()
        };
        let arguments =
            of("cmdline").map(parts).map_err(|error| format!("the arguments of process {pid}: {error}"));
        let mut environment: Vec<(String, String)> = own_environment();
        match of("environ") {
            Ok(bytes) => {
                environment.retain(|(name, _)| !name.starts_with(OURS));
                let pair = |part: &OsString| {
                    let part = lossy(part);
                    part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
                };
                environment.extend(parts(bytes).iter().filter_map(pair));
                Self { pid: Some(pid), arguments, environment }
            }
            Err(error) => {
                let arguments = Err(format!("the environment of process {pid}: {error}"));
                Self { pid: Some(pid), arguments, environment }
            }
        }
    }

    /// What it goes by.
    fn config(&self) -> Result<Vec<config::Value>, String> {
        let variable = |wanted: &str| {
            let found =
                self.environment.iter().rev().find(|(name, value)| name == wanted && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        let all = config::of_daemon(self.arguments.clone()?, variable);
        all.map_err(|error| format!("what it is told cannot be used: {error:#}"))
    }

    fn told(&self, flags: &[config::Value]) -> Value {
        let of = match self.pid {
            Some(pid) => format!("the daemon with pid {pid}, as it was started"),
            None => "a daemon that would be started now without flags".to_owned(),
        };
        json!({"of": of, "flags": flags})
    }
}

/// The flags that name a file with a secret.
const FILES: [&str; 7] = [
    "--token-file",
    "--client-key",
    "--metrics-token-file",
    "--metrics-tls-key",
    "--otlp-token-file",
    "--otlp-client-key",
    "--otlp-headers-file",
];

/// What variables that set flags begin with.
const OURS: &str = "TCPROUTE_";

fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// Where the secrets of the daemon and of this process are, as either is told by flags, variables or a file.
fn secrets(daemon: &Daemon, config: &[config::Value], subject: &Subject) -> Places {
    let environment: Vec<(String, String)> =
        daemon.environment.iter().cloned().chain(own_environment()).collect();
    let named = |flags: &[&str]| -> Vec<PathBuf> {
        let set = config.iter().filter(|value| flags.contains(&&*value.flag)).flat_map(|value| &value.values);
        let variables: Vec<String> =
            flags.iter().map(|flag| layers::variable(flag.trim_start_matches('-'))).collect();
        let of_variables =
            environment.iter().filter(|(name, _)| variables.contains(name)).map(|(_, value)| value);
        set.chain(of_variables).map(PathBuf::from).collect()
    };
    let variable = |wanted: &'static str| environment.iter().filter(move |(name, _)| name == wanted);
    let mut kubeconfigs = named(&["--kubeconfig"]);
    kubeconfigs.extend(subject.api.iter().filter_map(|(access, _)| access.kubeconfig.clone()));
    kubeconfigs.extend(variable("KUBECONFIG").flat_map(|(_, paths)| std::env::split_paths(paths)));
    kubeconfigs.extend(variable("HOME").map(|(_, home)| Path::new(home).join(".kube/config")));
    let mut configs = named(&["--config"]);
    configs.push(layers::FILE.into());
    Places { files: named(&FILES), kubeconfigs, configs, environment }
}

fn own_environment() -> Vec<(String, String)> {
    std::env::vars_os().map(|(name, value)| (lossy(&name), lossy(&value))).collect()
}
