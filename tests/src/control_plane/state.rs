//! What all connections of a server share.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    answer::{Answer, Content, answer},
    fault::Fault,
    options::Options,
    request::Request,
    resource,
    store::Store,
};

/// How long a list stays as it was answered.
const CACHED: Duration = Duration::from_secs(1);

pub(super) struct State {
    pub(super) options: Options,
    pub(super) store: Store,
    pub(super) faults: Vec<Injected>,
    pub(super) requests: Vec<Request>,
    pub(super) connections: usize,
    cache: HashMap<String, (Instant, Answer)>,
}

/// A fault that is set for some requests.
pub(super) struct Injected {
    pub(super) part: String,
    pub(super) fault: Fault,
    /// For how many requests more, if not for all.
    pub(super) left: Option<usize>,
}

impl State {
    pub(super) fn new(options: Options) -> Self {
        let mut state = Self {
            options,
            store: Store::default(),
            faults: Vec::new(),
            requests: Vec::new(),
            connections: 0,
            cache: HashMap::new(),
        };
        state.begin();
        state
    }

    /// Holds nothing but what a control plane makes when it has never run before.
    pub(super) fn begin(&mut self) {
        self.store = Store::default();
        self.cache.clear();
        self.put(&json!({"type": "Mesh", "name": "default"}));
        for name in self.options.zone_names() {
            self.put(&json!({"type": "Zone", "name": name}));
        }
    }

    /// Puts a resource there, which must be one that this release has.
    pub(super) fn put(&mut self, document: &Value) {
        let (path, document) = resource::place(self.options.version, document);
        let answer = self.write("PUT", &path, &document.to_string());
        assert!(answer.status < 300, "PUT {path}: {answer:?}");
    }

    /// Whatever is answered to a change by the one who runs the server. Faults have no part in it.
    pub(super) fn write(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let authorization = self.options.token.as_ref().map(|token| format!("Bearer {token}"));
        let request =
            Request { method: method.into(), path: path.into(), authorization, ..Request::default() };
        answer(&mut self.store, &self.options, &request, body.as_bytes())
    }

    /// What a client is answered, and what goes wrong with it if anything does.
    pub(super) fn react(&mut self, request: Request, body: &[u8]) -> (Answer, Option<Fault>) {
        let fault = self.take_fault(&request);
        if let Some(fault) = &fault {
            fault.prepare(&mut self.store, self.options.version, &request);
        }
        let mut answer = self.answer(&request, body);
        self.requests.push(request);
        if let (Some(fault), Content::List(list)) = (&fault, &mut answer.content) {
            fault.change(list);
        }
        (answer, fault)
    }

    fn answer(&mut self, request: &Request, body: &[u8]) -> Answer {
        if !self.options.caches {
            return answer(&mut self.store, &self.options, request, body);
        }
        self.cache.retain(|_, (since, _)| since.elapsed() < CACHED);
        // Whether it is admitted is not known to a real cache, which is behind that.
        let key = format!("{} {} {:?}", request.host, request.path, request.authorization);
        if let Some((_, answer)) = self.cache.get(&key).filter(|_| request.method == "GET") {
            return answer.clone();
        }
        let answer = answer(&mut self.store, &self.options, request, body);
        if matches!(answer.content, Content::List(_)) {
            self.cache.insert(key, (Instant::now(), answer.clone()));
        }
        answer
    }

    /// The last one that fits. It counts only where it makes a difference.
    fn take_fault(&mut self, request: &Request) -> Option<Fault> {
        let fits = |it: &Injected| it.left != Some(0) && request.path.contains(&it.part);
        if request.method != "GET" || !self.faults.iter().any(fits) {
            return None;
        }
        let answer = answer(&mut self.store, &self.options, request, &[]);
        let list = match &answer.content {
            Content::List(list) => Some(&**list),
            Content::Text(_) => None,
        };
        let injected =
            self.faults.iter_mut().rev().find(|it| fits(it) && it.fault.concerns(request, list))?;
        injected.left = injected.left.map(|left| left - 1);
        Some(injected.fault.clone())
    }
}
