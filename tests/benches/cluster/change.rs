//! What changes in a cluster all the time: endpoints that are ready or not, and weights.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::json;
use tcproute_tests::cluster::{
    Api,
    kinds::{DATAPLANE, MESH_TCP_ROUTE},
};

use crate::input::{self, Size};

/// Goes on until it is ended.
pub(crate) struct Changes {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

/// So many make them, so that one that waits for the server holds up few.
const THREADS: u32 = 4;

impl Changes {
    /// So many in a second.
    pub(crate) fn begin(api: &Api, size: Size, rate: u32) -> Self {
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = |_| {
            let (api, stop, made) = (api.clone(), Arc::clone(&stop), Arc::clone(&made));
            let apart = Duration::from_secs(1) * THREADS / rate.max(1);
            thread::spawn(move || {
                let mut next = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    change(&api, size);
                    made.fetch_add(1, Ordering::Relaxed);
                    next += apart;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            })
        };
        let threads = (0..THREADS).map(thread).collect();
        Self { stop, made, threads }
    }

    /// How many were made.
    pub(crate) fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("changes are made");
        }
        self.made.load(Ordering::Relaxed)
    }
}

/// Four of five are of endpoints, as where pods come and go. The first service is the one that is measured.
fn change(api: &Api, size: Size) {
    let service = fastrand::u32(1..size.services);
    if fastrand::u32(0..5) == 0 && size.policies > 1 {
        let service = 1 + service % (size.policies - 1);
        api.patch(
            &MESH_TCP_ROUTE,
            &input::place(&input::service(service)),
            &input::route(service, fastrand::u32(1..100)),
        );
    } else {
        let endpoint = fastrand::u32(0..size.endpoints);
        let ready = fastrand::bool();
        let dataplane = input::dataplane(service, endpoint, ready);
        let patch = json!({"spec": dataplane["spec"]});
        api.patch(&DATAPLANE, &input::place(&input::endpoint(service, endpoint)), &patch);
    }
}
