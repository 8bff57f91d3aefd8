//! Connections of one route as they happen. Nobody listens to the daemon's events while no trace is open.

use std::{future, net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use anyhow::Result;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, interval, sleep},
};

use super::super::trace::TICK;
use crate::{
    admin::client::{Lines, parsed},
    trace::{Connection, Joiner, Record},
};

/// How soon a daemon that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// So much may wait to be shown. If more comes, the daemon tells what is lost.
const WAITING: usize = 256;

/// Whose connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Traced {
    pub(super) dataplane: String,
    pub(super) dialled: SocketAddr,
}

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// From now on.
    Listening,
    Connection(Box<Connection>),
    /// So many events, of whatever route.
    Lost(u64),
    /// Why nothing is heard for now.
    Ended(String),
}

/// Follows one route, or none.
#[derive(Default)]
pub(super) struct Follow {
    traced: Option<Traced>,
    heard: Option<mpsc::Receiver<Heard>>,
    /// Ends with this.
    task: JoinSet<()>,
}

impl Follow {
    /// From now on this one.
    pub(super) fn go_by(&mut self, traced: Option<&Traced>, socket: &Path, begin: Instant) {
        if self.traced.as_ref() == traced {
            return;
        }
        self.traced = traced.cloned();
        self.task = JoinSet::new();
        self.heard = traced.cloned().map(|traced| {
            let (sender, heard) = mpsc::channel(WAITING);
            self.task.spawn(follow(traced, socket.to_owned(), begin, sender));
            heard
        });
    }

    /// What is heard next; never, if nothing is followed. May be given up and called again.
    pub(super) async fn next(&mut self) -> Heard {
        match &mut self.heard {
            Some(heard) => match heard.recv().await {
                Some(heard) => heard,
                None => future::pending().await,
            },
            None => future::pending().await,
        }
    }
}

async fn follow(traced: Traced, socket: PathBuf, begin: Instant, sender: mpsc::Sender<Heard>) {
    loop {
        let ended = match listen(&traced, &socket, begin, &sender).await {
            Ok(()) => "the daemon has ended".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if sender.send(Heard::Ended(ended)).await.is_err() {
            return;
        }
        sleep(AGAIN).await;
    }
}

async fn listen(traced: &Traced, socket: &Path, begin: Instant, sender: &mpsc::Sender<Heard>) -> Result<()> {
    let mut lines = Lines::get(socket, "/v1/trace").await?;
    sender.send(Heard::Listening).await?;
    let (mut joiner, mut ticks) = (Joiner::default(), interval(TICK));
    loop {
        let connections = tokio::select! {
            _ = ticks.tick() => joiner.overdue(begin.elapsed()),
            line = lines.next() => {
                let Some(line) = line? else { return Ok(()) };
                let record: Record = parsed(&line)?;
                match &record {
                    Record::Lost { records, dataplane }
                        if dataplane.as_ref().is_none_or(|lost| *lost == traced.dataplane) =>
                    {
                        sender.send(Heard::Lost(*records)).await?;
                    }
                    _ => {}
                }
                joiner.take(record, begin.elapsed())
            }
        };
        for connection in connections {
            let decision = &connection.decision;
            if decision.dataplane == traced.dataplane && decision.dialled == traced.dialled {
                sender.send(Heard::Connection(Box::new(connection))).await?;
            }
        }
    }
}
