//! What becomes of connections that stay when their route changes: how long it takes until none leads to the first
//! server any more, and what their clients see.

use std::{
    fs,
    io::Read as _,
    net::SocketAddrV4,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use tcproute_tests::{
    bench::{contenders::tcproute, markdown::number},
    chi_square::as_f64,
    interrupt,
    process::Process,
    wait_for,
};

use crate::{
    Absent,
    application::{grpc, postgresql},
    site::{Client, Site},
};

/// How long they are watched.
pub(crate) const WINDOW: Duration = Duration::from_secs(5);

/// How long clients work: until they are there, and through all of it.
const SECONDS: u32 = 12;

/// Connections that they have.
const CLIENTS: u32 = 8;

/// Seconds, of `--drain`.
const DRAIN: u32 = 1;

/// Seconds, after which a pool or a server has a connection made anew.
const AGE: u32 = 2;

/// What is changed of a route 90/10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Change {
    /// Weights are 0/100.
    Weight,
    /// The first backendRef is there no longer.
    Removed,
}

/// What was seen.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    pub(crate) change: Change,
    pub(crate) drain_seconds: Option<u32>,
    /// Those to the first server when it was changed.
    pub(crate) connections: usize,
    /// Those of them, and others, at the end.
    pub(crate) left: usize,
    /// When the last one was seen there, if none was left.
    pub(crate) moved_after_seconds: Option<f64>,
    /// In words.
    pub(crate) saw: String,
}

/// Clients that are watched.
struct Case {
    title: &'static str,
    clients: Clients,
    change: Change,
    drain: Option<u32>,
}

/// Whose connections they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clients {
    /// Of `pgbench`, with this argument more.
    Pgbench(Option<&'static str>),
    /// Of PgBouncer, which makes them anew after so many seconds.
    PgBouncer { server_lifetime: u32 },
    /// Of gRPC, whose servers ask for new ones after so many seconds.
    Grpc { max_age: Option<u32> },
}

const CASES: [Case; 9] = [
    Case {
        title: "`pgbench -C`",
        clients: Clients::Pgbench(Some("-C")),
        change: Change::Weight,
        drain: None,
    },
    Case { title: "`pgbench`", clients: Clients::Pgbench(None), change: Change::Weight, drain: None },
    Case { title: "`pgbench`", clients: Clients::Pgbench(None), change: Change::Weight, drain: Some(DRAIN) },
    Case { title: "`pgbench`", clients: Clients::Pgbench(None), change: Change::Removed, drain: Some(DRAIN) },
    Case {
        title: "PgBouncer, `server_lifetime = 2`",
        clients: Clients::PgBouncer { server_lifetime: AGE },
        change: Change::Weight,
        drain: None,
    },
    Case {
        title: "PgBouncer, `server_lifetime = 3600`",
        clients: Clients::PgBouncer { server_lifetime: 3600 },
        change: Change::Removed,
        drain: Some(DRAIN),
    },
    Case {
        title: "gRPC channels",
        clients: Clients::Grpc { max_age: None },
        change: Change::Weight,
        drain: None,
    },
    Case {
        title: "gRPC channels, MAX_CONNECTION_AGE 2 s",
        clients: Clients::Grpc { max_age: Some(AGE) },
        change: Change::Weight,
        drain: None,
    },
    Case {
        title: "gRPC channels",
        clients: Clients::Grpc { max_age: None },
        change: Change::Removed,
        drain: Some(DRAIN),
    },
];

impl Clients {
    /// Without which there are none.
    const fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Pgbench(_) => &["postgresql"],
            Self::PgBouncer { .. } => &["postgresql", "pgbouncer"],
            Self::Grpc { .. } => &["grpc"],
        }
    }
}

/// Watches all whose programs are there.
pub(crate) fn watched(absent: &Absent) -> Result<Vec<(&'static str, Result<Line, String>)>> {
    let mut lines = Vec::new();
    for case in CASES {
        interrupt::go_on()?;
        eprintln!("change: {}, {:?}, drain {:?}", case.title, case.change, case.drain);
        let line = match case.clients.needs().iter().find_map(|name| absent.why(name)) {
            Some(why) => Err(why.to_owned()),
            None => Ok(watch(&case).with_context(|| case.title.to_owned())?),
        };
        lines.push((case.title, line));
    }
    Ok(lines)
}

/// In the order in which they end.
struct Running {
    client: Child,
    _pool: Option<Process>,
}

fn watch(case: &Case) -> Result<Line> {
    let kind = if matches!(case.clients, Clients::Grpc { .. }) { &grpc::KIND } else { &postgresql::KIND };
    let site = Site::build(kind.port)?;
    let (mut postgresql, mut _grpc) = (None, None);
    match case.clients {
        Clients::Grpc { max_age } => _grpc = Some(grpc::start(&site, max_age.unwrap_or(0) * 1000)?),
        Clients::Pgbench(_) | Clients::PgBouncer { .. } => postgresql = Some(postgresql::start(&site)?),
    }
    let ground = site.ground(20, "changed");
    let drain = case.drain.map(|seconds| seconds.to_string());
    let more = drain.as_ref().map_or_else(Vec::new, |drain| vec!["--drain", drain]);
    let way = ground.way(&site);
    let routed = tcproute::routed(&way, &more, "plain")?;
    let client = ground.client(&site, ground.service);
    let mut running = match (case.clients, &postgresql) {
        (Clients::Pgbench(argument), Some(postgresql)) => {
            Running { client: pgbench(postgresql, &client, argument)?, _pool: None }
        }
        (Clients::PgBouncer { server_lifetime }, Some(postgresql)) => {
            let (pool, listens) = pool(&site, &client, server_lifetime)?;
            let through = ground.client(&site, listens);
            Running { client: pgbench(postgresql, &through, None)?, _pool: Some(pool) }
        }
        _ => {
            let hold = grpc::hold(&client, CLIENTS, SECONDS)?;
            Running { client: spawned(hold)?, _pool: None }
        }
    };
    let line = moved(case, &site, || {
        let backends: &[(usize, u32)] =
            if case.change == Change::Weight { &[(0, 0), (1, 100)] } else { &[(1, 100)] };
        routed.change(&way, backends);
    });
    let saw = saw(case.clients, &mut running.client)?;
    Ok(Line { saw, ..line? })
}

/// Changes the route when clients are at work, and watches their connections.
fn moved(case: &Case, site: &Site, change: impl FnOnce()) -> Result<Line> {
    // How many there are at a time is a matter of the pool, or of the moment.
    let least = match case.clients {
        Clients::Pgbench(None) | Clients::Grpc { .. } => CLIENTS as usize,
        Clients::Pgbench(Some(_)) => 1,
        Clients::PgBouncer { .. } => CLIENTS as usize / 2,
    };
    let mut connections = 0;
    wait_for("clients are at work", || {
        let [first, second] = site.backends.map(|it| established(site, it).unwrap_or(0));
        connections = first;
        first + second >= least && first > 0
    });
    change();
    let start = Instant::now();
    let (mut last, mut left) = (Duration::ZERO, connections);
    while start.elapsed() < WINDOW {
        left = established(site, site.backends[0])?;
        if left > 0 {
            last = start.elapsed();
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(Line {
        change: case.change,
        drain_seconds: case.drain,
        connections,
        left,
        moved_after_seconds: (left == 0).then_some(last.as_secs_f64()),
        saw: String::new(),
    })
}

/// How many connections there are to a server. All that dial it are clients that were led there.
fn established(site: &Site, server: SocketAddrV4) -> Result<usize> {
    let told = site.ask("ss", &["-Htn", "state", "established", "dst", &server.to_string()])?;
    Ok(told.lines().count())
}

fn pgbench(postgresql: &postgresql::PostgreSql, client: &Client, more: Option<&str>) -> Result<Child> {
    let (clients, seconds) = (CLIENTS.to_string(), SECONDS.to_string());
    let mut arguments = vec!["-c", &clients, "-T", &seconds];
    arguments.extend(more);
    spawned(postgresql.pgbench(client, &arguments))
}

fn spawned(mut command: Command) -> Result<Child> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().context("cannot start sh")
}

/// PgBouncer beside the clients, and where it listens.
fn pool(site: &Site, client: &Client, server_lifetime: u32) -> Result<(Process, SocketAddrV4)> {
    let listens = SocketAddrV4::new([127, 43, 2, 1].into(), 6432);
    let settings = site.directory().join("pgbouncer.ini");
    let (host, port) = (client.dials.ip(), client.dials.port());
    fs::write(
        &settings,
        format!(
            "[databases]\nbench = host={host} port={port} user=postgres\n\
             [pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\nmin_pool_size = {CLIENTS}\ndefault_pool_size = {CLIENTS}\nserver_lifetime = {server_lifetime}\n",
            listens.ip(),
            listens.port()
        ),
    )?;
    let mut command = client.command("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--pdeathsig", "KILL"]);
    command.args([Path::new("pgbouncer"), Path::new("--quiet"), &settings]);
    command.stdin(Stdio::null());
    let mut process = Process(command.spawn().context("cannot start sh")?);
    wait_for("PgBouncer listens", || process.has_ended() || site.namespace.is_answered(listens.into()));
    ensure!(!process.has_ended(), "PgBouncer has ended");
    Ok((process, listens))
}

/// What clients tell at their end.
fn saw(clients: Clients, client: &mut Child) -> Result<String> {
    let (mut printed, mut said) = (String::new(), String::new());
    // What it says is a few lines, so that it does not wait for them to be read.
    client.stdout.take().context("it is piped")?.read_to_string(&mut printed)?;
    client.stderr.take().context("it is piped")?.read_to_string(&mut said)?;
    client.wait()?;
    if let Clients::Grpc { .. } = clients {
        let told: serde_json::Value =
            serde_json::from_str(&printed).with_context(|| format!("{printed:?}: {said}"))?;
        let failed = told["failed"].as_object().context("it tells no failures")?;
        let calls: u64 =
            told["answered"].as_object().into_iter().flatten().filter_map(|it| it.1.as_u64()).sum();
        let failed: Vec<_> = failed.iter().map(|(code, count)| format!("{count} {code}")).collect();
        let failed = if failed.is_empty() { "none failed".to_owned() } else { failed.join(", ") };
        return Ok(format!("{} calls, {failed}", number(as_f64(calls), 0)));
    }
    let of = |text: &str| said.lines().filter(|line| line.contains(text)).count();
    let aborted = of(" aborted in ");
    let done =
        printed.lines().find_map(|line| line.strip_prefix("number of transactions actually processed: "));
    let done = done.and_then(|done| done.split('/').next()?.trim().parse::<u64>().ok());
    let done = number(as_f64(done.with_context(|| format!("pgbench tells {printed:?}: {said}"))?), 0);
    let failed = if aborted == 0 { "none failed".to_owned() } else { format!("{aborted} clients gave up") };
    Ok(format!("{done} transactions, {failed}"))
}
