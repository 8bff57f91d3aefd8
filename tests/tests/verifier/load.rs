//! Loads each program a second time, by itself: aya keeps the verifier's log only of a program that was refused.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::Error,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    path::Path,
    ptr,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::MapData,
    programs::{CgroupSock, CgroupSockAddr, Program, SockOps},
};
use aya_obj::{
    Object,
    generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_prog_type},
};
use nix::libc;
use serde_json::json;
use tcproute::bpf::requirements::Features;
use tcproute_tests::tcproute::Bpffs;

use crate::statistics::Statistics;

/// `BPF_LOG_STATS` of include/linux/bpf_verifier.h.
const LOG_STATISTICS: u32 = 4;

/// A program as this kernel has it.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) name: String,
    /// Bytes after the verifier has rewritten it.
    translated: u32,
    /// Bytes of machine code; 0 where the JIT is off.
    jited: u32,
    pub(crate) statistics: Statistics,
}

impl Verified {
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let Self { name, translated, jited, statistics } = self;
        let Statistics { instructions, states, stack } = statistics;
        json!({"program": name, "instructions": instructions, "states": states, "stack": stack,
               "translated": translated, "jited": jited})
    }
}

/// All programs of the object, with the features that the agent finds on this kernel but for `others`, and its log off.
pub(crate) fn verify(others: &[(&'static str, u32)]) -> Vec<Verified> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/tcproute.bpf.o");
    let object = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Before 5.11 maps count against it; later it does not matter.
    let _ = nix::sys::resource::setrlimit(
        nix::sys::resource::Resource::RLIMIT_MEMLOCK,
        nix::sys::resource::RLIM_INFINITY,
        nix::sys::resource::RLIM_INFINITY,
    );
    let mut ebpf = load(&object, others);
    let sizes = sizes(&mut ebpf);
    let mut object = Object::parse(&object).unwrap();
    // The programs name the maps by their file descriptors.
    let _maps = relocate(&mut object, &ebpf);
    let mut programs: Vec<Verified> = sizes
        .into_iter()
        .map(|(name, (kind, [translated, jited]))| {
            let program = &object.programs[&name];
            let instructions = &object.functions[&program.function_key()].instructions;
            let log = log_of(kind, instructions, program.license.as_ptr());
            let statistics = Statistics::read(&log).unwrap_or_else(|| panic!("{name}: {log}"));
            Verified { name, translated, jited, statistics }
        })
        .collect();
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    programs
}

fn load(object: &[u8], others: &[(&'static str, u32)]) -> Ebpf {
    let globals = Features::probe().unwrap().globals();
    let mut loader = EbpfLoader::new();
    for (name, value) in globals.iter().chain(others) {
        loader.override_global(name, value, true);
    }
    loader.override_global("AYA_LOG_LEVEL", &0_u8, true);
    loader.load(object).unwrap()
}

type Kind = (bpf_prog_type, bpf_attach_type);

/// Loads the programs as the agent does, and tells their types and sizes.
fn sizes(ebpf: &mut Ebpf) -> BTreeMap<String, (Kind, [u32; 2])> {
    let sizes = ebpf.programs_mut().map(|(name, program)| {
        let attach_type = match name {
            "connect4" => bpf_attach_type::BPF_CGROUP_INET4_CONNECT,
            "connect6" => bpf_attach_type::BPF_CGROUP_INET6_CONNECT,
            "getpeername4" => bpf_attach_type::BPF_CGROUP_INET4_GETPEERNAME,
            "getpeername6" => bpf_attach_type::BPF_CGROUP_INET6_GETPEERNAME,
            "sock_ops" => bpf_attach_type::BPF_CGROUP_SOCK_OPS,
            "sock_release" => bpf_attach_type::BPF_CGROUP_INET_SOCK_RELEASE,
            other => panic!("what is {other} attached to?"),
        };
        let (kind, info) = match program {
            Program::CgroupSockAddr(_) => {
                let program: &mut CgroupSockAddr = program.try_into().unwrap();
                program.load().unwrap();
                (bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, program.info().unwrap())
            }
            Program::CgroupSock(_) => {
                let program: &mut CgroupSock = program.try_into().unwrap();
                program.load().unwrap();
                (bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK, program.info().unwrap())
            }
            Program::SockOps(_) => {
                let program: &mut SockOps = program.try_into().unwrap();
                program.load().unwrap();
                (bpf_prog_type::BPF_PROG_TYPE_SOCK_OPS, program.info().unwrap())
            }
            other => panic!("{name} is of type {:?}", other.prog_type()),
        };
        let sizes = [info.size_translated().unwrap_or(0), info.size_jitted()];
        (name.to_owned(), ((kind, attach_type), sizes))
    });
    sizes.collect()
}

/// Puts the maps that aya has made into the instructions, and answers with them.
fn relocate(object: &mut Object, ebpf: &Ebpf) -> Vec<MapData> {
    let bpffs = Bpffs::mount();
    let made: Vec<(String, MapData)> = ebpf
        .maps()
        .enumerate()
        .map(|(i, (name, map))| {
            // Names of maps may have a dot, which names of pins may not.
            let pin = bpffs.path().join(i.to_string());
            map.pin(&pin).unwrap();
            (name.to_owned(), MapData::from_pin(&pin).unwrap())
        })
        .collect();
    let parsed = object.maps.clone();
    let maps = made.iter().map(|(name, map)| (name.as_str(), map.fd().as_fd().as_raw_fd(), &parsed[name]));
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(maps, &sections).unwrap();
    object.relocate_calls(&sections).unwrap();
    made.into_iter().map(|(_, map)| map).collect()
}

/// The log of loading a program (bpf(2), `BPF_PROG_LOAD`).
fn log_of((kind, attach_type): Kind, instructions: &[bpf_insn], license: *const core::ffi::c_char) -> String {
    let mut log = vec![0_u8; 1 << 16];
    // SAFETY: the union is made of integers, for which all zeros are a value.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: `BPF_PROG_LOAD` reads this member of the union.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = kind as u32;
    load.expected_attach_type = attach_type as u32;
    load.insns = instructions.as_ptr().addr() as u64;
    load.insn_cnt = u32::try_from(instructions.len()).unwrap();
    load.license = license.addr() as u64;
    load.log_level = LOG_STATISTICS;
    load.log_size = u32::try_from(log.len()).unwrap();
    load.log_buf = log.as_mut_ptr().addr() as u64;
    let command = bpf_cmd::BPF_PROG_LOAD as libc::c_long;
    // SAFETY: the instructions, the licence and the buffer of the log are alive and as long as is said.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(&mut attr), size_of::<bpf_attr>()) };
    let error = Error::last_os_error();
    let text = String::from_utf8_lossy(log.split(|&byte| byte == 0).next().unwrap()).into_owned();
    assert!(fd >= 0, "{error}: {text}");
    // SAFETY: a file descriptor that the kernel has just made for this call.
    drop(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) });
    text
}
