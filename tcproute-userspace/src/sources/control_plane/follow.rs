//! Reads the lists of a control plane again and again, and tells what has changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use tokio::{
    sync::watch as channel,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    super::{
        backoff::Backoff,
        documents::{Rules, Strictness},
        last_good::{Keeper, LastGood},
        snapshot::{Kept, LastAnswer, Latest, Snapshot},
    },
    Meshes, Options,
    access::Server,
    failure::Failure,
    index::{About, Config, Index, Version, Zones},
    kinds,
    list_name::ListName,
    pace,
    pages::{self, Whole},
    store::Store,
    told::{Known, MOST},
};
use crate::{policy::Compat, resources::MeshName};

/// Bytes of a page at most: a Dataplane has some 400, and some have very many outbounds.
const PAGE: usize = 64 << 20;

/// Bytes of any other answer at most.
const SHORT: usize = 1 << 20;

/// So often a list is read at once that changes while it is read.
const TEARS: usize = 4;

/// The kind that is gone in 3.0.
const CLASSIC: &str = "external-services";

/// So often it is asked what it is beside its version.
const ABOUT: Duration = Duration::from_mins(10);

/// Lists that are due so soon are read together.
const TOGETHER: Duration = Duration::from_millis(50);

pub(super) struct Follower {
    options: Options,
    server: Server,
    store: Store,
    keeper: Keeper,
    about: Option<About>,
    /// When it was asked last what only few may know.
    asked_about: Instant,
    /// Why nothing can be asked for at present, and since when.
    failing: Option<(String, SystemTime)>,
    backoff: Backoff,
    /// When each list is to be read again.
    due: BTreeMap<ListName, Instant>,
    /// When something has changed there.
    changed: Instant,
    answered: LastAnswer,
}

impl Follower {
    pub(super) fn new(options: Options, LastGood { records, keeper }: LastGood) -> Self {
        let rules = Rules { as_json: keeper.keeps(), ..Strictness::Lenient.into() };
        let mut store = Store::new(options.access.url().clone(), rules);
        store.begin_with(records, |list| match (&options.meshes, list) {
            (Meshes::All, ListName::Mesh(_)) | (Meshes::Named(_), ListName::Meshes) => false,
            (Meshes::All, _) => true,
            (Meshes::Named(meshes), ListName::Mesh(mesh) | ListName::Of(mesh, _)) => meshes.contains(mesh),
        });
        Self {
            server: Server::new(options.access.clone()),
            options,
            store,
            keeper,
            about: None,
            asked_about: Instant::now(),
            failing: None,
            backoff: Backoff::default(),
            due: BTreeMap::new(),
            changed: Instant::now(),
            answered: LastAnswer::default(),
        }
    }

    /// Until nobody listens.
    pub(super) async fn serve(mut self, told: channel::Sender<Latest>) {
        self.tell(&told, Instant::now());
        loop {
            let begun = Instant::now();
            let next = tokio::select! {
                next = self.poll() => next,
                () = told.closed() => return,
            };
            self.tell(&told, begun);
            loop {
                tokio::select! {
                    () = sleep_until(next) => break,
                    keeping = self.keeper.changed() => {
                        told.send_modify(|latest| latest.kept.keeping = Some(keeping));
                    }
                    () = told.closed() => return,
                }
            }
        }
    }

    /// Reads all that is due. When to do so again.
    async fn poll(&mut self) -> Instant {
        // One for all lists, so that they are read together.
        let random = fastrand::f64();
        let Failed { asked, failure } = match self.read_all(random).await {
            Ok(next) => {
                if self.failing.take().is_some() {
                    info!("{} answers again", self.options.access.url());
                }
                self.backoff.reset();
                return next;
            }
            Err(failed) => failed,
        };
        let why = format!("{asked}: {failure}");
        let before = self.failing.take();
        if self.options.logs && before.as_ref().is_none_or(|(before, _)| *before != why) {
            warn!("{why}; what was known stays");
        }
        self.failing = Some((why, before.map_or_else(SystemTime::now, |(_, since)| since)));
        let wait = match failure.retry_after() {
            Some(after) => self.backoff.after(after, random),
            None => self.backoff.next(random),
        };
        Instant::now() + wait.max(pace::wait(self.options.interval, 0, Duration::ZERO, random))
    }

    /// Fails only if nothing can be asked for.
    async fn read_all(&mut self, random: f64) -> Result<Instant, Failed> {
        let begun = Instant::now();
        self.greet().await?;
        self.answered.set();
        // Each time: of a mesh that is gone the lists are empty in 2.4, and that is not to count.
        let meshes = self.meshes();
        for list in &meshes {
            self.take(list, random).await?;
        }
        let lists: Vec<ListName> = self.lists().collect();
        for list in &lists {
            let is_due = self.due.get(list).is_none_or(|due| *due <= begun + TOGETHER);
            if is_due && self.is_there(list) {
                let wait = self.take(list, random).await?;
                self.due.insert(list.clone(), begun + wait);
            }
        }
        let wanted: BTreeSet<&ListName> = meshes.iter().chain(&lists).collect();
        let gone = self.store.lists.keys().filter(|list| !wanted.contains(list));
        for list in gone.cloned().collect::<Vec<_>>() {
            self.store.dismiss(&list);
            self.due.remove(&list);
        }
        // Lists that are not there at present are due for long.
        let soonest = begun + pace::wait(self.options.interval, 0, Duration::ZERO, random);
        Ok(self.due.values().min().map_or(soonest, |next| soonest.max(*next)))
    }

    /// Finds out who answers.
    async fn greet(&mut self) -> Result<(), Failed> {
        let index = async {
            self.server.renew_token()?;
            let answer = self.server.get("/", SHORT).await?;
            serde_json::from_slice::<Index>(&answer).map_err(|error| {
                Failure::Garbage(format!("it does not say which version of Kuma it is: {error}"))
            })
        };
        let asked = || format!("{}/", self.options.access.url());
        let index = index.await.map_err(|failure| Failed { asked: asked(), failure })?;
        let is_known = self.about.as_ref().is_some_and(|about| about.index == index);
        if is_known && self.asked_about.elapsed() < ABOUT {
            return Ok(());
        }
        self.asked_about = Instant::now();
        // Not everybody may know, and it is good to know only.
        let config = self.server.get("/config", SHORT).await.ok();
        let config: Option<Config> = config.and_then(|answer| serde_json::from_slice(&answer).ok());
        let zones = self.server.get("/zones?size=1", SHORT).await.ok();
        let zones: Option<Zones> = zones.and_then(|answer| serde_json::from_slice(&answer).ok());
        let about = About::of(index, config, zones);
        if self.about.as_ref() == Some(&about) {
            return Ok(());
        }
        info!("the control plane at {} is {about}", self.options.access.url());
        self.store.keep_index(&about.index);
        self.about = Some(about);
        // Each list may be another one there.
        self.due.clear();
        // What was said on the command line stands.
        if let (Some(given), Some(found)) = (self.options.compat, self.compat())
            && given != found
        {
            warn!("the control plane goes by the rules of {found}, and --compat says {given}: that stands");
        }
        Ok(())
    }

    /// Whose rules it goes by: a version that is not known is between releases, and so a late one.
    fn compat(&self) -> Option<Compat> {
        if let Some(version) = self.version() {
            return Some(version.compat());
        }
        let is_classic = |list: &ListName| matches!(list, ListName::Of(_, kind) if kind.path == CLASSIC);
        let (_, classic) = self.store.lists.iter().find(|(list, known)| is_classic(list) && known.is_read)?;
        Some(if classic.is_absent { Compat::V3 } else { Compat::Latest })
    }

    fn version(&self) -> Option<Version> {
        let index = self.about.as_ref().map(|about| &about.index).or(self.store.kept_index.as_ref());
        index.and_then(Index::version)
    }

    /// Where it is told which meshes there are.
    fn meshes(&self) -> Vec<ListName> {
        match &self.options.meshes {
            Meshes::All => vec![ListName::Meshes],
            Meshes::Named(meshes) => meshes.iter().cloned().map(ListName::Mesh).collect(),
        }
    }

    /// The lists of all meshes that are known.
    fn lists(&self) -> impl Iterator<Item = ListName> {
        let version = self.version();
        let of_mesh = move |mesh: &MeshName| {
            let mesh = mesh.clone();
            kinds::ALL
                .iter()
                .filter(move |kind| kind.is_in(version))
                .map(move |kind| ListName::Of(mesh.clone(), kind))
        };
        self.store.meshes().flat_map(of_mesh)
    }

    /// Whether it is certain that the list is of a mesh that is there.
    fn is_there(&self, list: &ListName) -> bool {
        let of_mesh = match (&self.options.meshes, list.mesh()) {
            (Meshes::Named(_), Some(mesh)) => ListName::Mesh(mesh.clone()),
            _ => ListName::Meshes,
        };
        self.store.lists.get(&of_mesh).is_some_and(|list| list.is_read && list.failing.is_none())
    }

    /// Reads a list. How long to wait before it is read again. Fails only if nothing else can be asked for either.
    async fn take(&mut self, list: &ListName, random: f64) -> Result<Duration, Failed> {
        let now = SystemTime::now();
        let read = self.read(list, now).await;
        // Where something else is answered, it is this list alone that is not.
        let is_of_all = match &read {
            Err(Failure::TooMany(_) | Failure::Unauthorized(_)) => true,
            Err(failure) if failure.may_be_of_all() => self.server.get("/", SHORT).await.is_err(),
            _ => false,
        };
        let is_known = self.version().is_some();
        let known = self.store.list(list);
        let failure = match read {
            Ok(is_new) => {
                known.failing = None;
                known.is_absent = false;
                known.backoff.reset();
                if is_new {
                    self.changed = Instant::now();
                }
                let quiet = self.changed.elapsed();
                return Ok(pace::wait(self.options.interval, known.bytes, quiet, random));
            }
            Err(Failure::UnknownPath) if !is_known && (known.is_absent || !known.is_read) => {
                known.is_absent = true;
                known.is_read = true;
                return Ok(pace::wait(self.options.interval, 0, Duration::ZERO, random));
            }
            Err(failure) => failure,
        };
        let asked = format!("{}{list}", self.options.access.url());
        if is_of_all {
            return Err(Failed { asked, failure });
        }
        let why = format!("{asked}: {failure}");
        if known.fail(why.clone(), now) && self.options.logs {
            warn!("{why}; what was known stays");
        }
        let wait = known.backoff.next(random);
        Ok(pace::wait(self.options.interval, 0, Duration::ZERO, random).max(wait))
    }

    /// Whether it is other than before.
    async fn read(&mut self, list: &ListName, now: SystemTime) -> Result<bool, Failure> {
        let mut torn = 0;
        loop {
            let read = match self.read_once(list).await {
                Ok(whole) => self.store.take(list, whole, now),
                Err(failure) => Err(failure),
            };
            match read {
                Err(Failure::Torn(_)) if torn < TEARS => torn += 1,
                Err(Failure::NotFound(_)) if matches!(list, ListName::Mesh(_)) => {
                    return Err(Failure::NoMesh(self.names_of_meshes().await));
                }
                read => return read,
            }
        }
    }

    /// Some of the meshes that are there, for who has mistyped one.
    async fn names_of_meshes(&mut self) -> String {
        let Ok(answer) = self.server.get("/meshes?size=10", SHORT).await else { return String::new() };
        let Ok(Names { items }) = serde_json::from_slice(&answer) else { return String::new() };
        items.into_iter().map(|name| name.name).collect::<Vec<_>>().join(", ")
    }

    async fn read_once(&mut self, list: &ListName) -> Result<Whole, Failure> {
        let Self { server, store, .. } = self;
        let others = store.bytes() - store.list(list).bytes;
        let room = MOST.saturating_sub(others);
        let known = &store.list(list).known;
        let mut pages = known.read();
        if let ListName::Mesh(_) = list {
            pages.take(pages::only(&server.get(&list.to_string(), SHORT).await?))?;
            return Ok(pages.whole());
        }
        while let Some(query) = pages.query() {
            let most = PAGE.min(room.saturating_sub(pages.bytes()));
            pages.take(server.get(&format!("{list}{query}"), most).await?)?;
        }
        Ok(pages.whole())
    }

    /// Tells what is known, if it is other than what was told last.
    fn tell(&mut self, told: &channel::Sender<Latest>, since: Instant) {
        self.keeper.keep(self.store.take_changes());
        let kept = Kept { stale: self.store.stale(), keeping: Some(self.keeper.keeping()) };
        let is_new = self.store.objects.take_changed();
        let new = self.snapshot();
        told.send_if_modified(|latest| {
            let before = &latest.snapshot;
            let is_as_before = (&before.health, &before.server, before.compat, before.bytes)
                == (&new.health, &new.server, new.compat, new.bytes);
            if !is_new && is_as_before && latest.kept == kept {
                return false;
            }
            let answered = self.answered.clone();
            *latest = Latest { since, snapshot: Arc::new(new), kept, answered };
            true
        });
    }

    fn snapshot(&self) -> Snapshot {
        let known = Known {
            url: self.options.access.url(),
            about: self.about.as_ref(),
            compat: self.compat(),
            failing: self.failing.as_ref(),
            store: &self.store,
        };
        known.snapshot(self.meshes().into_iter().chain(self.lists()))
    }
}

/// What cannot be asked for, as whatever else.
struct Failed {
    /// What was asked.
    asked: String,
    failure: Failure,
}

#[derive(Deserialize)]
struct Names {
    items: Vec<Name>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}
