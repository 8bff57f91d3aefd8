//! Judging programs of others at the same hooks: whose they are, and whether both get along.

use super::{Check, Status};
use crate::{
    bpf::{
        AttachMode,
        attached::{Attached, AttachedProgram},
    },
    doctor::{node::Node, peers::Peer},
};

const ID: &str = "other-programs";

pub(super) fn others(node: &Node) -> Vec<Check> {
    let Attached { programs, cut_off } = match &node.attached {
        Ok(attached) => attached,
        Err(reason) => return vec![Check::new(ID, Status::Unknown, reason)],
    };
    let mut checks: Vec<Check> = programs.iter().filter(|program| !program.ours).map(other).collect();
    if let Some(seen) = cut_off {
        let found = format!("there are more than {seen} cgroups, and the others were not looked at");
        checks.push(Check::new(ID, Status::Unknown, found));
    }
    if checks.is_empty() {
        checks.push(Check::new(ID, Status::Ok, "no others are attached where tcproute's are"));
    }
    checks
}

fn other(program: &AttachedProgram) -> Check {
    let AttachedProgram { cgroup, hook, mode, id, name, .. } = program;
    let peer = Peer::of(program);
    let whose = peer.map(|peer| format!(" of {}", peer.name())).unwrap_or_default();
    let what = format!("{name} (id {id}){whose} is attached at {hook} of {}", cgroup.display());
    let remedy = format!(
        "have it attached with BPF_F_ALLOW_MULTI or as a link; `bpftool prog show id {id}` tells more"
    );
    match (mode, peer.map(Peer::gets_along)) {
        (AttachMode::Exclusive, _) => {
            let found = format!("{what} and allows no other: tcproute cannot be attached there or below");
            Check::new(ID, Status::Warning, found).remedy(remedy)
        }
        (AttachMode::Override, _) => {
            let found = format!(
                "{what} and gives way to others: it does not run for workloads below, and tcproute cannot be attached to that very cgroup"
            );
            Check::new(ID, Status::Warning, found).remedy(remedy)
        }
        (AttachMode::Multi, Some((true, why))) => Check::new(ID, Status::Ok, format!("{what}; {why}")),
        (AttachMode::Multi, Some((false, why))) => Check::new(ID, Status::Warning, format!("{what}; {why}"))
            .remedy("have each pod either be led by it or have routes of tcproute"),
        (AttachMode::Multi, None) if hook.starts_with("connect") => Check::new(
            ID,
            Status::Ok,
            format!("{what}: for workloads below it runs after tcproute and sees the endpoint"),
        ),
        (AttachMode::Multi, None) => Check::new(ID, Status::Ok, format!("{what}, beside tcproute's")),
    }
}
