//! Kafka: two clusters of one broker each, and librdkafka. Each broker tells clients its own address, as brokers do, so
//! what is dialled at first is a way to the metadata alone.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use tcproute_tests::{process::Process, wait_for};

use super::{Application, Job, Kind, Outcome, Work, compared, provided, python};
use crate::site::{Client, Site, output};

const SCRIPT: &str = include_str!("kafka.py");

/// The names of both clusters, of which each is a UUID.
const CLUSTERS: [&str; 2] = ["Zmlyc3Qgb2YgdGhlIHR3bw", "c2Vjb25kIG9mIHRoZSBhLg"];

/// Where the archives of the broker are.
const ARCHIVES: &str = "TCPROUTE_TEST_KAFKA";

pub(crate) const KIND: Kind = Kind {
    name: "kafka",
    title: "Kafka",
    port: 9092,
    jobs: &[
        Job {
            title: "A client that asks for metadata",
            figures: &[
                compared("newPerSecond", "clients/s", 0),
                compared("newP50Millis", "p50, ms", 2),
                compared("newP99Millis", "p99, ms", 2),
            ],
            per_thousand: 200,
            work: Work::New,
        },
        Job {
            title: "Messages of a producer, each acknowledged before the next",
            figures: &[
                compared("keptPerSecond", "messages/s", 0),
                compared("keptP50Millis", "p50, ms", 3),
                compared("keptP99Millis", "p99, ms", 3),
            ],
            per_thousand: 1000,
            work: Work::Kept,
        },
    ],
    start: |site| Ok(Box::new(start(site)?)),
};

struct Kafka {
    version: String,
    _brokers: Vec<Process>,
}

fn start(site: &Site) -> Result<Kafka> {
    let archives = provided(ARCHIVES)?;
    let mut brokers = Vec::new();
    for (number, (address, cluster)) in site.backends.into_iter().zip(CLUSTERS).enumerate() {
        let directory = site.directory().join(format!("broker-{number}"));
        fs::create_dir(&directory)?;
        let (data, settings) = (directory.join("data"), directory.join("server.properties"));
        let (ip, controller) = (address.ip(), address.port() + 1);
        fs::write(
            &settings,
            format!(
                "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@{ip}:{controller}\n\
                 listeners=PLAINTEXT://{address},CONTROLLER://{ip}:{controller}\n\
                 advertised.listeners=PLAINTEXT://{address}\ncontroller.listener.names=CONTROLLER\n\
                 listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
                 offsets.topic.replication.factor=1\nlog.dirs={}\n",
                data.display()
            ),
        )?;
        let logging = directory.join("log4j2.yaml");
        fs::write(&logging, LOGGING)?;
        let java = |class: &str| {
            let mut command = site.server("java");
            command.args(["-Xmx256m", "-XX:+UseSerialGC", "-cp"]).arg(archives.join("*"));
            command.arg(format!("-Dlog4j2.configurationFile={}", logging.display())).arg(class);
            command.stdin(Stdio::null());
            command
        };
        let mut format = java("kafka.tools.StorageTool");
        output(format.args(["format", "--cluster-id", cluster, "--config"]).arg(&settings))?;
        let log = fs::File::create(directory.join("log"))?;
        let mut broker = java("kafka.Kafka");
        broker.arg(&settings).stdout(log.try_clone()?).stderr(log);
        brokers.push(Process(broker.spawn().context("cannot start sh")?));
    }
    for (broker, address) in brokers.iter_mut().zip(site.backends) {
        wait_for("the broker listens", || broker.has_ended() || site.namespace.is_answered(address.into()));
    }
    Ok(Kafka { version: version(&archives)?, _brokers: brokers })
}

/// Only what goes wrong.
const LOGGING: &str = "\
Configuration:
  Loggers: {Root: {level: WARN, AppenderRef: {ref: out}}}
  Appenders: {Console: {name: out, PatternLayout: {pattern: '%p %c %m%n'}}}
";

/// By the name of the archive that has the broker.
fn version(archives: &Path) -> Result<String> {
    for entry in fs::read_dir(archives).context("the archives of Kafka cannot be read")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(version) = name.strip_prefix("kafka_2.13-").and_then(|it| it.strip_suffix(".jar")) {
            return Ok(format!("Kafka {version}"));
        }
    }
    bail!("{} has no broker", archives.display())
}

impl Application for Kafka {
    fn version(&self) -> &str {
        &self.version
    }

    fn run(&self, work: Work, client: &Client, count: u32) -> Result<Outcome> {
        let work = if work == Work::New { "new" } else { "kept" };
        let told = python::told(client, SCRIPT, work, count)?;
        let is_own = told.brokers.iter().all(|broker| client.site.backends.contains(broker));
        ensure!(is_own, "brokers do not tell their own addresses: {:?}", told.brokers);
        told.outcome(CLUSTERS)
    }
}
