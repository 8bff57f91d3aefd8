//! What `cargo xtask bench applications` measures: from Debian, and from the registries of Python and Java.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Error, Result};

use crate::{
    envoy,
    kept::{self, Wanted},
    provision, workspace,
};

/// What is absent without Debian packages, by its name there.
const DEBIAN: [(&str, &[&str]); 4] = [
    ("postgresql", &["postgresql"]),
    ("pgbouncer", &["pgbouncer"]),
    ("redis", &["redis-server", "redis-tools"]),
    ("haproxy", &["haproxy"]),
];

/// What Kafka is got by, and runs on.
const JAVA: [&str; 2] = ["maven", "default-jre-headless"];

/// What is needed of all that when a route changes.
const CHANGES: [&str; 3] = ["postgresql", "pgbouncer", "grpc"];

/// With which every application is compared.
const PEERS: [&str; 1] = ["haproxy"];

/// By these the benchmark is told where they are.
const PYTHON_PACKAGES: &str = "TCPROUTE_TEST_PYTHON_PACKAGES";
const KAFKA: &str = "TCPROUTE_TEST_KAFKA";

/// Tells the benchmark where all that is wanted is, or why it cannot be had. Nothing chosen is everything.
pub(crate) fn tell(bench: &mut Command, only: &[String]) -> Result<()> {
    let is_chosen = |name: &str| only.is_empty() || only.iter().any(|it| it == name);
    let is_wanted = |name: &str| {
        is_chosen(name) || PEERS.contains(&name) || (CHANGES.contains(&name) && is_chosen("changes"))
    };
    for (name, packages) in DEBIAN.into_iter().filter(|(name, _)| is_wanted(name)) {
        if let Err(error) = provision::ensure(packages) {
            absent(bench, name, &error);
        }
    }
    envoy::tell(bench)?;
    if is_wanted("grpc") || is_wanted("kafka") {
        match python_packages()? {
            Ok(packages) => drop(bench.env(PYTHON_PACKAGES, packages)),
            Err(error) => ["grpc", "kafka"].into_iter().for_each(|name| absent(bench, name, &error)),
        }
    }
    if is_wanted("kafka") {
        match provision::ensure(&JAVA).and_then(|()| kafka()?) {
            Ok(archives) => drop(bench.env(KAFKA, archives)),
            Err(error) => absent(bench, "kafka", &error),
        }
    }
    Ok(())
}

fn absent(bench: &mut Command, name: &str, why: &Error) {
    bench.arg("--absent").arg(format!("{name}={why:#}"));
}

/// Where the packages of Python are, or why they cannot be had here.
fn python_packages() -> Result<Result<PathBuf>> {
    let list = workspace::root().join("tests/benches/applications/requirements.txt");
    let directory = workspace::applications().join("python");
    let wanted = Wanted { directory: &directory, name: "packages", part: "", list: &list };
    wanted.kept(Path::is_dir, |into| {
        eprintln!("fetching gRPC and Kafka's client by pip (once, 11 MB)");
        kept::by_pip(&list, into)
    })
}

/// Where the archives of Kafka are, or why they cannot be had here.
fn kafka() -> Result<Result<PathBuf>> {
    let list = workspace::root().join("tests/benches/applications/kafka/pom.xml");
    let directory = workspace::applications().join("kafka");
    let wanted = Wanted { directory: &directory, name: "archives", part: "", list: &list };
    wanted.kept(Path::is_dir, |into| {
        eprintln!("fetching Kafka by Maven (once, 50 MB)");
        kept::by_maven(&list, into)
    })
}
