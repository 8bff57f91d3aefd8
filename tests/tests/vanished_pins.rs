//! Pins that vanish while the daemon runs: they are pinned again, and connections meanwhile go where they should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use tcproute_tests::{
    is_root,
    load::Load,
    maps::{FOREIGN, create},
    node::Node,
    routes::Split,
    sample, wait_for,
};

/// Every name below the pins, with the kernel's number of what is pinned there.
fn pinned(node: &Node) -> BTreeSet<(PathBuf, u64)> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![node.pins()];
    while let Some(directory) = waiting.pop() {
        // What is being pinned again may go and come.
        for entry in fs::read_dir(&directory).into_iter().flatten().map_while(Result::ok) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
                found.insert((entry.path(), 0));
            } else {
                found.insert((entry.path(), id(&entry.path())));
            }
        }
    }
    found.retain(|(path, _)| !path.to_string_lossy().contains("broken-"));
    found
}

fn id(path: &Path) -> u64 {
    let kind = if path.to_string_lossy().contains("/links/") { "link" } else { "map" };
    let output = Command::new("bpftool").args(["-j", kind, "show", "pinned"]).arg(path).output().unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let shown = if shown.is_array() { shown[0].clone() } else { shown };
    shown["id"].as_u64().unwrap_or(u64::MAX)
}

fn links(node: &Node) -> PathBuf {
    node.pins().join("links")
}

fn of_cgroup(node: &Node) -> PathBuf {
    links(node).join(fs::metadata(node.cgroup.path()).unwrap().ino().to_string())
}

fn is_map(path: &Path) -> bool {
    !path.to_string_lossy().contains("/links")
}

/// To what the links of `web` attach their programs.
fn kinds(node: &Node) -> BTreeSet<(PathBuf, String)> {
    let links = fs::read_dir(of_cgroup(node)).into_iter().flatten().map_while(Result::ok);
    let kind = |path: PathBuf| {
        let output =
            Command::new("bpftool").args(["-j", "link", "show", "pinned"]).arg(&path).output().unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (path, shown["attach_type"].to_string())
    };
    links.map(|entry| kind(entry.path())).collect()
}

/// Removes a directory with all that is in it. The daemon may have made some of it anew meanwhile.
fn remove_all(directory: &Path) {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
        removed => removed.unwrap(),
    }
}

type Row = (&'static str, fn(&Node));

const ROWS: [Row; 9] = [
    ("some links are removed", |node| {
        fs::remove_file(of_cgroup(node).join("connect4")).unwrap();
        fs::remove_file(of_cgroup(node).join("sock_ops")).unwrap();
    }),
    ("all links are removed", |node| remove_all(&links(node))),
    ("maps are removed", |node| {
        for map in ["routes", "backends", "connections", "overflow", "workloads"] {
            fs::remove_file(node.pins().join(map)).unwrap();
        }
    }),
    ("the layout is removed", |node| {
        let layout = fs::read_dir(node.pins()).unwrap().map(|entry| entry.unwrap().path());
        let layout = layout.into_iter().find(|path| path.to_string_lossy().contains("layout-")).unwrap();
        fs::remove_dir(layout).unwrap();
    }),
    ("all is removed", |node| remove_all(&node.pins())),
    ("all is renamed", |node| fs::rename(node.pins(), node.bpffs.path().join("elsewhere")).unwrap()),
    ("all is removed, and another user makes a directory there", |node| {
        remove_all(&node.pins());
        let mut mkdir = Command::new("setpriv");
        mkdir.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "mkdir", "-m", "777"]);
        // The daemon may have been faster.
        drop(mkdir.arg(node.pins()).output().unwrap());
    }),
    ("links are swapped", |node| {
        let at = |hook: &str| of_cgroup(node).join(hook);
        fs::rename(at("connect4"), at("t")).unwrap();
        fs::rename(at("connect6"), at("connect4")).unwrap();
        fs::rename(at("t"), at("connect6")).unwrap();
    }),
    ("a map is in the place of another", |node| {
        // In one step: once it is gone the daemon may be the first to make it anew.
        let aside = node.bpffs.path().join("another");
        create(&aside, FOREIGN);
        fs::rename(aside, node.pins().join("routes")).unwrap();
    }),
];

#[test]
fn what_is_removed_is_pinned_again_and_no_connection_notices() {
    if !is_root("what_is_removed_is_pinned_again_and_no_connection_notices") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    node.run(&split.mesh(&[("1", 90), ("2", 10)]), &[]);
    let load = Load::start(&node.cgroup, split.dialled, 2);
    let (all, programs) = (pinned(&node), node.programs());
    println!("{} pins", all.len());
    for (what, remove) in ROWS {
        remove(&node);
        let begun = Instant::now();
        wait_for(what, || pinned(&node) == all);
        println!("{what}: pinned again after {} ms", begun.elapsed().as_millis());
        load.wait_for_more(sample(100).into());
        assert_eq!(node.programs(), programs, "{what}");
    }
    // The next daemon finds all of it.
    let tables = node.tables();
    node.kill();
    load.wait_for_more(sample(100).into());
    node.run(&split.mesh(&[("1", 10), ("2", 90)]), &[]);
    load.wait_for_more(sample(100).into());
    assert_eq!(node.tables(), tables);
    let seen = load.finish();
    println!("{seen:?}");
    assert_eq!((seen.failures, seen.other_peers), ([].into(), [].into()));
    assert_eq!(seen.names.keys().collect::<Vec<_>>(), ["v1", "v2"]);
}

#[test]
fn a_bpffs_that_vanishes_is_told_and_the_routes_stay_in_force() {
    if !is_root("a_bpffs_that_vanishes_is_told_and_the_routes_stay_in_force") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    let log = node.run(&split.mesh(&[("1", 1)]), &[]);
    let load = Load::start(&node.cgroup, split.dialled, 2);
    let (all, programs) = (pinned(&node), node.programs());
    assert_eq!(node.bpffs.umount(false), Err(nix::Error::EBUSY), "it is in use");
    assert!(node.has_metric("tcproute_pinned 1"));

    node.bpffs.umount(true).unwrap();
    let remedy = format!("mount it with `mount -t bpf bpf {}`", node.bpffs.path().display());
    let is_told = || {
        let warnings = node.json("/v1/status")["warnings"].to_string();
        warnings.contains(&remedy) && node.has_metric("tcproute_pinned 0")
    };
    wait_for("it is told", is_told);
    assert!(log.text().contains(&remedy), "{}", log.text());
    load.wait_for_more(sample(100).into());

    node.bpffs.mount_over();
    wait_for("all is pinned in the new one", || pinned(&node) == all);
    wait_for("that is told", || node.has_metric("tcproute_pinned 1"));
    assert_eq!(node.programs(), programs);
    node.kill();
    load.wait_for_more(sample(100).into());
    node.run(&split.mesh(&[("1", 1)]), &[]);

    // One that is mounted over it hides the pins from the next daemon.
    let (all, programs) = (pinned(&node), node.programs());
    node.bpffs.mount_over();
    wait_for("all is pinned in the one on top", || pinned(&node) == all);
    load.wait_for_more(sample(100).into());
    assert_eq!(node.programs(), programs);
    node.bpffs.umount(true).unwrap();
    wait_for("all is pinned in the one below again", || pinned(&node) == all);
    assert_eq!(node.programs(), programs);
    node.kill();
    load.wait_for_more(sample(100).into());
    let seen = load.finish();
    println!("{seen:?}");
    assert_eq!((seen.failures, seen.other_peers), ([].into(), [].into()));
    // Nothing is attached that cannot be seen.
    assert_eq!(node.detach(), "detached from 1 cgroups: connections go where they are dialled");
    wait_for("the programs are gone", || node.programs().is_empty());
}

/// Without CAP_SYS_ADMIN there is nowhere else to pin links: then connections go where they are dialled until programs
/// are attached again.
#[test]
fn without_a_bpffs_of_its_own_the_daemon_attaches_again() {
    if !is_root("without_a_bpffs_of_its_own_the_daemon_attaches_again") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--bounding-set", "-sys_admin"]);
    node.run_through(setpriv, &split.mesh(&[("1", 1)]));
    for (what, remove) in ROWS {
        let before = kinds(&node);
        assert_eq!(before.len(), 6, "{what}: {before:?}");
        let maps: BTreeSet<_> = pinned(&node).into_iter().filter(|(path, _)| is_map(path)).collect();
        let begun = Instant::now();
        remove(&node);
        wait_for(what, || {
            let now = pinned(&node).into_iter().filter(|(path, _)| is_map(path));
            kinds(&node) == before && now.collect::<BTreeSet<_>>() == maps
        });
        println!("{what}: pinned again after {} ms", begun.elapsed().as_millis());
        wait_for("six programs are attached", || node.programs().len() == 6);
        assert_eq!(node.ask(split.dialled, 10), [("v1".to_owned(), 10)].into(), "{what}");
    }
    node.kill();
    assert_eq!(node.ask(split.dialled, 10), [("v1".to_owned(), 10)].into());
    node.detach();
    wait_for("the programs are gone", || node.programs().is_empty());
}
