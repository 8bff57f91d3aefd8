//! Envoy by files: it listens where each service is dialled, and its endpoints have weights.
//!
//! A file of endpoints is watched by an inotify instance of its own, of which a user has 128 by default. So the service
//! whose weights change has such a file, and the endpoints of the others are in the file of clusters.

use std::path::Path;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use tcproute_tests::{bench::site::Site, sidecar::Program};

use super::{By, Prepared, Way, directory, write};
use crate::mesh::{SPLIT, Services, Weights, dialled, shares};

/// With one worker: each has a socket for each listener, and with two the files that a process may open would not do
/// everywhere.
pub(super) fn prepare(site: &Site, services: Services) -> Result<Prepared> {
    let program = Program::find().map_err(|why| anyhow!(why))?;
    let directory = directory()?;
    let [bootstrap, listeners, clusters, endpoints] =
        ["bootstrap", "lds", "cds", "eds"].map(|name| directory.path().join(format!("{name}.json")));
    let last = services.last();
    let all: Vec<Value> = services.all().map(listener).collect();
    write(&listeners, &json!({ "resources": all }).to_string())?;
    let mut all: Vec<Value> = services.others().map(fixed).collect();
    all.push(followed(last, &endpoints));
    write(&clusters, &json!({ "resources": all }).to_string())?;
    write(&endpoints, &of_endpoints(last, SPLIT))?;
    let config = json!({
        "node": {"id": "bench", "cluster": "bench"},
        "dynamic_resources": {"lds_config": file(&listeners), "cds_config": file(&clusters)},
    });
    write(&bootstrap, &config.to_string())?;
    let mut command = site.namespace().command_in(&site.proxy, "setpriv");
    // It ends with this process.
    command.args(["--pdeathsig", "KILL"]).arg(program.path()).arg("--config-path").arg(bootstrap);
    command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]);
    Ok(Prepared {
        version: format!("Envoy {}", program.version()),
        command: Some(command),
        stays: true,
        is_tracked: false,
        ways: vec![Way::usual(By::Rename(endpoints), move |weights| of_endpoints(last, weights))],
        daemon: None,
        keep: Box::new(directory),
    })
}

fn file(path: &Path) -> Value {
    json!({"path_config_source": {"path": path}, "resource_api_version": "V3"})
}

fn name(service: u32) -> String {
    format!("service-{service}")
}

fn listener(service: u32) -> Value {
    let (ip, port) = (*dialled(service).ip(), dialled(service).port());
    let proxy = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": name(service),
        "cluster": name(service),
    });
    json!({
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": name(service),
        "address": {"socket_address": {"address": ip, "port_value": port}},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}],
    })
}

fn cluster(service: u32) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name(service),
        "connect_timeout": "5s",
        "lb_policy": "ROUND_ROBIN",
    })
}

fn fixed(service: u32) -> Value {
    let mut cluster = cluster(service);
    cluster["type"] = "STATIC".into();
    cluster["load_assignment"] = assignment(service, SPLIT);
    cluster
}

fn followed(service: u32, endpoints: &Path) -> Value {
    let mut cluster = cluster(service);
    cluster["type"] = "EDS".into();
    cluster["eds_cluster_config"] = json!({ "eds_config": file(endpoints) });
    cluster
}

/// The file of endpoints.
fn of_endpoints(service: u32, weights: Weights) -> String {
    let mut assignment = assignment(service, weights);
    assignment["@type"] = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment".into();
    json!({ "resources": [assignment] }).to_string()
}

fn assignment(service: u32, weights: Weights) -> Value {
    let endpoint = |share: crate::mesh::Share| {
        let (ip, port) = (*share.endpoint.ip(), share.endpoint.port());
        let address = json!({"socket_address": {"address": ip, "port_value": port}});
        json!({"endpoint": {"address": address}, "load_balancing_weight": share.percent})
    };
    let endpoints: Vec<Value> = shares(service, weights).into_iter().map(endpoint).collect();
    json!({"cluster_name": name(service), "endpoints": [{"lb_endpoints": endpoints}]})
}
