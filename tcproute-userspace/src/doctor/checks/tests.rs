use std::path::PathBuf;

use caps::Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE};

use super::*;
use crate::{
    bpf::{
        AttachMode, LoadedProgram,
        attached::{Attached, AttachedProgram},
        requirements::{Features, KernelVersion, NamespaceKeys},
    },
    doctor::{cluster::sidecars::Sidecars, node::BpffsOf},
    drain::Unsupported,
    sources::kubernetes::rights::Denied,
};

pub(super) fn good() -> Node {
    let features = Features {
        refuses_with_econnrefused: true,
        names_mptcp_peers: true,
        names_processes: true,
        socket_error_offset: Some(8),
        socket_user_offset: Some(16),
        socket_cookie_offset: Some(8),
        namespaces: Some(NamespaceKeys::Cookies),
    };
    Node {
        release: "6.1.0-32-cloud-amd64".to_owned(),
        version: KernelVersion::parse("6.1"),
        config: Ok(OPTIONS
            .into_iter()
            .chain(OPTIONAL.map(|(option, _)| option))
            .map(str::to_owned)
            .collect()),
        cgroup2: Ok("/sys/fs/cgroup".into()),
        cgroup2_whole: true,
        bpffs: "/sys/fs/bpf".into(),
        bpffs_mounted: true,
        bpffs_of: BpffsOf::Here,
        btf: true,
        root: true,
        capabilities: Ok(caps::all()),
        memlock: Ok(None),
        memlock_raised: true,
        jit: Some(1),
        jit_harden: Some(0),
        features: Ok(features),
        programs: Ok(Vec::new()),
        drain: Ok(()),
        sidecar: Ok(()),
        attached: Ok(Attached { programs: Vec::new(), cut_off: None }),
        cluster: None,
        sidecars: Sidecars::default(),
        api: None,
        daemon: None,
    }
}

/// The checks that are not well.
pub(super) fn complaints(node: &Node) -> Vec<(&'static str, Status)> {
    let checks = checks(node);
    for check in &checks {
        let needs_remedy = matches!(check.status, Status::Warning | Status::Missing);
        assert_eq!(check.remedy.is_some(), needs_remedy, "{check:?}");
    }
    checks.iter().filter(|check| check.status != Status::Ok).map(|check| (check.id, check.status)).collect()
}

#[test]
fn a_good_node_has_no_complaint() {
    assert_eq!(complaints(&good()), []);
}

#[test]
fn what_is_missing_is_told_with_its_remedy() {
    let mut node = good();
    node.version = KernelVersion::parse("5.4");
    node.config = Ok(["CONFIG_INET".to_owned()].into());
    node.cgroup2 = Err("none".to_owned());
    node.bpffs_mounted = false;
    node.capabilities = Ok(&caps::all() - &[CAP_SYS_ADMIN, CAP_BPF].into());
    node.programs = Err("the kernel refuses the program connect4".to_owned());
    let complaints = complaints(&node);
    let missing: Vec<&str> =
        complaints.iter().filter(|(_, status)| *status == Status::Missing).map(|(id, _)| *id).collect();
    assert_eq!(missing, ["kernel", "kernel-config", "cgroup2", "bpffs", "privilege", "programs"]);
    assert_eq!(complaints.len(), missing.len() + 1, "{complaints:?}");
    let found = &checks(&node).into_iter().find(|check| check.id == "privilege").unwrap().found;
    assert_eq!(found, "root, without CAP_BPF to load programs and make maps");
}

#[test]
fn one_capability_stands_for_three() {
    let mut node = good();
    for enough in [&[CAP_SYS_ADMIN, CAP_NET_ADMIN][..], &[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON]] {
        node.capabilities = Ok(enough.iter().copied().chain([CAP_SYS_PTRACE]).collect());
        let lacks_admin = !enough.contains(&CAP_SYS_ADMIN);
        let expected = lacks_admin.then_some(("capabilities", Status::Fallback));
        assert_eq!(complaints(&node), expected.into_iter().collect::<Vec<_>>());
    }
    let beyond = ("capabilities", Status::Fallback);
    for too_little in [&[CAP_NET_ADMIN][..], &[CAP_BPF, CAP_NET_ADMIN]] {
        node.capabilities = Ok(too_little.iter().copied().collect());
        assert_eq!(complaints(&node), [("privilege", Status::Missing), beyond]);
    }
    for too_little in [&[][..], &[CAP_BPF]] {
        node.capabilities = Ok(too_little.iter().copied().collect());
        assert_eq!(complaints(&node), [("privilege", Status::Missing), beyond, ("drain", Status::Fallback)]);
    }
}

#[test]
fn what_only_costs_is_a_warning() {
    let mut node = good();
    node.jit = Some(0);
    assert_eq!(complaints(&node), [("jit", Status::Warning)]);
    node.jit = Some(1);
    node.jit_harden = Some(2);
    assert_eq!(complaints(&node), [("jit", Status::Warning)]);
    node = good();
    node.cgroup2_whole = false;
    assert_eq!(complaints(&node), [("cgroup2", Status::Warning)]);
}

#[test]
fn the_jit_is_judged_by_what_it_made() {
    let program =
        |jited| LoadedProgram { id: 1, name: "connect4".to_owned(), translated: 800, jited, verified: None };
    let mut node = good();
    // As in the network namespace of a container.
    node.jit = None;
    assert_eq!(complaints(&node), [("jit", Status::Unknown)]);
    node.programs = Ok(vec![program(500)]);
    assert_eq!(complaints(&node), []);
    node.programs = Ok(vec![program(500), program(0)]);
    assert_eq!(complaints(&node), [("jit", Status::Warning)]);
}

#[test]
fn an_option_that_is_not_needed_is_told_with_the_consequence() {
    let mut node = good();
    node.config = Ok(OPTIONS.map(str::to_owned).into());
    assert_eq!(complaints(&node), [("kernel-config", Status::Fallback)]);
    let check = config(&node);
    assert!(check.found.contains("; without CONFIG_IPV6 there is nothing but IPv4"), "{check:?}");
}

#[test]
fn memlock_matters_before_5_11() {
    let mut node = good();
    (node.memlock, node.memlock_raised) = (Ok(Some(65_536)), false);
    assert_eq!(complaints(&node), []);
    node.version = KernelVersion::parse("5.10");
    assert_eq!(complaints(&node), [("memlock", Status::Warning)]);
    node.memlock_raised = true;
    assert_eq!(complaints(&node), []);
}

#[test]
fn an_older_kernel_falls_back() {
    let mut node = good();
    node.features = Ok(Features {
        refuses_with_econnrefused: false,
        names_mptcp_peers: false,
        names_processes: false,
        socket_error_offset: None,
        socket_user_offset: None,
        socket_cookie_offset: None,
        namespaces: None,
    });
    assert_eq!(
        complaints(&node),
        [
            ("refusal-error", Status::Fallback),
            ("mptcp-peer-names", Status::Fallback),
            ("failure-causes", Status::Fallback),
            ("trace-processes", Status::Fallback),
            ("sidecar", Status::Fallback)
        ]
    );
}

#[test]
fn without_a_way_to_close_connections_only_drain_does_not_work() {
    let mut node = good();
    node.drain = Err(Unsupported::Closing.to_string());
    assert_eq!(complaints(&node), [("drain", Status::Fallback)]);
    assert!(drain(&node).found.contains("CONFIG_INET_DIAG_DESTROY"), "{:?}", drain(&node));
}

#[test]
fn without_privilege_much_is_unknown() {
    let mut node = good();
    node.root = false;
    node.capabilities = Ok([CAP_NET_ADMIN].into());
    node.config = Err("no file".to_owned());
    let reason = || "needs root".to_owned();
    (node.features, node.programs, node.attached) = (Err(reason()), Err(reason()), Err(reason()));
    let unknown = |id| (id, Status::Unknown);
    assert_eq!(
        complaints(&node),
        [
            unknown("kernel-config"),
            ("privilege", Status::Missing),
            unknown("programs"),
            ("capabilities", Status::Fallback),
            unknown("refusal-error"),
            unknown("mptcp-peer-names"),
            unknown("failure-causes"),
            unknown("trace-processes"),
            unknown("other-programs"),
            unknown("daemon"),
        ]
    );
}

#[test]
fn programs_of_others_are_listed_and_ours_are_not() {
    let program = |hook, mode, ours| AttachedProgram {
        cgroup: PathBuf::from("/sys/fs/cgroup"),
        hook,
        mode,
        id: 7,
        name: "theirs".to_owned(),
        maps: Vec::new(),
        ours,
    };
    let mut node = good();
    let programs = vec![
        program("connect4", AttachMode::Multi, false),
        program("connect4", AttachMode::Multi, true),
        program("connect6", AttachMode::Exclusive, false),
        program("sock_release", AttachMode::Override, false),
    ];
    node.attached = Ok(Attached { programs, cut_off: Some(50_000) });
    let found: Vec<Check> = checks(&node).into_iter().filter(|check| check.id == "other-programs").collect();
    assert_eq!(
        found.iter().map(|check| check.status).collect::<Vec<_>>(),
        [Status::Ok, Status::Warning, Status::Warning, Status::Unknown]
    );
    assert!(found[0].found.contains("theirs (id 7) is attached at connect4 of /sys/fs/cgroup"), "{found:?}");
    assert!(found[1].found.contains("cannot be attached there or below"), "{found:?}");
}

#[test]
fn known_programs_are_told_with_whose_they_are_and_whether_both_get_along() {
    let program = |name: &str, maps: &[&str], mode| AttachedProgram {
        cgroup: PathBuf::from("/sys/fs/cgroup"),
        hook: "connect4",
        mode,
        id: 7,
        name: name.to_owned(),
        maps: maps.iter().map(|&map| map.to_owned()).collect(),
        ours: false,
    };
    let mut node = good();
    let programs = vec![
        program("cil_sock4_conne", &[], AttachMode::Multi),
        program("cil_sock4_conne", &[], AttachMode::Exclusive),
        program("calico_connect_", &[], AttachMode::Multi),
        program("cgroup_connect4", &["map_of_manager"], AttachMode::Multi),
    ];
    node.attached = Ok(Attached { programs, cut_off: None });
    assert_eq!(complaints(&node), [("other-programs", Status::Warning), ("other-programs", Status::Warning)]);
    let checks = checks(&node);
    let found: Vec<&str> =
        checks.iter().filter(|check| check.id == "other-programs").map(|check| &*check.found).collect();
    assert!(
        found[0].contains("of Cilium's socket load balancer is") && found[0].contains("both get along"),
        "{found:?}"
    );
    assert!(found[1].contains("of Cilium") && found[1].contains("allows no other"), "{found:?}");
    assert!(
        found[2].contains("of Calico's connect-time") && found[2].contains("both get along"),
        "{found:?}"
    );
    assert!(found[3].contains("of Kmesh") && found[3].contains("waypoint"), "{found:?}");
}

#[test]
fn a_bpffs_of_a_container_is_told() {
    let mut node = good();
    node.bpffs_of = BpffsOf::Container;
    assert_eq!(complaints(&node), [("bpffs-of-node", Status::Warning)]);
    node.bpffs_of = BpffsOf::Node;
    assert_eq!(complaints(&node), []);
    assert!(checks(&node).iter().any(|check| check.id == "bpffs-of-node"));
    // What is not there is nobody's.
    (node.bpffs_of, node.bpffs_mounted) = (BpffsOf::Container, false);
    assert_eq!(complaints(&node), [("bpffs", Status::Missing)]);
}

#[test]
fn what_an_api_server_does_not_allow_is_told_with_the_rule() {
    let mut node = good();
    let is_there = |node: &Node| checks(node).iter().any(|check| check.id == "api-rights");
    assert!(!is_there(&node), "nobody was asked");
    node.api = Some(Ok(Vec::new()));
    assert!(is_there(&node) && complaints(&node).is_empty());
    node.api = Some(Err("it does not answer".to_owned()));
    assert_eq!(complaints(&node), [("api-rights", Status::Unknown)]);
    let denied =
        |what: &str| Denied { what: what.to_owned(), without: None, rule: format!("a rule for {what}") };
    node.api = Some(Ok(vec![denied("list pods"), denied("watch pods")]));
    assert_eq!(complaints(&node), [("api-rights", Status::Warning); 2]);
    let check = checks(&node).into_iter().find(|check| check.id == "api-rights").unwrap();
    assert_eq!((&*check.found, check.remedy.as_deref()), ("may not list pods", Some("a rule for list pods")));
    node.api = Some(Ok(["a", "b", "c", "d", "e"].map(denied).to_vec()));
    assert_eq!(complaints(&node), [("api-rights", Status::Warning)]);
    let check = checks(&node).into_iter().find(|check| check.id == "api-rights").unwrap();
    assert_eq!(check.found, "may not a; b; c, and 2 more");
}
