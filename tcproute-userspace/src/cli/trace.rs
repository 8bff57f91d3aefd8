//! `tcproute trace`: a line for each decision, as it is made, and for what comes of it.

use std::{
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    str::FromStr,
    time::Duration,
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, interval},
};
use tracing::warn;

use super::{AdminSocket, complete, output, text::Text};
use crate::{
    admin::client::{Lines, parsed},
    escaped::Escaped,
    trace::{Connection, Joiner, Outcome, Record},
};

#[derive(Debug, Args)]
pub(super) struct Trace {
    #[command(flatten)]
    admin: AdminSocket,
    /// Only of this Dataplane.
    #[arg(long, value_name = "NAME", add = complete::dataplanes())]
    dataplane: Option<String>,
    /// Only to this service.
    #[arg(long, value_name = "NAME", add = complete::services())]
    service: Option<String>,
    /// Only by this process.
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Only by processes of this name.
    #[arg(long, value_name = "NAME")]
    command: Option<String>,
    /// Only what dials this address, with or without its port.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    dialled: Option<AddressFilter>,
    /// Only what goes to this endpoint, with or without its port.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    endpoint: Option<AddressFilter>,
    /// Only what this has come of; may be given several times.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Vec<Outcome>,
    /// End after so many lines.
    #[arg(long, value_name = "LINES")]
    count: Option<u64>,
    /// How to print it: json is a value a line.
    #[arg(short, long, value_enum, default_value_t = TraceFormat::Table)]
    output: TraceFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TraceFormat {
    /// For people.
    Table,
    /// For programs: a value a line.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AddressFilter {
    ip: IpAddr,
    port: Option<u16>,
}

impl FromStr for AddressFilter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { ip: address.ip(), port: Some(address.port()) });
        }
        let ip = text.parse().map_err(|_| "must be an IP address, such as 127.0.0.1, or one with a port")?;
        Ok(Self { ip, port: None })
    }
}

impl AddressFilter {
    fn lets_through(self, address: SocketAddr) -> bool {
        self.ip == address.ip() && self.port.is_none_or(|port| port == address.port())
    }
}

/// How often decisions are looked for that have waited long enough.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Of lines.
pub(super) const HEADING: &str = "TIME             PID COMMAND          DATAPLANE        SERVICE              DIALLED               ENDPOINT              OUTCOME                BACKEND, POLICIES\n";

impl Trace {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let mut lines = Lines::get(&self.admin.admin_socket, "/v1/trace").await?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut ticks = interval(TICK);
        let (mut joiner, begin) = (Joiner::default(), Instant::now());
        let mut left = self.count.unwrap_or(u64::MAX);
        if self.output == TraceFormat::Table && !output::write(HEADING)? {
            return Ok(ExitCode::SUCCESS);
        }
        while left > 0 {
            let connections = tokio::select! {
                _ = interrupt.recv() => break,
                _ = ticks.tick() => joiner.overdue(begin.elapsed()),
                line = lines.next() => match line? {
                    None => {
                        warn!("the daemon has ended");
                        break;
                    }
                    Some(line) => {
                        let record: Record = parsed(&line)?;
                        if let Record::Lost { records, dataplane } = &record
                            && !self.tell_lost(*records, dataplane.as_deref())?
                        {
                            break;
                        }
                        joiner.take(record, begin.elapsed())
                    }
                },
            };
            for connection in connections.iter().filter(|connection| self.is_wanted(connection)) {
                if left == 0 || !self.tell(connection)? {
                    return Ok(ExitCode::SUCCESS);
                }
                left -= 1;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Whether anybody reads on.
    fn tell_lost(&self, records: u64, dataplane: Option<&str>) -> Result<bool> {
        if dataplane.is_some_and(|lost| self.dataplane.as_ref().is_some_and(|wanted| wanted != lost)) {
            return Ok(true);
        }
        match (self.output, dataplane) {
            (TraceFormat::Table, None) => {
                output::show(&Text::of(format_args!("… {records} events were lost here")))
            }
            (TraceFormat::Table, Some(of)) => {
                output::show(&Text::of(format_args!("… {records} events of {} were lost here", Escaped(of))))
            }
            (TraceFormat::Json, _) => {
                output::json_line(&serde_json::json!({ "lost": records, "dataplane": dataplane }))
            }
        }
    }

    fn is_wanted(&self, connection: &Connection) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        let Connection { decision, outcome, .. } = connection;
        is(self.dataplane.as_ref(), &decision.dataplane)
            && is(self.service.as_ref(), &decision.service)
            && is(self.command.as_ref(), &decision.command)
            && (self.pid.is_none() || self.pid == decision.pid)
            && self.dialled.is_none_or(|filter| filter.lets_through(decision.dialled))
            && self.endpoint.is_none_or(|filter| decision.endpoint.is_some_and(|it| filter.lets_through(it)))
            && (self.outcome.is_empty() || self.outcome.contains(outcome))
    }

    /// Whether anybody reads on.
    fn tell(&self, connection: &Connection) -> Result<bool> {
        match self.output {
            TraceFormat::Table => output::show(&Text::of(line(connection))),
            TraceFormat::Json => output::json_line(connection),
        }
    }
}

/// What is told of a connection in every line about it.
pub(super) struct Told<'c> {
    pub(super) time: String,
    pub(super) pid: String,
    pub(super) endpoint: String,
    /// With how long it took.
    pub(super) outcome: String,
    pub(super) backend: &'c str,
}

impl<'c> From<&'c Connection> for Told<'c> {
    fn from(Connection { decision, outcome, microseconds, .. }: &'c Connection) -> Self {
        let took = match microseconds {
            Some(microseconds) => format!(" {:.1} ms", f64::from(*microseconds) / 1000.0),
            None => String::new(),
        };
        Self {
            time: decision.time.strftime("%H:%M:%S%.3f").to_string(),
            pid: decision.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            endpoint: decision.endpoint.map_or_else(|| "-".to_owned(), |endpoint| endpoint.to_string()),
            outcome: outcome.name().to_owned() + &took,
            backend: decision.backend.as_deref().unwrap_or("-"),
        }
    }
}

/// A connection as people read it.
pub(super) fn line(connection: &Connection) -> String {
    let Told { time, pid, endpoint, outcome, backend } = connection.into();
    let decision = &connection.decision;
    let policies = decision.policies.join(", ");
    let dialled = decision.dialled.to_string();
    // Here already, so that columns go by what is shown.
    let command = Escaped(&decision.command);
    let (dataplane, service) = (Escaped(&decision.dataplane), Escaped(&decision.service));
    let text = format!(
        "{time} {pid:>7} {command:<16} {dataplane:<16} {service:<20} {dialled:<21} {endpoint:<21} {outcome:<22} {backend}, {policies}"
    );
    text.trim_end_matches([',', ' ']).to_owned()
}
