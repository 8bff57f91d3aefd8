//! Who is compared: a file for each family. Each writes down what is to be loaded, and how a weight is changed; that it
//! is done and how long it takes is the same for all.

mod direct;
mod envoy;
mod haproxy;
mod iptables;
mod nftables;
mod tcproute;

use std::{
    any::Any,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use tcproute_tests::bench::{comparison::Figure, site::Site};

use crate::{
    mesh::{Services, Weights},
    report::{CHANGED, RELOADED},
};

pub(crate) use tcproute::Daemon;

/// A way from clients to the endpoints of services.
pub(crate) struct Kind {
    /// On a command line and in JSON.
    pub(crate) name: &'static str,
    /// In tables.
    pub(crate) title: &'static str,
    /// How it is told of a changed weight.
    pub(crate) changes: &'static str,
    prepare: fn(&Site, Services) -> Result<Prepared>,
}

/// With whom all are compared.
pub(crate) const DIRECT: &str = "direct";

/// In the order in which they are shown.
pub(crate) const ALL: [Kind; 8] = [
    Kind { name: DIRECT, title: "direct", changes: "", prepare: direct::prepare },
    Kind {
        name: "tcproute",
        title: "tcproute",
        changes: "a file of its own, renamed",
        prepare: tcproute::prepare,
    },
    // Within this program (`agent`).
    Kind {
        name: "tcproute-in-memory",
        title: "tcproute, from memory",
        changes: "a snapshot in memory",
        prepare: direct::prepare,
    },
    Kind {
        name: "nftables-verdict-map",
        title: "nftables, verdict map and rules",
        changes: "`nft -f`",
        prepare: nftables::verdict_map,
    },
    Kind {
        name: "nftables-anonymous-maps",
        title: "nftables, a map for each service",
        changes: "`nft -f`",
        prepare: nftables::anonymous_maps,
    },
    Kind {
        name: "iptables",
        title: "iptables, `statistic`",
        changes: "`iptables-restore --noflush`",
        prepare: iptables::prepare,
    },
    Kind { name: "haproxy", title: "HAProxy, TCP mode", changes: "runtime API", prepare: haproxy::prepare },
    Kind { name: "envoy", title: "Envoy, file xDS", changes: "EDS file, renamed", prepare: envoy::prepare },
];

impl Kind {
    /// Without which there is nothing to compare.
    pub(crate) fn is_own(&self) -> bool {
        self.name == DIRECT || self.name.starts_with("tcproute")
    }

    /// Whether it leads to both backends, or is a connection to the first.
    pub(crate) fn splits(&self) -> bool {
        self.name != DIRECT
    }

    /// Whether it is measured by an agent within this process.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.name == "tcproute-in-memory"
    }

    /// Writes all that is to be loaded.
    pub(crate) fn prepared(&self, site: &Site, services: Services) -> Result<Prepared> {
        (self.prepare)(site, services)
    }
}

/// What is there before anything is loaded.
pub(crate) struct Prepared {
    /// As it says itself.
    pub(crate) version: String,
    /// What loads it. That is the proxy itself, or ends when all is loaded.
    pub(crate) command: Option<Command>,
    pub(crate) stays: bool,
    /// Whether the kernel tracks its connections.
    pub(crate) is_tracked: bool,
    pub(crate) ways: Vec<Way>,
    /// If it is tcproute's.
    pub(crate) daemon: Option<Daemon>,
    /// As long as it routes.
    pub(crate) keep: Box<dyn Any>,
}

/// How a weight is changed.
pub(crate) struct Way {
    pub(crate) figure: Figure,
    /// What is handed over, by the weights of the last service.
    pub(crate) text: Box<dyn Fn(Weights) -> String>,
    pub(crate) by: By,
}

/// How a text is handed over.
pub(crate) enum By {
    /// Written beside a file, it takes its place in one step.
    Rename(PathBuf),
    /// Written to a file, a command reads it.
    Command(PathBuf, Vec<String>),
    /// Written to a file, the process that was loaded reads it when it gets SIGUSR2.
    Signal(PathBuf),
    /// Sent to a socket, which answers.
    Socket(PathBuf),
}

impl Way {
    /// The usual one.
    fn usual(by: By, text: impl Fn(Weights) -> String + 'static) -> Self {
        Self { figure: CHANGED, text: Box::new(text), by }
    }

    /// Another one, by which all is loaded anew.
    fn reload(by: By, text: impl Fn(Weights) -> String + 'static) -> Self {
        Self { figure: RELOADED, text: Box::new(text), by }
    }
}

/// A directory for what is written.
fn directory() -> Result<tempfile::TempDir> {
    tempfile::tempdir().context("cannot make a directory")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// As an argument.
fn text(path: &Path) -> Result<String> {
    let text = path.to_str().context("the path of temporary files is not UTF-8")?;
    Ok(text.to_owned())
}
