//! Programs of others at the same hooks.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tcproute_tests::{
    cgroup::TestCgroup,
    is_root,
    mesh::Mesh,
    tcproute::{Bpffs, Daemon, binary},
};

use crate::{checks, doctor, report};

/// `return 1` for connect4, loaded and pinned with nothing but bpf(2): other kernels are tested without a compiler.
const THEIRS: &str = r"
import ctypes, os, platform, resource, struct, sys
try: resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
except ValueError: pass # only kernels before 5.11 need it
libc = ctypes.CDLL(None, use_errno=True)
number = {'x86_64': 321, 'aarch64': 280}[platform.machine()]
address = ctypes.addressof
def bpf(command, attributes):
    data = ctypes.create_string_buffer(attributes)
    result = libc.syscall(number, command, data, len(attributes))
    if result < 0: raise OSError(ctypes.get_errno(), 'bpf', command)
    return result
code = ctypes.create_string_buffer(struct.pack('=BBhi', 0xb7, 0, 0, 1) + struct.pack('=BBhi', 0x95, 0, 0, 0))
license = ctypes.create_string_buffer(b'GPL')
BPF_PROG_LOAD, BPF_OBJ_PIN, CGROUP_SOCK_ADDR, INET4_CONNECT = 5, 6, 18, 10
program = bpf(BPF_PROG_LOAD, struct.pack(
    '=IIQQIIQII16sII', CGROUP_SOCK_ADDR, 2, address(code), address(license), 0, 0, 0, 0, 0, sys.argv[2].encode()[:15], 0, INET4_CONNECT))
path = ctypes.create_string_buffer(os.fsencode(sys.argv[1]))
bpf(BPF_OBJ_PIN, struct.pack('=QII', address(path), program, 0))
";

/// A program of somebody else that is called so, pinned.
fn theirs(bpffs: &Bpffs, name: &str) -> PathBuf {
    let pin = bpffs.path().join(name);
    let status = Command::new("python3").args(["-SEc", THEIRS]).arg(&pin).arg(name).status().unwrap();
    assert!(status.success());
    pin
}

fn attach(program: &Path, cgroup: &TestCgroup, flags: &[&str]) {
    let mut bpftool = Command::new("bpftool");
    bpftool
        .args(["cgroup", "attach"])
        .arg(cgroup.path())
        .args(["connect4", "pinned"])
        .arg(program)
        .args(flags);
    assert!(bpftool.status().unwrap().success());
}

#[test]
fn programs_of_others_are_listed_and_ours_are_not() {
    if !is_root("programs_of_others_are_listed_and_ours_are_not") {
        return;
    }
    let bpffs = Bpffs::mount();
    let program = theirs(&bpffs, "theirs");
    let [beside, alone] = [TestCgroup::create(), TestCgroup::create()];
    attach(&program, &beside, &["multi"]);
    attach(&program, &alone, &[]);
    let mut mesh = Mesh::new();
    mesh.outbound("db", "127.0.0.1:1".parse().unwrap());
    let daemon = Daemon::start(&mesh.file(), &[("web", beside.path())]);

    let output = doctor(&mut Command::new(binary()), daemon.bpffs.path());
    let report = report(&output);
    let others = checks(&report, "other-programs");
    // Tests that run at the same time have cgroups of their own.
    let about = |cgroup: &TestCgroup| -> Vec<&[String; 3]> {
        let path = cgroup.path().display().to_string();
        others.iter().filter(|[_, found, _]| found.contains(&path)).collect()
    };
    let [[status, found, _]] = about(&beside)[..] else { panic!("{others:#?}") };
    assert_eq!(status, "ok");
    assert!(found.contains("theirs (id "), "{found}");
    let [[status, found, remedy]] = about(&alone)[..] else { panic!("{others:#?}") };
    assert_eq!(status, "warning");
    assert!(found.contains("tcproute cannot be attached there or below"), "{found}");
    assert!(remedy.contains("BPF_F_ALLOW_MULTI"), "{remedy}");
    let path = alone.path().to_str().unwrap();
    let listed = report["others"].as_array().unwrap().iter().find(|other| other["cgroup"] == path).unwrap();
    assert_eq!((&listed["attachType"], &listed["attachMode"]), (&"connect4".into(), &"none".into()));
    assert_eq!(listed["name"], "theirs");
    let [_, found, _] = &checks(&report, "daemon")[0];
    assert_eq!(found, &format!("running with pid {}", daemon.pid()));
}

#[test]
fn known_programs_are_told_with_whose_they_are() {
    if !is_root("known_programs_are_told_with_whose_they_are") {
        return;
    }
    let bpffs = Bpffs::mount();
    let cgroup = TestCgroup::create();
    for name in ["cil_sock4_connect", "calico_connect_v4", "cgroup_connect4_prog"] {
        attach(&theirs(&bpffs, name), &cgroup, &["multi"]);
    }
    let report = report(&doctor(&mut Command::new(binary()), bpffs.path()));
    let path = cgroup.path().display().to_string();
    let others = checks(&report, "other-programs");
    let about = |name: &str| {
        let is_it = |found: &str| found.starts_with(name) && found.contains(&path);
        let all: Vec<_> = others.iter().filter(|[_, found, _]| is_it(found)).collect();
        let [[status, found, _]] = all[..] else { panic!("{name}: {others:#?}") };
        assert_eq!(status, "ok", "{found}");
        found.clone()
    };
    for (name, whose) in [
        ("cil_sock4_conne", "of Cilium's socket load balancer"),
        ("calico_connect_", "of Calico's connect-time load balancer"),
    ] {
        let found = about(name);
        assert!(found.contains(whose) && found.contains("both get along"), "{found}");
    }
    // It has none of Kmesh's maps.
    assert!(!about("cgroup_connect4").contains("Kmesh"));
    let owner = |name: &str| {
        let others = report["others"].as_array().unwrap();
        others.iter().find(|other| other["cgroup"] == path && other["name"] == name).unwrap()["owner"].clone()
    };
    assert_eq!(owner("cil_sock4_conne"), "cilium");
    assert_eq!(owner("calico_connect_"), "calico");
    assert!(owner("cgroup_connect4").is_null());
}
