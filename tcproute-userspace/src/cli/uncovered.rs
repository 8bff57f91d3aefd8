//! Tells in the cluster which pods of the node are not attached, though they run.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, interval},
};

use crate::{
    agent::{Handle, State},
    sources::kubernetes::{Complaint, Regarding},
    workloads::pods::{LocalPod, LocalPods, PodUid},
};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(5);

/// A pod that has run for so long has a directory, if ever.
const LONG: Duration = Duration::from_secs(30);

/// For as long as the agent runs.
pub(super) async fn tell(
    handle: Handle,
    pods: watch::Receiver<LocalPods>,
    complaints: watch::Sender<Vec<Complaint>>,
) {
    let mut since = BTreeMap::new();
    let mut ticks = interval(INTERVAL);
    while handle.is_alive() {
        ticks.tick().await;
        let uncovered = uncovered(&pods.borrow(), &handle.state(), &mut since, Instant::now());
        complaints.send_if_modified(|before| {
            let differs = *before != uncovered;
            *before = uncovered;
            differs
        });
    }
}

/// What is wrong with pods. `since` is since when each has no directory.
fn uncovered(
    LocalPods { pods, .. }: &LocalPods,
    state: &State,
    since: &mut BTreeMap<PodUid, Instant>,
    now: Instant,
) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut waiting = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.runs) {
        let directory = pod.directory();
        if state.waiting.iter().any(|it| it.cgroup == directory) {
            let first = since.get(&pod.uid).copied().unwrap_or(now);
            waiting.insert(pod.uid.clone(), first);
            if now - first >= LONG {
                let why = "it runs, and kubelet has made no cgroup for it that is seen on this node";
                complaints.extend(complaint(pod, why));
            }
        }
        let ways = [pod.uid.to_string(), pod.uid.to_string().replace('-', "_")];
        let failing = state.unattached.iter().find(|why| ways.iter().any(|uid| why.contains(uid.as_str())));
        complaints.extend(failing.and_then(|why| complaint(pod, why)));
    }
    *since = waiting;
    complaints
}

fn complaint(LocalPod { object_uid, dataplane, .. }: &LocalPod, why: &str) -> Option<Complaint> {
    // Namespaces have no dots.
    let (name, namespace) = dataplane.name.rsplit_once('.')?;
    let regarding = Regarding {
        api_version: "v1",
        kind: "Pod",
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: object_uid.to_string(),
    };
    let note = format!("tcproute does not route its connections: {why}");
    Some(Complaint { regarding, reason: "NotCovered", note })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agent::WaitingState, resources::MeshName, workloads::DataplaneName};

    fn pod(uid: &str, runs: bool) -> LocalPod {
        let dataplane = DataplaneName { mesh: MeshName::default(), name: format!("a.b-{uid}.shop").into() };
        LocalPod { uid: PodUid::new(uid).unwrap(), object_uid: uid.into(), runs, dataplane }
    }

    #[tokio::test(start_paused = true)]
    async fn pods_that_run_without_programs_are_told_after_a_while() {
        let all = [pod("1-1", true), pod("2-2", false), pod("3-3", true)];
        let pods = LocalPods { pods: all.clone().into(), complete: true };
        let waiting = |pod: &LocalPod| WaitingState {
            cgroup: pod.directory(),
            mesh: MeshName::default(),
            dataplane: pod.dataplane.name.clone(),
            routes: None,
        };
        let unattached = vec!["the cgroup /kubepods-pod3_3.slice is not attached: no".to_owned()];
        let state = State { waiting: all[..2].iter().map(waiting).collect(), unattached, ..State::default() };
        let (mut since, start) = (BTreeMap::new(), Instant::now());
        let told = |complaints: Vec<Complaint>| -> Vec<String> {
            complaints
                .into_iter()
                .map(|it| format!("{}/{}", it.regarding.namespace, it.regarding.name))
                .collect()
        };
        assert_eq!(told(uncovered(&pods, &state, &mut since, start)), ["shop/a.b-3-3"]);
        let later = start + LONG;
        assert_eq!(told(uncovered(&pods, &state, &mut since, later)), ["shop/a.b-1-1", "shop/a.b-3-3"]);
        assert!(uncovered(&pods, &State::default(), &mut since, later).is_empty());
        assert!(since.is_empty());
    }
}
