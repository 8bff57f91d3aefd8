//! The addresses behind DNS names, as this host's resolver gives them.
//!
//! Nobody waits for an answer: a name that is new has no address until there is one, and a name that was known keeps
//! its last addresses for as long as it is not answered.

mod kept;
mod schedule;
mod share;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    last_good::{Keeper, LastGood},
    name::SourceName,
};
use crate::routing::{ADDRESSES_OF_A_NAME, DnsAnswers};
use schedule::Schedule;
use turns::{AtATime, Turns};

pub use share::{Names, Owner, SHARE, Shares};

/// What is kept of answers in the state directory.
pub const NAME: SourceName = "dns";

/// How long one name may take. The resolver's own limit can be half a minute.
const PATIENCE: Duration = Duration::from_secs(5);

/// So long a start waits for the first answers: what an earlier daemon has left in force is not to lose its addresses.
pub const FIRST_ANSWERS: Duration = Duration::from_secs(2);

/// So many names are looked up at a time,
const AT_A_TIME: AtATime = AtATime { all: 48, each: 16 };
/// and so many more of those that were not answered last time: they take long, and must not keep others waiting.
const FAILING_AT_A_TIME: AtATime = AtATime { all: 16, each: 6 };

/// Answers that come one soon after the other are told together.
const TOGETHER: Duration = Duration::from_millis(5);

/// What is known of the names that are wanted.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Their last addresses; one without any is not in it.
    pub addresses: Arc<DnsAnswers>,
    /// Those of which that is known: they were answered or refused, or an earlier daemon has kept their addresses.
    pub known: Arc<BTreeSet<String>>,
    /// How many were neither answered nor refused yet.
    pub pending: usize,
    /// How many names there are.
    pub shares: Shares,
}

/// Looks names up, again and again, until this is dropped.
#[derive(Debug)]
pub struct Dns {
    names: watch::Sender<Names>,
    answers: watch::Receiver<Answers>,
    _task: JoinSet<()>,
}

impl Dns {
    /// Looks these names up at once, and then at this interval. Until they are answered their addresses are those that
    /// an earlier daemon has kept. To be called inside of the runtime.
    pub fn start(names: Names, every: Duration, last_good: Option<LastGood>) -> Self {
        Self::with(names, every, last_good, ask_resolver)
    }

    fn with<R: Resolver>(names: Names, every: Duration, last_good: Option<LastGood>, resolver: R) -> Self {
        let (records, keeper) = match last_good {
            Some(LastGood { records, keeper }) => (records, Some(keeper)),
            None => (Vec::new(), None),
        };
        let kept = kept::addresses(&records);
        let mut schedule = Schedule::new(every, kept.clone());
        schedule.want(&names, Instant::now());
        let (told, answers) = watch::channel(schedule.answers());
        let (sender, wanted) = watch::channel(names);
        let (freed_sender, freed) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        let look_ups = LookUps {
            resolver: Arc::new(resolver),
            schedule,
            turns: Turns::new(AT_A_TIME),
            failing: Turns::new(FAILING_AT_A_TIME),
            freed: freed_sender,
            running: JoinSet::new(),
            keeper,
            kept: Arc::new(kept),
        };
        task.spawn(look_ups.serve(wanted, told, freed));
        Self { names: sender, answers, _task: task }
    }

    /// Where the names are told that are wanted from now on.
    pub fn names(&self) -> watch::Sender<Names> {
        self.names.clone()
    }

    /// The answers; the newest wins.
    pub fn answers(&self) -> watch::Receiver<Answers> {
        self.answers.clone()
    }

    /// The answers when each name was asked for once, or what there is of them after this time.
    pub async fn first(&self, patience: Duration) -> Answers {
        let mut answers = self.answers.clone();
        // Either way it is the last answers that count.
        let _ = timeout(patience, answers.wait_for(|answers| answers.pending == 0)).await;
        self.answers.borrow().clone()
    }
}

/// Looks all names up once.
pub async fn look_up(names: BTreeSet<String>) -> DnsAnswers {
    // Nobody waits so long for a second one.
    const NEVER: Duration = Duration::from_hours(24);
    // Each has a share of its own: nobody else waits.
    let names: BTreeMap<Owner, BTreeSet<String>> =
        names.into_iter().map(|name| (name.as_str().into(), [name].into())).collect();
    let answers = Dns::start(Arc::new(names), NEVER, None).first(2 * PATIENCE).await;
    Arc::unwrap_or_clone(answers.addresses)
}

/// What answers for a name, blocking for as long as it takes.
trait Resolver: Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static {}

impl<F: Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static> Resolver for F {}

fn ask_resolver(name: &str) -> io::Result<Vec<IpAddr>> {
    // The port is of no interest, but the interface wants one.
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// What came of looking up a name.
type Found = io::Result<Vec<IpAddr>>;

struct LookUps<R> {
    resolver: Arc<R>,
    schedule: Schedule,
    turns: Turns,
    /// Of those that were not answered last time.
    failing: Turns,
    freed: mpsc::UnboundedSender<Taken>,
    running: JoinSet<(String, Found)>,
    keeper: Option<Keeper>,
    /// What is kept for the next start.
    kept: Arc<DnsAnswers>,
}

/// A turn that is taken.
#[derive(Debug)]
struct Taken {
    owner: Owner,
    is_failing: bool,
}

/// Gives the turn back when it is dropped.
struct Turn {
    taken: Option<Taken>,
    freed: mpsc::UnboundedSender<Taken>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            // Nobody wants it any more when there are no more look-ups.
            let _ = self.freed.send(taken);
        }
    }
}

impl<R: Resolver> LookUps<R> {
    /// Until nobody can tell names any more.
    async fn serve(
        mut self,
        mut wanted: watch::Receiver<Names>,
        told: watch::Sender<Answers>,
        mut freed: mpsc::UnboundedReceiver<Taken>,
    ) {
        let mut tell_at = None;
        loop {
            self.start_due();
            let due = self.schedule.next_due();
            // A branch that is off is given any time.
            let (at, tell) = (due.unwrap_or_else(Instant::now), tell_at.unwrap_or_else(Instant::now));
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let names = Names::clone(&wanted.borrow_and_update());
                    self.schedule.want(&names, Instant::now());
                }
                Some(Ok((name, found))) = self.running.join_next() => {
                    self.schedule.take(&name, found, Instant::now());
                }
                Some(Taken { owner, is_failing }) = freed.recv() => self.turns(is_failing).done(&owner),
                () = sleep_until(at), if due.is_some() => {}
                () = sleep_until(tell), if tell_at.is_some() => {
                    tell_at = None;
                    let answers = self.schedule.answers();
                    self.keep(&answers.addresses);
                    told.send_replace(answers);
                }
            }
            if self.schedule.has_news() {
                tell_at.get_or_insert_with(|| Instant::now() + TOGETHER);
            }
        }
    }

    fn keep(&mut self, answers: &Arc<DnsAnswers>) {
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(kept::changes(&self.kept, answers));
            self.kept = Arc::clone(answers);
        }
    }

    const fn turns(&mut self, is_failing: bool) -> &mut Turns {
        if is_failing { &mut self.failing } else { &mut self.turns }
    }

    /// Starts as many look-ups as there is room for.
    fn start_due(&mut self) {
        for (owner, name, is_failing) in self.schedule.due(Instant::now()) {
            self.turns(is_failing).push(&owner, &name);
        }
        for is_failing in [false, true] {
            let turns = if is_failing { &mut self.failing } else { &mut self.turns };
            while let Some((owner, name)) = turns.next(|name| self.schedule.is_waiting(name)) {
                self.schedule.begin(&name);
                let turn = Turn { taken: Some(Taken { owner, is_failing }), freed: self.freed.clone() };
                let resolver = Arc::clone(&self.resolver);
                self.running.spawn(async move { (name.clone(), look_up_one(resolver, name, turn).await) });
            }
        }
    }
}

/// The turn is taken until the resolver is done, also when nobody waits for it any more. It has a thread of its own:
/// one of the runtime would be waited for when the program ends.
async fn look_up_one<R: Resolver>(resolver: Arc<R>, name: String, turn: Turn) -> Found {
    let (sender, answer) = oneshot::channel();
    thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let found = resolver(&name);
        drop(turn);
        // Whoever asked may have lost patience.
        let _ = sender.send(found);
    })?;
    let found = timeout(PATIENCE, answer).await.map_err(io::Error::from)?.map_err(io::Error::other)??;
    if found.is_empty() {
        return Err(io::Error::other("the answer holds no address"));
    }
    // Sorted and without repeats: resolvers rotate their answers, and that is no change.
    Ok(found.into_iter().collect::<BTreeSet<IpAddr>>().into_iter().take(ADDRESSES_OF_A_NAME).collect())
}

#[cfg(test)]
mod tests;
