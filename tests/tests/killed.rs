//! A daemon that is killed while it starts: before each of its steps that change the kernel's state, connections go by
//! the routes before or by its own, and the next daemon goes on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use tcproute_tests::{
    is_root,
    load::Load,
    mesh::Mesh,
    node::{Node, Split},
    sample,
    steps::{Followed, Step},
};

/// So many moments are tried of all that there are.
const MOMENTS: u32 = 12;
/// And not fewer, also on slow machines.
const FEWEST: u32 = 3;
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
            Before::OtherTables => self.node.age("layout-0-2-0"),
            Before::OtherStates => self.node.age("layout-0-0-0"),
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

    /// Starts a daemon that sends all to `v3`, and kills it before that step or when its routes are in force. All steps until
    /// then.
    fn kill_before(&mut self, step: Option<usize>) -> Vec<Step> {
        let mesh = self.mesh("3", 3);
        let log = self.node.launch(&mesh, &[]);
        let mut daemon = Followed::seize(self.node.daemon.as_ref().unwrap().id());
        let mut steps = Vec::new();
        while step != Some(steps.len())
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

/// Tries every so many steps, from a random one on. What clients saw as their peer, if it was not what they dialled.
fn kill_at_every_step(test: &str, before: Before) -> BTreeMap<String, u64> {
    let mut killed = Killed { split: Split::new(), node: Node::new(), before };
    let mesh = killed.mesh("1", 0);
    killed.node.run(&mesh, &[]);
    let load = Load::start(&killed.node.cgroup, killed.split.dialled, 2);
    killed.node.kill();
    killed.age();
    let steps = killed.kill_before(None).len();
    assert_eq!(killed.ask(), all_to("v3"));

    let stride = steps.div_ceil(sample(MOMENTS).max(FEWEST) as usize);
    let first = fastrand::usize(0..stride);
    println!("{test}: {steps} steps, killed before every {stride}th from {first} on");
    for (round, step) in (first..steps).step_by(stride).enumerate() {
        let (version, name) = [("1", "v1"), ("2", "v2")][round % 2];
        let mesh = killed.mesh(version, 0);
        killed.node.run(&mesh, &[]);
        assert_eq!(killed.ask(), all_to(name));
        killed.node.kill();
        killed.age();
        let made = killed.kill_before(Some(step));
        let seen = killed.ask();
        let last = made.last().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        println!("{test}: killed after {} steps, the last of which was {last}: {seen:?}", made.len());
        assert!(seen == all_to(name) || seen == all_to("v3"), "{seen:?}");
    }
    let mesh = killed.mesh("2", 0);
    killed.node.run(&mesh, &[]);
    assert_eq!(killed.ask(), all_to("v2"));
    let seen = load.finish();
    println!("{test}: {seen:?}");
    assert_eq!(seen.failures, [].into());
    let names: BTreeSet<&str> = seen.names.keys().map(String::as_str).collect();
    assert!(names.is_subset(&["v1", "v2", "v3"].into()), "{names:?}");
    seen.other_peers
}

#[test]
fn a_daemon_that_goes_on_with_maps_may_be_killed_at_any_moment() {
    let test = "a_daemon_that_goes_on_with_maps_may_be_killed_at_any_moment";
    if is_root(test) {
        assert_eq!(kill_at_every_step(test, Before::Same), [].into());
    }
}

#[test]
fn a_daemon_that_makes_other_tables_may_be_killed_at_any_moment() {
    let test = "a_daemon_that_makes_other_tables_may_be_killed_at_any_moment";
    if is_root(test) {
        assert_eq!(kill_at_every_step(test, Before::OtherTables), [].into());
    }
}

/// Connections that are open meanwhile then show their endpoint.
#[test]
fn a_daemon_that_makes_other_states_may_be_killed_at_any_moment() {
    let test = "a_daemon_that_makes_other_states_may_be_killed_at_any_moment";
    if is_root(test) {
        kill_at_every_step(test, Before::OtherStates);
    }
}
