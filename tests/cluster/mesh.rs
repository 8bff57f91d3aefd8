//! In the place of Kuma's control plane: each pod of the mesh gets a Dataplane, with the address that the pod has now.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};
use tcproute_tests::cluster::{
    Api,
    kinds::{DATAPLANE, POD},
};

/// Where the pods of the mesh are.
pub(crate) const NAMESPACE: &str = "shop";

/// Kuma's for pods that serve nothing.
const NO_PORT: u16 = 49_151;

/// How soon a pod that has changed is seen.
const INTERVAL: Duration = Duration::from_millis(500);

/// A thread that writes Dataplanes until this is dropped. Those of pods that are gone go with these, as their owners.
pub(crate) struct Mesh {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mesh {
    pub(crate) fn begin(api: Api) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                write(&api);
                thread::sleep(INTERVAL);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn write(api: &Api) {
    let list = api.list(&POD, Some(NAMESPACE));
    for pod in list["items"].as_array().into_iter().flatten() {
        let Some(wanted) = dataplane(pod) else { continue };
        let place = DATAPLANE.place(&wanted);
        match api.get(&DATAPLANE, &place) {
            None => drop(api.create(&DATAPLANE, &wanted)),
            Some(there) if there["spec"] == wanted["spec"] => {}
            Some(_) => drop(api.patch(&DATAPLANE, &place, &json!({"spec": wanted["spec"]}))),
        }
    }
}

/// That of a pod which has an address and is not about to go.
fn dataplane(pod: &Value) -> Option<Value> {
    let metadata = &pod["metadata"];
    let address = pod["status"]["podIP"].as_str()?;
    if metadata.get("deletionTimestamp").is_some() {
        return None;
    }
    let (name, app) = (metadata["name"].as_str()?, metadata["labels"]["app"].as_str()?);
    let port = pod["spec"]["containers"][0]["ports"][0]["containerPort"].as_u64();
    let service = match port {
        Some(port) => format!("{app}_{NAMESPACE}_svc_{port}"),
        None => format!("{app}_{NAMESPACE}_svc"),
    };
    let mut tags = json!({"kuma.io/service": service, "kuma.io/protocol": "tcp"});
    if let Some(version) = metadata["labels"].get("version") {
        tags["version"] = version.clone();
    }
    let inbound = json!({"port": port.unwrap_or(NO_PORT.into()), "tags": tags});
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": metadata["uid"]});
    let rest = json!({
        "mesh": "default",
        "metadata": {"ownerReferences": [owner]},
        "spec": {"networking": {"address": address, "inbound": [inbound]}},
    });
    Some(DATAPLANE.object(&format!("{NAMESPACE}/{name}"), rest))
}
