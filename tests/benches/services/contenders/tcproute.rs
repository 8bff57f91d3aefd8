//! tcproute: a daemon with files, and one workload that dials all services.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result};
use tcproute_tests::{
    bench::{machine::version, site::Site},
    tcproute::{Bpffs, ask, binary, is_open, run_arguments},
};

use super::{By, Prepared, Way, directory, text, write};
use crate::mesh::{CLIENT, SPLIT, Services, client, dataplanes, policy};

/// What is asked of one that runs.
pub(crate) struct Daemon {
    socket: PathBuf,
    namespace: u64,
    log: PathBuf,
}

impl Daemon {
    /// Whether it knows how the clients' network is left, from which on nothing about a connection changes.
    pub(crate) fn knows_the_way(&self) -> bool {
        if !is_open(&self.socket) {
            return false;
        }
        let (_, body) = ask(&self.socket, "/v1/status");
        let Ok(status) = serde_json::from_str::<serde_json::Value>(&body) else { return false };
        let namespaces = status["networkNamespaces"].as_array().map_or(&[][..], Vec::as_slice);
        namespaces.iter().any(|it| it["inode"] == self.namespace && it["way"] == "plain")
    }

    /// The last line of its log.
    pub(crate) fn last_said(&self) -> String {
        let lines = File::open(&self.log).map(BufReader::new).into_iter();
        lines.flat_map(|it| it.lines().map_while(Result::ok)).last().unwrap_or_default()
    }
}

/// All endpoints in a file, all policies but the last in another, and the last in one of its own.
pub(super) fn prepare(site: &Site, services: Services) -> Result<Prepared> {
    let directory = directory()?;
    let at = |name: &str| directory.path().join(name);
    let files = at("resources");
    fs::create_dir(&files).context("cannot make a directory")?;
    let file = |name: &str| -> PathBuf { files.join(name) };
    write(&file("client.yaml"), &client(services))?;
    write(&file("endpoints.yaml"), &dataplanes(services))?;
    let policies: String = services.others().map(|service| policy(service, SPLIT)).collect();
    write(&file("policies.yaml"), &policies)?;
    let own = file("policy.yaml");
    write(&own, &policy(services.last(), SPLIT))?;

    // By it the daemon finds the namespace before there are clients.
    let pause = site.namespace().pause(site.workload());
    let bpffs = Bpffs::mount();
    let binary = text(&binary())?;
    let mut command = site.proxy.command(&binary);
    let workloads: [(&str, &Path); 1] = [(CLIENT, site.workload().path())];
    let (socket, log) = (at("admin.sock"), at("log"));
    run_arguments(&mut command, &files, bpffs.path(), &socket, &workloads);
    let said = File::create(&log).context("cannot make a file")?;
    command.stdin(Stdio::null()).stderr(said);
    let last = services.last();
    Ok(Prepared {
        version: version(&binary, "version")?,
        command: Some(command),
        stays: true,
        is_tracked: false,
        ways: vec![Way::usual(By::Rename(own), move |weights| policy(last, weights))],
        daemon: Some(Daemon { socket, namespace: site.namespace().inode(), log }),
        keep: Box::new((bpffs, pause, directory)),
    })
}
