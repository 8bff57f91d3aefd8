//! What `cargo xtask bench applications` measures: from Debian, and from the registries of Python and Java.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    envoy,
    kept::{self, Wanted},
    provision, workspace,
};

/// What is absent without Debian packages, by its name there.
const DEBIAN: [(&str, &[&str]); 4] = [
    ("postgresql", &["postgresql"]),
    ("pgbouncer", &["pgbouncer", "postgresql"]),
    ("redis", &["redis-server", "redis-tools"]),
    ("haproxy", &["haproxy"]),
];

/// What Kafka is got by, and runs on.
const JAVA: [&str; 2] = ["maven", "default-jre-headless"];

/// By these the benchmark is told where they are.
const PYTHON_PACKAGES: &str = "TCPROUTE_TEST_PYTHON_PACKAGES";
const KAFKA: &str = "TCPROUTE_TEST_KAFKA";

/// Tells the benchmark where all of it is, or why it cannot be had.
pub(crate) fn tell(bench: &mut Command) -> Result<()> {
    for (name, packages) in DEBIAN {
        if let Err(error) = provision::ensure(packages) {
            absent(bench, name, &format!("{error:#}"));
        }
    }
    envoy::tell(bench)?;
    let packages = python_packages()?;
    let archives = match provision::ensure(&JAVA) {
        Ok(()) => kafka()?,
        Err(error) => Err(error),
    };
    match &packages {
        Ok(packages) => drop(bench.env(PYTHON_PACKAGES, packages)),
        Err(error) => absent(bench, "grpc", &format!("{error:#}")),
    }
    match (packages, archives) {
        (Ok(_), Ok(archives)) => drop(bench.env(KAFKA, archives)),
        (Err(error), _) | (_, Err(error)) => absent(bench, "kafka", &format!("{error:#}")),
    }
    Ok(())
}

fn absent(bench: &mut Command, name: &str, why: &str) {
    bench.arg("--absent").arg(format!("{name}={why}"));
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
