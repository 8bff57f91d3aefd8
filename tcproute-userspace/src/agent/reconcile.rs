//! The reconcile loop: what has changed outside is put in force, and whatever goes wrong leaves what was in
//! force before.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use aya_log::EbpfLogger;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{error, info};

use super::{
    Agent, Failure, Named, Outcome, Reconcile, cgroups, drain, eject,
    follow::{self, News},
    state::Question,
};
use crate::sources::{
    SourceState, Sources,
    dns::Dns,
    snapshot::{Health, Snapshot},
};

/// How often the log of the programs is read, while it is on.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

/// How often to try again while the kernel does not hold what was resolved: space in the maps comes back.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often events are read, while somebody listens: their buffer holds 10,000.
const TRACE_INTERVAL: Duration = Duration::from_millis(20);

/// What is followed beside DNS.
pub struct Follow {
    /// Where the resources come from.
    pub sources: Sources,
    /// Cgroups that may come and go.
    pub cgroups: Vec<Named>,
}

impl Agent<'_> {
    /// Keeps the kernel in step with DNS, and with sources and cgroups if they are followed, until `until` is done, and answers with
    /// what that gave.
    pub async fn serve_until<T>(
        &mut self,
        follow: Option<Follow>,
        dns: &Dns,
        until: impl Future<Output = T>,
    ) -> Result<T> {
        let mut log = if self.resolved.settings.log_decisions {
            let logger = EbpfLogger::init(self.datapath.ebpf()).context("cannot read the programs' log")?;
            Some(logger)
        } else {
            None
        };
        let mut log_ticks = interval(LOG_INTERVAL);
        let mut retry_ticks = interval(RETRY_INTERVAL);
        retry_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trace_ticks = interval(TRACE_INTERVAL);
        trace_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut eject_ticks = interval(eject::INTERVAL);
        eject_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (news_sender, mut news) = mpsc::channel(1);
        // They end with this function.
        let mut followers = JoinSet::new();
        if let Some(Follow { sources, cgroups: named }) = follow {
            self.named.clone_from(&named);
            followers.spawn(cgroups::follow(named, news_sender.clone()));
            self.note_sources(sources.snapshot(), sources.states());
            followers.spawn(follow::resources(sources, dns.names(), news_sender.clone()));
        }
        followers.spawn(follow::addresses(dns.answers(), news_sender));
        self.say_what_is_missing();
        self.publish();
        tokio::pin!(until);
        loop {
            tokio::select! {
                done = &mut until => return Ok(done),
                Some(news) = news.recv() => self.take(news),
                Some(question) = self.desk.questions.recv() => {
                    self.answer(question);
                }
                _ = retry_ticks.tick(), if self.has_more_to_do() => {
                    self.reclaim();
                    if !self.in_step {
                        self.bring_in_step(Instant::now(), "the failure");
                    }
                    self.settle(Instant::now());
                    self.publish();
                }
                _ = log_ticks.tick(), if log.is_some() => log.iter_mut().for_each(EbpfLogger::flush),
                _ = eject_ticks.tick(), if self.ejecting.is_some() => self.look_after_endpoints(),
                _ = trace_ticks.tick(), if self.tracing.is_some() => self.serve_listeners(),
                step = drain::step(&mut self.draining) => self.drain(step),
                Some(ended) = followers.join_next() => {
                    let why = ended.err().map_or_else(|| "they were given up".to_owned(), |error| error.to_string());
                    let what = "changes of files or addresses are not followed any more, start tcproute anew";
                    self.refuse(vec![format!("{what}: {why}")], Instant::now());
                }
            }
        }
    }

    /// Whoever asked may have gone.
    fn answer(&mut self, question: Question) {
        match question {
            Question::Counters(answer) => drop(answer.send(self.datapath.counters())),
            Question::Outcomes(answer) => drop(answer.send(self.outcomes())),
            Question::Trace(answer) => drop(answer.send(self.listen())),
        }
    }

    fn has_more_to_do(&self) -> bool {
        !self.in_step || !self.state.unattached.is_empty() || !self.retired.is_empty() || self.has_departed
    }

    fn take(&mut self, news: News) {
        match news {
            News::Resources { since, snapshot, sources } => {
                self.note_sources(&snapshot, sources);
                match self.resolved.take_resources(snapshot.resources.clone()) {
                    Ok(touched) => {
                        if self.state.source_error.take().is_some() {
                            info!("all Dataplanes are there again");
                        }
                        self.follow_up(touched, since, "the resources");
                    }
                    Err(error) => self.refuse(vec![error.to_string()], since),
                }
            }
            News::Addresses { since, dns } => match self.resolved.take_answers(dns) {
                Ok(touched) => self.follow_up(touched, since, "the addresses of external services"),
                Err(error) => error!("the routes before stay in force: {error}"),
            },
            News::Cgroups { since, found } => self.take_cgroups(found, since),
        }
    }

    /// Takes how the sources are.
    fn note_sources(&mut self, snapshot: &Snapshot, sources: Vec<SourceState>) {
        self.state.rejected = snapshot.rejected.clone();
        self.state.sources = sources;
        self.state.blind = match &snapshot.health {
            Health::Late { why } => Some(why.clone()),
            Health::Well | Health::Failing { .. } => None,
        };
    }

    /// Keeps the last good state.
    fn refuse(&mut self, violations: Vec<String>, since: Instant) {
        if self.state.source_error.as_ref().is_none_or(|before| before.violations != violations) {
            error!("the routes before stay in force: {}", violations.join("\n"));
            self.state.source_error = Some(failure(violations));
        }
        self.done(Outcome::Failed, since);
    }

    fn follow_up(&mut self, touched: bool, since: Instant, what: &str) {
        if touched || !self.in_step {
            self.bring_in_step(since, what);
        } else {
            self.done(Outcome::Unchanged, since);
        }
    }

    pub(super) fn bring_in_step(&mut self, since: Instant, what: &str) {
        let table = self.table();
        let outcome = match self.put_in_force(&table) {
            Ok(changed) => {
                self.in_step = true;
                self.state.kernel_error = None;
                self.show_routes();
                if changed > 0 {
                    let ms = since.elapsed().as_secs_f64() * 1000.0;
                    info!("new routes in force: {changed} changed, {ms:.1} ms after {what}");
                }
                self.warn();
                self.name_events();
                if changed > 0 { Outcome::Applied } else { Outcome::Unchanged }
            }
            Err(error) => {
                self.in_step = false;
                let violations = vec![format!("{error:#}")];
                if self.state.kernel_error.as_ref().is_none_or(|before| before.violations != violations) {
                    error!("the routes before stay in force: {error:#}");
                    self.state.kernel_error = Some(failure(violations));
                }
                Outcome::Failed
            }
        };
        self.done(outcome, since);
    }

    pub(super) fn done(&mut self, outcome: Outcome, since: Instant) {
        let duration = since.elapsed();
        self.desk.reconciles.count(outcome, duration);
        self.state.last = Some(Reconcile { at: SystemTime::now(), duration, outcome });
        self.publish();
    }

    pub(super) fn publish(&mut self) {
        self.state.listeners = self.listeners();
        self.show_ejected();
        self.state.ready = self.in_step;
        self.state.drain = self.drain_state();
        self.state.maps = Some((self.layout.taken(), self.layout.limits()));
        self.desk.state.send_replace(Arc::new(self.state.clone()));
    }
}

fn failure(violations: Vec<String>) -> Failure {
    Failure { since: SystemTime::now(), violations }
}
