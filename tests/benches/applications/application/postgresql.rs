//! PostgreSQL: `pgbench -S`, on connections that stay and with one for each transaction (`-C`).

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tcproute_tests::{
    bench::{machine::version, statistics::Latency},
    process::Process,
    wait_for,
};

use super::{Application, Job, Kind, Outcome, Work, compared};
use crate::site::{Client, Site, output};

/// That work at a time, by two threads.
const CLIENTS: u32 = 4;

/// In which they work.
const DATABASE: &str = "bench";

/// Its servers do not run as root.
const USER: &str = "postgres";

pub(crate) const KIND: Kind = Kind {
    name: "postgresql",
    title: "PostgreSQL",
    port: 5432,
    jobs: &[
        Job {
            title: "`pgbench -S -C`: a connection for each transaction",
            figures: &[
                compared("newTps", "tps", 0),
                compared("newAverageMillis", "average, ms", 2),
                compared("newConnectionMillis", "of it connecting, ms", 2),
                compared("newP50Millis", "p50, ms", 2),
                compared("newP99Millis", "p99, ms", 2),
            ],
            per_thousand: 1000,
            work: Work::New,
        },
        Job {
            title: "`pgbench -S`: connections stay",
            figures: &[
                compared("keptTps", "tps", 0),
                compared("keptAverageMillis", "average, ms", 3),
                compared("keptP50Millis", "p50, ms", 3),
                compared("keptP99Millis", "p99, ms", 3),
            ],
            per_thousand: 30_000,
            work: Work::Kept,
        },
    ],
    start: |site| Ok(Box::new(start(site)?)),
};

pub(crate) struct PostgreSql {
    version: String,
    programs: PathBuf,
    _servers: Vec<Server>,
}

/// Killed it would leave shared memory behind.
struct Server(Process);

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.0.id())
            && !self.0.has_ended()
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
            let _ = self.0.0.wait();
        }
    }
}

/// Both servers, with the tables of pgbench.
pub(crate) fn start(site: &Site) -> Result<PostgreSql> {
    let programs = programs()?;
    let mut servers = Vec::new();
    for (number, address) in site.backends.into_iter().enumerate() {
        let data = site.directory().join(format!("server-{number}"));
        fs::create_dir(&data)?;
        // They get through to what is theirs.
        fs::set_permissions(site.directory(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        site.ask("chown", &[USER, &data.display().to_string()])?;
        let mut init = as_user(site, &programs.join("initdb"));
        init.arg("-D").arg(&data).args(["--auth=trust", "--username", USER, "--no-sync"]);
        output(&mut init)?;
        let mut server = as_user(site, &programs.join("postgres"));
        server.arg("-D").arg(&data).args(["-p", &address.port().to_string()]);
        for setting in
            [&format!("listen_addresses={}", address.ip()), "unix_socket_directories=", "fsync=off"]
        {
            server.args(["-c", setting]);
        }
        let log = fs::File::create(site.directory().join(format!("server-{number}.log")))?;
        server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        servers.push(Server(Process(server.spawn().context("cannot start sh")?)));
    }
    let version = version(&programs.join("postgres").to_string_lossy(), "--version")?;
    let number = version.split(' ').nth(2).unwrap_or(&version).to_owned();
    let this = PostgreSql { version: format!("PostgreSQL {number}"), programs, _servers: servers };
    for backend in 0..site.backends.len() {
        wait_for("PostgreSQL answers", || this.ask(site, backend, "SELECT 1").is_ok());
        this.ask(site, backend, &format!("CREATE DATABASE {DATABASE}"))?;
        let [host, port, user] = server(site, backend);
        let arguments = ["-i", "-q", &host, &port, &user, DATABASE];
        site.ask(this.programs.join("pgbench"), &arguments)?;
    }
    Ok(this)
}

/// How each client names a server.
fn server(site: &Site, backend: usize) -> [String; 3] {
    let address = site.backends[backend];
    [format!("--host={}", address.ip()), format!("--port={}", address.port()), format!("--username={USER}")]
}

fn as_user(site: &Site, program: &Path) -> Command {
    let mut command = site.server("setpriv");
    // Another user forgets with whom it ends.
    command.args(["--reuid", USER, "--regid", USER, "--init-groups", "--pdeathsig", "INT"]);
    command.arg(program).current_dir("/");
    command
}

/// Where the newest programs of Debian are, or else those of the path.
fn programs() -> Result<PathBuf> {
    let all = Path::new("/usr/lib/postgresql");
    let versions = fs::read_dir(all).into_iter().flatten().flatten();
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let debian = versions.map(|version| all.join(version.to_string()).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let has_all = |at: &PathBuf| ["initdb", "postgres", "pgbench"].iter().all(|it| at.join(it).is_file());
    let found = debian.filter(has_all).max();
    found.or_else(|| env::split_paths(&path).find(has_all)).context("there is no PostgreSQL")
}

impl PostgreSql {
    /// What a server answers.
    fn ask(&self, site: &Site, backend: usize, statement: &str) -> Result<String> {
        let [host, port, user] = server(site, backend);
        let arguments = [&host, &port, &user, "--no-psqlrc", "-qAtc", statement, "postgres"];
        Ok(site.ask(self.programs.join("psql"), &arguments.map(|it| it as &str))?.trim().to_owned())
    }

    /// A client that knows what it dials.
    pub(crate) fn pgbench(&self, client: &Client, more: &[&str]) -> Command {
        let mut command = client.command(self.programs.join("pgbench"));
        let (host, port) = (client.dials.ip().to_string(), client.dials.port().to_string());
        // It would vacuum otherwise.
        command.args(["-n", "-S", "-j", "2", "-h", &host, "-p", &port, "-U", USER]).args(more).arg(DATABASE);
        command
    }

    /// How many sessions each server has had, once so many more are counted, and no longer any more.
    fn sessions(&self, site: &Site, least: u64) -> Result<[u64; 2]> {
        const ASKED: &str = "SELECT sessions FROM pg_stat_database WHERE datname = 'bench'";
        let mut last = [0; 2];
        for _ in 0..100 {
            let mut counts = [0; 2];
            for (backend, count) in counts.iter_mut().enumerate() {
                *count = self.ask(site, backend, ASKED)?.parse().context("it is no number")?;
            }
            // A session is counted at its end, which the client does not wait for.
            if counts == last && counts.iter().sum::<u64>() >= least {
                return Ok(counts);
            }
            last = counts;
            thread::sleep(Duration::from_millis(50));
        }
        bail!("{last:?} sessions are counted, and {least} at least are expected")
    }
}

impl Application for PostgreSql {
    fn version(&self) -> &str {
        &self.version
    }

    fn run(&self, work: Work, client: &Client, count: u32) -> Result<Outcome> {
        let before = self.sessions(client.site, 0)?;
        let logs = tempfile::tempdir_in(client.site.directory()).context("cannot make a directory")?;
        let prefix = format!("--log-prefix={}", logs.path().join("log").display());
        let each = count.div_ceil(CLIENTS).to_string();
        let mut arguments = vec!["-c", "4", "-t", &each, "-l", &prefix];
        arguments.extend((work == Work::New).then_some("-C"));
        let told = output(&mut self.pgbench(client, &arguments))?;
        let figure = |name: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            let value = line.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
            value.with_context(|| format!("pgbench does not tell its {name}: {told}"))
        };
        let all = u64::from(count.div_ceil(CLIENTS) * CLIENTS);
        ensure!(told.contains(&format!("processed: {all}/{all}\n")), "not all are processed: {told}");
        let Latency { p50, p99, .. } = Latency::of(took(logs.path(), work)?);
        let mut values = vec![figure("tps")?, figure("latency average")?];
        let least = if work == Work::New {
            values.push(figure("average connection time")?);
            all
        } else {
            u64::from(CLIENTS)
        };
        values.extend([p50 / 1000.0, p99 / 1000.0]);
        let after = self.sessions(client.site, before.iter().sum::<u64>() + least)?;
        Ok(Outcome { values, by_backend: [after[0] - before[0], after[1] - before[1]] })
    }
}

/// How long each transaction took, by the log of each thread. What pgbench logs begins after the connection, so where
/// there is one each time it is the time since the client's transaction before.
fn took(logs: &Path, work: Work) -> Result<Vec<Duration>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(logs)? {
        let mut last = BTreeMap::new();
        for line in fs::read_to_string(entry?.path())?.lines() {
            let fields: Vec<u64> = line.split(' ').map_while(|field| field.parse().ok()).collect();
            let [client, _, micros, _, seconds, rest, ..] = fields[..] else {
                bail!("pgbench logs {line:?}");
            };
            let end = seconds * 1_000_000 + rest;
            let before = last.insert(client, end);
            match work {
                Work::Kept => all.push(Duration::from_micros(micros)),
                Work::New => all.extend(before.map(|before| Duration::from_micros(end - before))),
            }
        }
    }
    ensure!(!all.is_empty(), "pgbench logs nothing");
    Ok(all)
}
