//! What the daemon is asked, beside what is drawn: one question at a time, and an error is an answer, too.

use std::{future, path::PathBuf, sync::Arc};

use anyhow::Result;
use tokio::{task::JoinSet, time::Instant};

use super::{
    app::{Answer, Asked, Daemon},
    description::Described,
};
use crate::{
    admin::{client, status::Status},
    outcomes::WorkloadOutcomes,
    top::Reading,
};

/// Answers that are on their way.
pub(super) struct Feed {
    from: Arc<From>,
    asked: JoinSet<Answer>,
}

/// Whom is asked, and for what.
struct From {
    socket: PathBuf,
    dataplane: Option<String>,
    service: Option<String>,
    begin: Instant,
}

impl Feed {
    pub(super) fn new(
        socket: PathBuf,
        dataplane: Option<String>,
        service: Option<String>,
        begin: Instant,
    ) -> Self {
        Self { from: Arc::new(From { socket, dataplane, service, begin }), asked: JoinSet::new() }
    }

    /// The first reading, without which there is nothing to be shown.
    pub(super) async fn first(&self) -> Result<Answer> {
        let (daemon, reading) = self.from.read().await?;
        Ok(Answer::Reading(Ok((daemon, reading))))
    }

    /// Asks, unless an answer is awaited. Whether it did.
    pub(super) fn ask(&mut self, what: Asked) -> bool {
        if !self.asked.is_empty() {
            return false;
        }
        let from = Arc::clone(&self.from);
        self.asked.spawn(async move {
            match what {
                Asked::Reading => Answer::Reading(from.read().await),
                Asked::Routes => Answer::Routes(from.routes().await),
            }
        });
        true
    }

    /// The next answer; never, if there is none to come. May be given up and called again.
    pub(super) async fn next(&mut self) -> Answer {
        loop {
            match self.asked.join_next().await {
                Some(Ok(answer)) => return answer,
                // It has panicked, which ends this process.
                Some(Err(_)) => {}
                None => future::pending().await,
            }
        }
    }
}

impl From {
    async fn read(&self) -> Result<(Daemon, Reading)> {
        let body = client::get(&self.socket, "/v1/outcomes").await?;
        let at = self.begin.elapsed();
        let mut outcomes: Vec<WorkloadOutcomes> = client::parsed(&body)?;
        let is_wanted =
            |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
        outcomes.retain(|workload| is_wanted(&self.dataplane, &workload.dataplane));
        for workload in &mut outcomes {
            workload.routes.retain(|route| is_wanted(&self.service, &route.service));
        }
        let status: Status = client::ask(&self.socket, "/v1/status").await?;
        let daemon = Daemon {
            version: status.version,
            started: status.started,
            is_ready: status.ready,
            workloads: status.workloads.len(),
            rejected: status.rejected.len(),
            warnings: status.warnings.len(),
            changed: status.last_reconcile.map(|last| last.at),
        };
        Ok((daemon, Reading { at, outcomes, ejected: status.ejected }))
    }

    async fn routes(&self) -> Result<Vec<Described>> {
        client::ask(&self.socket, "/v1/routes").await
    }
}
