//! What is wrong with objects, told in the cluster: an event for each, where `kubectl describe` shows it.
//!
//! Many nodes have the same to say of a policy. An event is named by what it says, so that the first one writes it and
//! the others find it written.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use super::{access::Server, failure::Failure};

/// An object of which something is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Regarding {
    /// As in `apiVersion`.
    pub api_version: &'static str,
    /// As in `kind`.
    pub kind: &'static str,
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which of those that ever had the name.
    pub uid: String,
}

/// Something that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// With which.
    pub regarding: Regarding,
    /// In one word.
    pub reason: &'static str,
    /// In a sentence.
    pub note: String,
}

/// Kubernetes takes no longer notes, in bytes.
const LONGEST: usize = 1024;

/// The same is not told again before: events go after an hour.
const AGAIN: Duration = Duration::from_mins(30);

/// So many are written at once, and then one after the other so far apart.
const BURST: usize = 10;
const APART: Duration = Duration::from_secs(5);

/// So many are remembered as told.
const REMEMBERED: usize = 4096;

/// What was told, and when. Pure.
#[derive(Debug, Default)]
struct Told {
    complaints: BTreeMap<(Regarding, &'static str), (String, Instant)>,
    /// How many were written of late, and since when that is counted.
    spent: f64,
    counted: Option<Instant>,
}

impl Told {
    /// The next that is to be told now.
    fn next<'c>(&mut self, complaints: &'c [Complaint], now: Instant) -> Option<&'c Complaint> {
        let elapsed = self.counted.map_or(Duration::ZERO, |counted| now - counted);
        self.counted = Some(now);
        self.spent = (self.spent - elapsed.as_secs_f64() / APART.as_secs_f64()).max(0.0);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        if self.spent + 1.0 > BURST as f64 {
            return None;
        }
        if self.complaints.len() >= REMEMBERED {
            self.complaints.retain(|_, (_, at)| now - *at < AGAIN);
        }
        let is_due = |complaint: &&Complaint| {
            let told = self.complaints.get(&(complaint.regarding.clone(), complaint.reason));
            told.is_none_or(|(note, at)| *note != complaint.note || now - *at >= AGAIN)
        };
        let due = complaints.iter().find(is_due).filter(|_| self.complaints.len() < REMEMBERED)?;
        self.spent += 1.0;
        self.complaints.insert((due.regarding.clone(), due.reason), (due.note.clone(), now));
        Some(due)
    }
}

/// Writes events for what is wrong, as long as anybody may tell it.
pub(super) async fn write(
    server: Arc<Server>,
    node: String,
    mut of_policies: watch::Receiver<Vec<Complaint>>,
    mut of_pods: watch::Receiver<Vec<Complaint>>,
) {
    let mut told = Told::default();
    let mut failing = false;
    loop {
        let complaints = [&of_policies.borrow_and_update()[..], &of_pods.borrow_and_update()[..]].concat();
        while let Some(complaint) = told.next(&complaints, Instant::now()) {
            match server.post(&path(complaint), &event(complaint, &node)).await {
                // Another node has said so.
                Ok(_) | Err(Failure::Status(409, _)) => {
                    if std::mem::take(&mut failing) {
                        info!("events are written in the cluster again");
                    }
                }
                Err(failure) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!("events cannot be written in the cluster: {failure}");
                    }
                }
            }
        }
        let any = async {
            tokio::select! {
                changed = of_policies.changed() => changed.is_ok(),
                changed = of_pods.changed() => changed.is_ok(),
            }
        };
        tokio::select! {
            goes_on = any => if !goes_on { return },
            () = sleep(APART) => {}
        }
    }
}

fn path(complaint: &Complaint) -> String {
    format!("/apis/events.k8s.io/v1/namespaces/{}/events", complaint.regarding.namespace)
}

fn event(Complaint { regarding, reason, note }: &Complaint, node: &str) -> Value {
    let Regarding { api_version, kind, namespace, name, uid } = regarding;
    let mut hasher = DefaultHasher::new();
    // Told again later it is another event.
    let period = Timestamp::now().as_second() / i64::try_from(AGAIN.as_secs()).unwrap_or(i64::MAX);
    (uid, reason, note, period).hash(&mut hasher);
    let end = note.floor_char_boundary(LONGEST);
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": { "name": format!("{name}.{:016x}", hasher.finish()), "namespace": namespace },
        "eventTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        "type": "Warning",
        "reason": reason,
        "action": "Route",
        "note": &note[..end],
        "reportingController": "tcproute",
        "reportingInstance": node,
        "regarding": {
            "apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": uid,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(name: &str, note: &str) -> Complaint {
        let regarding = Regarding {
            api_version: "v1",
            kind: "Pod",
            namespace: "n".to_owned(),
            name: name.to_owned(),
            uid: name.to_owned(),
        };
        Complaint { regarding, reason: "NotCovered", note: note.to_owned() }
    }

    fn all(told: &mut Told, complaints: &[Complaint], now: Instant) -> usize {
        std::iter::from_fn(|| told.next(complaints, now)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_is_told_once_for_a_while() {
        let (mut told, start) = (Told::default(), Instant::now());
        let complaints = [complaint("a", "x"), complaint("b", "x")];
        assert_eq!(all(&mut told, &complaints, start), 2);
        assert_eq!(all(&mut told, &complaints, start + AGAIN / 2), 0);
        let changed = [complaint("a", "y"), complaint("b", "x")];
        assert_eq!(all(&mut told, &changed, start + AGAIN / 2), 1);
        assert_eq!(all(&mut told, &changed, start + AGAIN), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_told_one_after_the_other() {
        let (mut told, start) = (Told::default(), Instant::now());
        let many: Vec<Complaint> = (0..40).map(|number| complaint(&number.to_string(), "x")).collect();
        assert_eq!(all(&mut told, &many, start), BURST);
        assert_eq!(all(&mut told, &many, start + APART * 3), 3);
        assert_eq!(all(&mut told, &many, start + APART * 100), BURST);
    }

    #[test]
    fn an_event_is_what_the_api_server_takes() {
        let told = event(&complaint("a", &"ä".repeat(LONGEST)), "node-1");
        assert!(told["note"].as_str().unwrap().len() <= LONGEST);
        assert_eq!(told["eventTime"].as_str().unwrap().len(), "2026-01-01T00:00:00.000000Z".len());
        assert_eq!(
            told["metadata"]["name"],
            event(&complaint("a", &"ä".repeat(LONGEST)), "node-2")["metadata"]["name"]
        );
    }
}
