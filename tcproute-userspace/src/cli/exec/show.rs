//! What the connections of the command come to, on standard error: its output is its own.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use jiff::Timestamp;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep, timeout},
};

use super::super::{stats, trace};
use crate::{
    agent::Handle,
    logging,
    outcomes::{RouteOutcomes, WorkloadOutcomes},
    trace::{Connection, Joiner, Record},
};

/// So long the last events may take after the end of the command.
const PATIENCE: Duration = Duration::from_secs(1);

/// The connections of a command.
pub(super) struct Shown {
    handle: Handle,
    records: Receiver<Arc<Record>>,
    joiner: Joiner,
    begin: Instant,
    /// Decisions that were read, or lost.
    seen: u64,
    lost: u64,
}

impl Shown {
    /// From now on. To be called while the agent is served.
    pub(super) async fn begin(handle: Handle) -> Result<Self> {
        let records = handle.listen().await?;
        Ok(Self { handle, records, joiner: Joiner::default(), begin: Instant::now(), seen: 0, lost: 0 })
    }

    /// Shows them until the command has ended, and then how they were split.
    pub(super) async fn until(mut self, end: impl Future<Output = Result<u8>>) -> Result<u8> {
        tokio::pin!(end);
        logging::say(trace::HEADING.trim_end());
        let code = loop {
            tokio::select! {
                code = &mut end => break code?,
                () = self.next() => {}
            }
        };
        // What the programs have counted has been told, too, but for what was lost.
        let told = async {
            while self.seen + self.lost < chosen(&self.handle.outcomes().await?) || self.joiner.is_waiting() {
                self.next().await;
            }
            anyhow::Ok(())
        };
        if let Ok(failed) = timeout(PATIENCE, told).await {
            failed?;
        }
        let outcomes = self.handle.outcomes().await?;
        self.tell_end(&outcomes);
        Ok(code)
    }

    /// One more record, or a moment without any.
    async fn next(&mut self) {
        let connections = tokio::select! {
            record = self.records.recv() => match record {
                Ok(record) => self.take(&record),
                Err(RecvError::Lagged(records)) => self.take(&Record::Lost { records, dataplane: None }),
                // The agent is at its end, and so is this.
                Err(RecvError::Closed) => std::future::pending().await,
            },
            () = sleep(trace::TICK) => self.joiner.overdue(self.begin.elapsed()),
        };
        for connection in &connections {
            logging::say(trace::line(connection));
        }
    }

    fn take(&mut self, record: &Record) -> Vec<Connection> {
        match record {
            Record::Lost { records, .. } => {
                self.lost += records;
                logging::say(format_args!("… {records} events were lost here"));
            }
            Record::Decision(_) => self.seen += 1,
            Record::End { .. } => {}
        }
        self.joiner.take(record.clone(), self.begin.elapsed())
    }

    fn tell_end(&self, outcomes: &[WorkloadOutcomes]) {
        logging::say("");
        if self.seen + self.lost > 0 {
            let used = outcomes.iter().map(WorkloadOutcomes::used).collect::<Vec<_>>();
            stats::table(&used, false, Timestamp::now()).to_string().lines().for_each(logging::say);
            return;
        }
        for workload in outcomes {
            let (dataplane, routes) = (&workload.dataplane, workload.routes.len());
            logging::say(format_args!(
                "no connection to any of the {routes} routed addresses of {dataplane}: `tcproute resolve` lists them"
            ));
        }
    }
}

/// How many connections the programs have decided on.
fn chosen(outcomes: &[WorkloadOutcomes]) -> u64 {
    outcomes.iter().flat_map(|workload| &workload.routes).map(RouteOutcomes::chosen).sum()
}
