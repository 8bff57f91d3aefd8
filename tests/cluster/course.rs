//! What tcproute goes through, and what the clients see meanwhile.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    observed::{Expected, Observed},
    report::Report,
    site::{Site, root},
};

/// Connections to each destination by which a split is judged.
const SPLIT: u64 = 400;

/// By which it is seen that something goes on as before.
const SOME: u64 = 100;

const DAEMON_SET: &str = "--namespace tcproute daemonset/tcproute";

/// What tcproute leaves in a kernel, a line each: pins, programs, and tables in the network namespaces of pods.
const LEFT: &str = "ls -d /sys/fs/bpf/tcproute 2> /dev/null
bpftool prog list | grep -E ' (cgroup_sock_addr|cgroup_sock|sock_ops) '
for pid in $(pgrep -x pod); do nsenter --target $pid --net nft list tables | grep tcproute; done
true";

pub(crate) fn run(site: &Site, report: &mut Report) -> Result<()> {
    report.phase("before tcproute", Expected::Cluster, site.observe(SPLIT)?);

    let installing = Observed::now(&site.kubectl)?;
    install(site)?;
    report.mark("tcproute runs");
    site.until("routed connections get past the sidecar", || Ok(site.observe(10)?.is_past_the_sidecar()))?;
    report.phase("it is installed", Expected::Change, site.observe_since(&installing, SOME)?);
    report.phase("MeshTCPRoute 90 to 10", Expected::Routed, site.observe(SPLIT)?);

    report.phase("rolling update", Expected::Routed, while_connecting(site, update)?);
    report.phase("kill -9", Expected::Routed, while_connecting(site, kill)?);

    reboot(site)?;
    report.mark("the node is back");
    site.until("routed connections get past the sidecar", || Ok(site.observe(10)?.is_past_the_sidecar()))?;
    report.phase("the node starts anew", Expected::Restart, Observed::now(&site.kubectl)?);
    report.phase("after that", Expected::Routed, site.observe(SPLIT)?);

    let there = site.kubectl.on_node(LEFT)?;
    ensure!(
        ["/sys/fs/bpf/tcproute", "sock_ops", "table inet tcproute"].iter().all(|it| there.contains(it)),
        "not all of tcproute is found: {there}"
    );
    report.phase("uninstalled", Expected::Change, while_connecting(site, uninstall)?);
    report.phase("without tcproute", Expected::Cluster, site.observe(SPLIT)?);
    report.left_behind(&site.kubectl.on_node(LEFT)?);
    Ok(())
}

/// Does it, and tells what the clients have seen from before until well after.
fn while_connecting(site: &Site, act: fn(&Site) -> Result<()>) -> Result<Observed> {
    let before = Observed::now(&site.kubectl)?;
    act(site)?;
    // What comes after it counts, too.
    site.observe(SOME)?;
    site.observe_since(&before, SPLIT)
}

fn install(site: &Site) -> Result<()> {
    site.kubectl.apply(&deployed("tcproute"))?;
    site.apply("route")?;
    rolled_out(site)
}

/// What the chart makes.
fn deployed(name: &str) -> PathBuf {
    root().join("deploy/manifests").join(name).with_extension("yaml")
}

fn rolled_out(site: &Site) -> Result<()> {
    site.kubectl.say(&format!("rollout status {DAEMON_SET} --timeout 8m")).map(drop)
}

fn update(site: &Site) -> Result<()> {
    let before = daemon(site)?;
    site.kubectl.say(&format!("rollout restart {DAEMON_SET}"))?;
    rolled_out(site)?;
    ensure!(daemon(site)?["metadata"]["uid"] != before["metadata"]["uid"], "it is the same pod");
    Ok(())
}

fn kill(site: &Site) -> Result<()> {
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or(0);
    let before = restarts(&daemon(site)?);
    site.kubectl.on_node("pkill -KILL -x tcproute")?;
    site.until("it is started again", || {
        let pod = daemon(site)?;
        Ok(restarts(&pod) > before && pod["status"]["containerStatuses"][0]["ready"] == true)
    })
}

/// The pod of tcproute that is not about to go.
fn daemon(site: &Site) -> Result<Value> {
    let pods = site.json("get pods --namespace tcproute --output json")?;
    let mut pods = pods["items"].as_array().into_iter().flatten();
    let pod = pods.find(|pod| pod["metadata"].get("deletionTimestamp").is_none());
    pod.cloned().context("tcproute has no pod")
}

fn reboot(site: &Site) -> Result<()> {
    let boot = |node: &Value| node["status"]["nodeInfo"]["bootID"].clone();
    let node = || site.json("get node node-1 --output json");
    let before = boot(&node()?);
    // The answer may not come any more.
    let _ = site.kubectl.on_node("systemctl --no-block reboot");
    site.until("the node is started again", || Ok(boot(&node()?) != before && site.node_is_ready()?))?;
    site.until("all pods run again", || site.pods_are_ready())
}

/// As the guide has it: the routes of each node are ended first.
fn uninstall(site: &Site) -> Result<()> {
    site.kubectl.apply(&deployed("detach"))?;
    rolled_out(site)?;
    site.kubectl.delete(&deployed("tcproute"))
}
