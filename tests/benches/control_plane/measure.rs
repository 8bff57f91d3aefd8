//! All that is measured of one daemon, in its order.

use std::{
    net::SocketAddr,
    path::Path,
    rc::Rc,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    control_plane::{Authority, Options, Server, Tls},
    tcproute::{Bpffs, Daemon},
};

use crate::{
    bodies::{self, Bodies},
    change::{self, Changes},
    input::{self, LOCAL, Size},
    rest::Rest,
    usage::Memory,
};

/// In seconds, as `--poll-interval` takes it.
const INTERVAL: &str = "1";

/// Less than what a daemon takes for a sign that there will be more changes.
const LIVELY: Duration = Duration::from_secs(24);

/// More than that.
const QUIET: Duration = Duration::from_secs(35);

/// So long a daemon is watched then.
const WATCH: Duration = Duration::from_secs(40);

/// Until a daemon of an empty mesh has come to rest.
const SETTLES: Duration = Duration::from_secs(5);

/// What was measured.
pub(crate) struct Measured {
    pub(crate) tls: bool,
    pub(crate) bodies: Bodies,
    pub(crate) ready: Duration,
    pub(crate) requests_at_start: usize,
    /// Soon after the start, when all lists are read each time.
    pub(crate) lively: Rest,
    /// Later, when a large list is read less often.
    pub(crate) quiet: Rest,
    pub(crate) empty: Memory,
    pub(crate) at_start: Memory,
    pub(crate) after_lively: Memory,
    pub(crate) after_quiet: Memory,
    pub(crate) after_changes: Memory,
    pub(crate) weight: Changes,
    pub(crate) endpoint: Changes,
    pub(crate) endpoint_after_quiet: Changes,
}

/// Where daemons run, one after the other.
struct Site {
    cgroup: TestCgroup,
    dialled: SocketAddr,
    directory: tempfile::TempDir,
    authority: Option<Authority>,
}

impl Site {
    fn new(tls: bool) -> Result<Self> {
        Ok(Self {
            cgroup: TestCgroup::create(),
            dialled: SocketAddr::from((Loopback::claim().ip(0, 1), 5432)),
            directory: tempfile::tempdir()?,
            authority: tls.then(Authority::new),
        })
    }

    fn server(&self) -> Server {
        let tls = self.authority.as_ref().map(|authority| Tls::new(authority.server()));
        Server::start(Options { tls, ..Options::default() })
    }

    fn daemon(&self, server: &Server, ca: Option<&Path>) -> Result<Daemon> {
        let mut more = vec!["--poll-interval", INTERVAL, "--allow-loopback"];
        if let Some(ca) = ca {
            more.extend(["--ca", ca.to_str().context("the path is no text")?]);
        }
        let workloads = [(LOCAL, self.cgroup.path())];
        Ok(Daemon::of_control_plane(&Rc::new(Bpffs::mount()), &server.url(), &workloads, &more))
    }
}

/// With TLS or without.
pub(crate) fn measure(size: Size, tries: u32, tls: bool) -> Result<Measured> {
    let site = Site::new(tls)?;
    let files = site.authority.as_ref().map(|authority| authority.write_to(site.directory.path()));
    let ca = files.as_ref().map(|files| files.ca.as_path());
    let empty = {
        let server = site.server();
        input::fill_local(&server, site.dialled);
        let daemon = site.daemon(&server, ca)?;
        sleep(SETTLES);
        Memory::of(daemon.pid())?
    };

    let server = site.server();
    input::fill(&server, size, site.dialled);
    server.forget_requests();
    let begun = Instant::now();
    let daemon = site.daemon(&server, ca)?;
    let ready = begun.elapsed();
    let requests_at_start = server.requests_count();
    let at_start = Memory::of(daemon.pid())?;

    let (lively, requests) = Rest::watch(daemon.pid(), &server, LIVELY)?;
    let after_lively = Memory::of(daemon.pid())?;
    // Takes its time, in which the daemon comes to rest.
    let bodies = bodies::of(&server, ca, &requests)?;
    sleep((ready + QUIET).saturating_sub(begun.elapsed()));
    let (quiet, _) = Rest::watch(daemon.pid(), &server, WATCH)?;
    let after_quiet = Memory::of(daemon.pid())?;

    let weight = change::make(&daemon, &server, tries, None, |number| input::route(number % 50))?;
    let moved = |first: u32| {
        move |number: u32| {
            let port = u16::try_from(first + number).unwrap_or(u16::MAX);
            input::moved_endpoint(size, port)
        }
    };
    let endpoint = change::make(&daemon, &server, tries, None, moved(20_000))?;
    let endpoint_after_quiet = change::make(&daemon, &server, 2, Some(QUIET), moved(21_000))?;
    let after_changes = Memory::of(daemon.pid())?;
    Ok(Measured {
        tls,
        bodies,
        ready,
        requests_at_start,
        lively,
        quiet,
        empty,
        at_start,
        after_lively,
        after_quiet,
        after_changes,
        weight,
        endpoint,
        endpoint_after_quiet,
    })
}
