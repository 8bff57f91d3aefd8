//! Pins that no tcproute has left like this: what others have put in their place, and what is broken or in a wrong
//! place.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tcproute_tests::{
    client::stdout,
    is_root, is_slow,
    maps::{FOREIGN, create, routes},
    node::Node,
    routes::Split,
    tcproute::binary,
    wait_for,
};

/// What has been done to the pins that a killed daemon has left.
struct Damage<'a> {
    pins: &'a Path,
    cgroup: u64,
}

impl Damage<'_> {
    fn pin(&self, name: &str) -> PathBuf {
        self.pins.join(name)
    }

    fn link(&self, hook: &str) -> PathBuf {
        self.pins.join("links").join(self.cgroup.to_string()).join(hook)
    }

    fn bpftool(&self, arguments: &str) {
        let mut bpftool = Command::new("bpftool");
        stdout(&bpftool.args(arguments.split(' ')).current_dir(self.pins).output().unwrap());
    }

    /// The value of the only route, with another number at this place.
    fn route(&self, place: usize, number: u32) {
        let mut routes = routes(self.pins).unwrap();
        let (key, mut value) = routes.iter().next().unwrap().unwrap();
        value[place * 4..][..4].copy_from_slice(&number.to_ne_bytes());
        routes.insert(key, value, 0).unwrap();
    }

    fn layout(&self) -> PathBuf {
        let entries = fs::read_dir(self.pins).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| name(path).starts_with("layout-")).unwrap()
    }

    fn rename(&self, from: &Path, to: &str) {
        fs::rename(from, self.pin(to)).unwrap();
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn remove(at: &Path) {
    match fs::symlink_metadata(at) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(at).unwrap(),
        Ok(_) => fs::remove_file(at).unwrap(),
        Err(_) => {}
    }
}

/// A map in the place of whatever is there.
fn put_map(at: &Path, what: &str) {
    remove(at);
    create(at, what);
}

type Row = (&'static str, fn(&Damage));

/// A backend with two endpoints, as bytes in hex: weight, threshold, alias, first endpoint, how many, outcomes.
const BACKENDS: [Row; 3] = [
    ("backends: endpoint_count 2^31-1", |it| {
        it.bpftool("map update pinned backends key hex 00 00 00 00 value hex 01 00 00 00 ff ff ff ff 00 00 00 00 00 00 00 00 ff ff ff 7f 01 00 00 00");
    }),
    ("backends: alias 9", |it| {
        it.bpftool("map update pinned backends key hex 00 00 00 00 value hex 01 00 00 00 ff ff ff ff 09 00 00 00 00 00 00 00 01 00 00 00 01 00 00 00");
    }),
    ("backends: outcomes of nobody", |it| {
        it.bpftool("map update pinned backends key hex 00 00 00 00 value hex 01 00 00 00 ff ff ff ff 00 00 00 00 00 00 00 00 01 00 00 00 ff 00 00 00");
    }),
];

const CONTENTS: [Row; 7] = [
    ("as left by kill -9", |_| ()),
    ("routes: backend_count 2^31-1", |it| it.route(1, u32::MAX >> 1)),
    ("routes: first_backend 2^32-1", |it| it.route(0, u32::MAX)),
    ("routes: turn_count huge", |it| it.route(3, 0x0fff_ffff)),
    ("endpoints: port 2^32-1", |it| {
        it.bpftool("map update pinned endpoints key hex 00 00 00 00 value hex 00 00 00 00 00 00 00 00 00 00 ff ff 00 00 00 00 ff ff ff ff");
    }),
    ("routes: of a workload 2^32-1", |it| {
        let mut routes = routes(it.pins).unwrap();
        let (mut key, value) = routes.iter().next().unwrap().unwrap();
        key[20..].fill(0xff);
        routes.insert(key, value, 0).unwrap();
    }),
    ("endpoints: frozen", |it| it.bpftool("map freeze pinned endpoints")),
];

const MAPS: [Row; 20] = [
    ("routes is missing", |it| remove(&it.pin("routes"))),
    ("connections is missing", |it| remove(&it.pin("connections"))),
    ("overflow is missing", |it| remove(&it.pin("overflow"))),
    ("addresses is missing", |it| remove(&it.pin("addresses"))),
    ("workloads is missing", |it| remove(&it.pin("workloads"))),
    ("counters is missing", |it| remove(&it.pin("counters"))),
    ("outcomes is missing", |it| remove(&it.pin("outcomes"))),
    ("endpoints is missing", |it| remove(&it.pin("endpoints"))),
    ("connections: an array of 16 without BTF", |it| {
        put_map(&it.pin("connections"), "type array key 4 value 64 entries 16 name connections");
    }),
    ("connections: as it is, but without BTF", |it| {
        put_map(
            &it.pin("connections"),
            "type array key 4 value 64 entries 65536 name connections flags 0x400",
        );
    }),
    ("connections: a hash of the same sizes", |it| {
        put_map(&it.pin("connections"), "type hash key 4 value 64 entries 65536 name connections");
    }),
    ("outcomes: an array", |it| {
        put_map(&it.pin("outcomes"), "type array key 4 value 296 entries 512 name outcomes");
    }),
    ("routes: read-only for programs", |it| {
        put_map(&it.pin("routes"), "type hash key 24 value 20 entries 4096 name routes flags 0x80");
    }),
    ("routes: an LRU hash", |it| {
        put_map(&it.pin("routes"), "type lru_hash key 24 value 20 entries 4096 name routes");
    }),
    ("counters: one entry", |it| {
        put_map(&it.pin("counters"), "type percpu_array key 4 value 8 entries 1 name counters");
    }),
    ("before-1 is another map", |it| {
        put_map(&it.pin("before-1"), FOREIGN);
    }),
    ("routes: a symbolic link to another map", |it| {
        remove(&it.pin("routes"));
        symlink(it.pin("endpoints"), it.pin("routes")).unwrap();
    }),
    ("backends is a directory", |it| {
        remove(&it.pin("backends"));
        fs::create_dir(it.pin("backends")).unwrap();
    }),
    ("backends is a directory with something in it", |it| {
        remove(&it.pin("backends"));
        fs::create_dir_all(it.pin("backends/a/b")).unwrap();
        put_map(&it.pin("backends/a/map"), FOREIGN);
    }),
    ("routes is a link", |it| {
        remove(&it.pin("routes"));
        it.rename(&it.link("connect4"), "routes");
    }),
];

const LINKS: [Row; 12] = [
    ("links/junk", |it| fs::create_dir(it.pin("links/junk")).unwrap()),
    ("links/junk is a map", |it| put_map(&it.pin("links/junk"), FOREIGN)),
    ("links/2^64-1", |it| fs::create_dir(it.pin("links/18446744073709551615")).unwrap()),
    ("links/77/connect4 is a map", |it| {
        fs::create_dir(it.pin("links/77")).unwrap();
        put_map(&it.pin("links/77/connect4"), FOREIGN);
    }),
    ("the link connect4 is a map", |it| {
        put_map(&it.link("connect4"), FOREIGN);
    }),
    ("the link connect4 is a directory", |it| {
        remove(&it.link("connect4"));
        fs::create_dir(it.link("connect4")).unwrap();
    }),
    ("connect4 and connect6 are swapped", |it| {
        fs::rename(it.link("connect4"), it.link("t")).unwrap();
        fs::rename(it.link("connect6"), it.link("connect4")).unwrap();
        fs::rename(it.link("t"), it.link("connect6")).unwrap();
    }),
    ("a link with the name of none", |it| fs::rename(it.link("connect4"), it.link("x")).unwrap()),
    ("the links are another cgroup's", |it| {
        let of_cgroup = it.link("connect4").parent().unwrap().to_owned();
        it.rename(&of_cgroup, "links/77");
    }),
    ("links is renamed", |it| it.rename(&it.pin("links"), "x")),
    ("links is a map", |it| put_map(&it.pin("links"), FOREIGN)),
    ("some links are missing", |it| {
        remove(&it.link("connect4"));
        remove(&it.link("sock_ops"));
    }),
];

const LAYOUTS: [Row; 8] = [
    ("two layouts", |it| fs::create_dir(it.pin("layout-2-2-7")).unwrap()),
    ("a later layout", |it| it.rename(&it.layout(), "layout-9-9-0")),
    ("layout-x", |it| it.rename(&it.layout(), "layout-x")),
    ("generation 300", |it| it.rename(&it.layout(), "layout-2-2-300")),
    ("the layout is a map", |it| {
        let layout = it.layout();
        put_map(&layout, FOREIGN);
    }),
    ("two next layouts", |it| {
        fs::create_dir(it.pin("next-layout-2-2-1")).unwrap();
        fs::create_dir(it.pin("next-layout-2-2-2")).unwrap();
    }),
    ("a map that is to take the place of another is a directory", |it| {
        fs::create_dir_all(it.pin("next-routes/x")).unwrap();
        fs::create_dir(it.pin("next-layout-2-2-1")).unwrap();
    }),
    ("anybody may write there", |it| {
        fs::set_permissions(it.pins, PermissionsExt::from_mode(0o777)).unwrap();
        fs::write(it.pins.parent().unwrap().join("x"), "").unwrap_err();
    }),
];

/// Its start may not take longer, whatever there is.
fn bound() -> Duration {
    Duration::from_secs(if is_slow() { 60 } else { 10 })
}

/// The daemon starts, connections go where they should, and then nothing is left.
fn assert_runs_and_detaches(node: &mut Node, split: &Split, what: &str) {
    let begun = Instant::now();
    let log = node.run(&split.mesh(&[("1", 1)]), &[]);
    let took = begun.elapsed();
    let told = log.text().lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR")).count();
    assert_eq!(node.ask(split.dialled, 3), [("v1".to_owned(), 3)].into(), "{what}");
    assert_eq!(node.programs().len(), 6, "{what}");
    assert!(took < bound(), "{what}: {took:?}");
    // Nothing is removed that this daemon has put in force.
    node.kill();
    assert_eq!(node.ask(split.dialled, 3), [("v1".to_owned(), 3)].into(), "{what}");
    assert_nothing_is_left(node, what);
    println!("{what}: starts in {} ms, tells {told}", took.as_millis());
}

fn assert_nothing_is_left(node: &Node, what: &str) {
    for _ in 0..2 {
        node.detach();
        assert!(!node.pins().exists(), "{what}");
    }
    wait_for("the programs are gone", || node.programs().is_empty());
}

fn assert_all(test: &str, rows: &[Row]) {
    if !is_root(test) {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    // Where everything takes long there are many runs, each of which tries a ninth.
    let stride = if is_slow() { rows.len().min(9) } else { 1 };
    for (what, spoil) in rows.iter().skip(fastrand::usize(..stride)).step_by(stride) {
        for detach_only in [false, true] {
            node.run(&split.mesh(&[("1", 1)]), &[]);
            node.kill();
            let cgroup = fs::metadata(node.cgroup.path()).unwrap().ino();
            spoil(&Damage { pins: &node.pins(), cgroup });
            if detach_only {
                assert_nothing_is_left(&node, what);
            } else {
                assert_runs_and_detaches(&mut node, &split, what);
            }
        }
    }
}

#[test]
fn contents_that_are_nonsense_are_not_gone_on_with() {
    assert_all("contents_that_are_nonsense_are_not_gone_on_with", &[&CONTENTS[..], &BACKENDS[..]].concat());
}

#[test]
fn maps_that_are_missing_or_others_are_made_anew() {
    assert_all("maps_that_are_missing_or_others_are_made_anew", &MAPS);
}

#[test]
fn links_that_are_in_a_wrong_place_are_replaced() {
    assert_all("links_that_are_in_a_wrong_place_are_replaced", &LINKS);
}

#[test]
fn layouts_that_are_no_layouts_are_not_believed() {
    assert_all("layouts_that_are_no_layouts_are_not_believed", &LAYOUTS);
}

/// Programs go on until others are attached: no connection goes where it was dialled.
#[test]
fn programs_whose_links_are_in_a_wrong_place_go_on_until_they_are_replaced() {
    if !is_root("programs_whose_links_are_in_a_wrong_place_go_on_until_they_are_replaced") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    node.run(&split.mesh(&[("1", 1)]), &[]);
    let load = tcproute_tests::load::Load::start(&node.cgroup, split.dialled, 2);
    for (what, spoil) in LINKS.iter().filter(|(what, _)| {
        [
            "connect4 and connect6 are swapped",
            "a link with the name of none",
            "the links are another cgroup's",
            "links is renamed",
        ]
        .contains(what)
    }) {
        println!("{what}");
        load.wait_for_more(20);
        node.kill();
        let cgroup = fs::metadata(node.cgroup.path()).unwrap().ino();
        spoil(&Damage { pins: &node.pins(), cgroup });
        node.run(&split.mesh(&[("1", 1)]), &[]);
        load.wait_for_more(20);
        assert_eq!(node.programs().len(), 6, "{what}");
    }
    let seen = load.finish();
    println!("{seen:?}");
    assert_eq!((seen.failures, seen.other_peers), ([].into(), [].into()));
    assert_eq!(seen.names.keys().collect::<Vec<_>>(), ["v1"]);
}

/// As nobody, without any privilege.
fn nobody(program: &str) -> Command {
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", program]);
    setpriv
}

type Plant<'a> = (&'a str, &'a dyn Fn() -> Command);

#[test]
fn what_another_user_has_made_there_before_is_neither_used_nor_changed() {
    if !is_root("what_another_user_has_made_there_before_is_neither_used_nor_changed") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    let victim = tempfile::tempdir().unwrap();
    fs::set_permissions(victim.path(), PermissionsExt::from_mode(0o755)).unwrap();
    for directory in ["layout-docs", "next-important"] {
        fs::create_dir(victim.path().join(directory)).unwrap();
        fs::write(victim.path().join(directory).join("file"), "precious").unwrap();
    }
    let is_whole = || {
        let kept = ["layout-docs/file", "next-important/file"].map(|file| victim.path().join(file).exists());
        kept == [true; 2] && fs::metadata(victim.path()).unwrap().permissions().mode() & 0o777 == 0o755
    };
    let at = node.pins();
    let plants: [Plant; 3] = [
        ("a symbolic link", &|| {
            let mut ln = nobody("ln");
            ln.arg("-s").arg(victim.path()).arg(&at);
            ln
        }),
        ("a directory", &|| {
            let mut mkdir = nobody("mkdir");
            mkdir.args(["-m", "777"]).arg(&at);
            mkdir
        }),
        ("a directory with something in it", &|| {
            let mut mkdir = nobody("mkdir");
            mkdir.arg("-p").arg(at.join("links/1"));
            mkdir
        }),
    ];
    for (what, plant) in plants {
        stdout(&plant().output().unwrap());
        // It is not ours to remove.
        assert_eq!(node.detach(), "nothing is attached", "{what}");
        assert!(fs::symlink_metadata(&at).is_ok() && is_whole(), "{what}");

        let log = node.run(&split.mesh(&[("1", 1)]), &[]);
        assert!(log.text().contains("is not tcproute's"), "{what}");
        let ours = fs::symlink_metadata(&at).unwrap();
        assert!(ours.is_dir() && ours.uid() == 0 && ours.permissions().mode() & 0o7777 == 0o700, "{what}");
        // From now on nobody can do anything there.
        for attack in ["mv $0 $0-x", "rmdir $0", "chmod 777 $0", "ls $0", "flock -n $0 true", "mkdir $0/x"] {
            let output = nobody("sh").args(["-c", attack]).arg(&at).output().unwrap();
            assert!(!output.status.success(), "{what}: {attack}");
        }
        assert_eq!(node.ask(split.dialled, 3), [("v1".to_owned(), 3)].into(), "{what}");
        node.kill();
        assert_nothing_is_left(&node, what);
        assert!(is_whole(), "{what}");
    }
}

#[test]
fn what_root_has_put_there_is_moved_aside() {
    if !is_root("what_root_has_put_there_is_moved_aside") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    create(&node.pins(), FOREIGN);
    assert_runs_and_detaches(&mut node, &split, "tcproute is a map");
    let left = fs::read_dir(node.bpffs.path()).unwrap();
    let left: Vec<String> = left.map(|entry| name(&entry.unwrap().path())).collect();
    assert!(left.iter().any(|name| name.starts_with("tcproute-foreign-")), "{left:?}");
}

/// Nothing can be moved aside there: then it is told what to do.
#[test]
fn a_mount_in_the_place_of_the_pins_is_told_with_the_remedy() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    if !is_root("a_mount_in_the_place_of_the_pins_is_told_with_the_remedy") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    fs::create_dir(node.pins()).unwrap();
    mount(Some("tmpfs"), &node.pins(), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    let log = node.launch(&split.mesh(&[("1", 1)]), &[]);
    let ended = node.daemon.as_mut().unwrap().wait().unwrap();
    umount2(&node.pins(), MntFlags::MNT_DETACH).unwrap();
    let text = log.text();
    assert_eq!(ended.code(), Some(1), "{text}");
    assert!(text.contains(&format!("end that with `umount {}`", node.pins().display())), "{text}");
    assert_runs_and_detaches(&mut node, &split, "after the remedy");
}

#[test]
fn detach_tells_of_programs_that_are_pinned_elsewhere() {
    if !is_root("detach_tells_of_programs_that_are_pinned_elsewhere") {
        return;
    }
    let split = Split::new();
    let mut node = Node::new();
    node.run(&split.mesh(&[("1", 1)]), &[]);
    node.kill();
    fs::rename(node.pins(), node.bpffs.path().join("elsewhere")).unwrap();
    let detach =
        || Command::new(binary()).arg("detach").arg("--bpffs").arg(node.bpffs.path()).output().unwrap();
    let output = detach();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(stdout(&output), "nothing is attached");
    let cgroup = fs::metadata(node.cgroup.path()).unwrap().ino().to_string();
    assert!(told.contains("still attached") && told.contains(&cgroup), "{told}");
    fs::rename(node.bpffs.path().join("elsewhere"), node.pins()).unwrap();
    assert_nothing_is_left(&node, "put back");
}
