//! A daemon that is killed while it starts: before each of its steps that change the kernel's state, connections go by
//! the routes before or by its own, and the next daemon goes on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use tcproute_tests::{
    is_root, is_slow,
    load::Load,
    mesh::Mesh,
    node::Node,
    routes::Split,
    steps::{Followed, Step},
};

const ASKED: u32 = 10;

/// What the one that is killed finds.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// Maps that it goes on with.
    Same,
    /// Tables of another build.
    OtherTables,
    /// States of sockets of another build.
    OtherStates,
}

struct Killed {
    split: Split,
    node: Node,
    before: Before,
}

impl Killed {
    fn age(&self) {
        match self.before {
            Before::Same => {}
            Before::OtherTables => self.node.age(true),
            Before::OtherStates => self.node.age(false),
        }
    }

    /// With all connections to one version, and so many other routes around.
    fn mesh(&self, version: &str, others: u8) -> Mesh {
        let mut mesh = self.split.mesh(&[(version, 1)]);
        for other in 0..others {
            let service = format!("a{other}");
            mesh.outbound(&service, (self.split.dialled.ip(), 7000 + u16::from(other)).into());
            for server in &self.split.servers {
                mesh.endpoint(&service, "x", server.address());
            }
        }
        mesh
    }

    /// Starts a daemon that sends all to `v3`, and kills it before that step or when its routes are in force. All steps
    /// until then.
    fn kill_before(&mut self, step: usize) -> Vec<Step> {
        let mesh = self.mesh("3", 3);
        let log = self.node.launch(&mesh, &[]);
        let mut daemon = Followed::seize(self.node.daemon.as_ref().unwrap().id());
        let mut steps = Vec::new();
        while steps.len() < step
            && let Some(next) = daemon.next(|| log.in_force())
        {
            steps.push(next);
        }
        self.node.kill();
        steps
    }

    fn ask(&self) -> BTreeMap<String, u64> {
        self.node.ask(self.split.dialled, ASKED)
    }
}

fn all_to(name: &str) -> BTreeMap<String, u64> {
    [(name.to_owned(), ASKED.into())].into()
}

/// Tries every so many steps, from a random one on, until the routes are in force. What clients saw as their peer, if
/// it was not what they dialled.
fn kill_at_every_step(test: &str, before: Before) -> BTreeMap<String, u64> {
    let mut killed = Killed { split: Split::new(), node: Node::new(), before };
    let mesh = killed.mesh("2", 0);
    killed.node.run(&mesh, &[]);
    let load = Load::start(&killed.node.cgroup, killed.split.dialled, 2);
    let stride = if is_slow() { 40 } else { 8 };
    let first = fastrand::usize(0..stride);
    println!("{test}: killed before every {stride}th step from {first} on");
    let mut old = "v2";
    for step in (first..).step_by(stride) {
        killed.node.kill();
        killed.age();
        let made = killed.kill_before(step);
        let seen = killed.ask();
        let last = made.last().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        println!("{test}: killed after {} steps, the last of which was {last}: {seen:?}", made.len());
        assert!(seen == all_to(old) || seen == all_to("v3"), "{seen:?}");
        let version;
        (version, old) = if old == "v1" { ("2", "v2") } else { ("1", "v1") };
        let mesh = killed.mesh(version, 0);
        killed.node.run(&mesh, &[]);
        assert_eq!(killed.ask(), all_to(old));
        if made.len() < step {
            assert_eq!(seen, all_to("v3"), "its routes were in force");
        }
        if made.len() < step || is_slow() {
            break;
        }
    }
    let seen = load.finish();
    println!("{test}: {seen:?}");
    assert_eq!(seen.failures, [].into());
    let names: BTreeSet<&str> = seen.names.keys().map(String::as_str).collect();
    assert!(names.is_subset(&["v1", "v2", "v3"].into()), "{names:?}");
    seen.other_peers
}

#[test]
fn a_daemon_may_be_killed_at_any_moment_of_its_start() {
    let test = "a_daemon_may_be_killed_at_any_moment_of_its_start";
    if !is_root(test) {
        return;
    }
    let all = [Before::Same, Before::OtherTables, Before::OtherStates];
    // Where everything takes long there are many runs, each of which tries one.
    let tried = if is_slow() { &all[fastrand::usize(0..all.len())..][..1] } else { &all };
    for &before in tried {
        println!("{test}: {before:?}");
        let other_peers = kill_at_every_step(test, before);
        // With other states, connections that are open meanwhile show their endpoint.
        if !matches!(before, Before::OtherStates) {
            assert_eq!(other_peers, [].into());
        }
    }
}
