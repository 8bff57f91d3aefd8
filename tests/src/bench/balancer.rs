//! The socket balancer to compare with, and the program that does nothing.

use std::{fs::File, net::SocketAddrV4, path::PathBuf};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf,
    maps::HashMap,
    programs::{CgroupAttachMode, Program},
};

use crate::cgroup::TestCgroup;

/// The loaded object. When it is dropped, its programs are detached.
pub struct Balancer {
    ebpf: Ebpf,
}

impl Balancer {
    /// With one service.
    pub fn load(service: SocketAddrV4, backends: &[SocketAddrV4]) -> Result<Self> {
        let path = object();
        let mut ebpf = Ebpf::load_file(&path)
            .with_context(|| format!("cannot load {}: run `cargo xtask build-ebpf`", path.display()))?;
        let map = ebpf.map_mut("lb_services").context("the balancer has no map lb_services")?;
        let mut services: HashMap<_, [u32; 3], [u32; 3]> = HashMap::try_from(map)?;
        let [address, port] = peer(service);
        let count = u32::try_from(backends.len())?;
        services.insert([address, port, 0], [count, 0, 0], 0)?;
        for (number, backend) in (1..).zip(backends) {
            let [backend_address, backend_port] = peer(*backend);
            services.insert([address, port, number], [0, backend_address, backend_port], 0)?;
        }
        for (name, program) in ebpf.programs_mut() {
            let loaded = match program {
                Program::CgroupSockAddr(program) => program.load(),
                Program::CgroupSock(program) => program.load(),
                _ => continue,
            };
            loaded.with_context(|| format!("the kernel refuses the program {name}"))?;
        }
        Ok(Self { ebpf })
    }

    /// Attaches one of its programs.
    pub fn attach(&mut self, name: &str, cgroup: &TestCgroup) -> Result<()> {
        let at = || format!("cannot attach {name} to {}", cgroup.path().display());
        let directory = File::open(cgroup.path()).with_context(at)?;
        // As a link, so "multi" all the same.
        let mode = CgroupAttachMode::Single;
        match self.ebpf.program_mut(name) {
            Some(Program::CgroupSockAddr(program)) => program.attach(directory, mode).map(drop),
            Some(Program::CgroupSock(program)) => program.attach(directory, mode).map(drop),
            _ => bail!("the balancer has no program {name}"),
        }
        .with_context(at)
    }
}

/// `TCPROUTE_LRU_BALANCER`, or where `cargo xtask build-ebpf` puts it.
fn object() -> PathBuf {
    std::env::var_os("TCPROUTE_LRU_BALANCER").map_or_else(
        || [env!("CARGO_MANIFEST_DIR"), "../target/bpf/lru-balancer.bpf.o"].iter().collect(),
        PathBuf::from,
    )
}

/// As the kernel has them in `user_ip4` and `user_port`.
fn peer(address: SocketAddrV4) -> [u32; 2] {
    [u32::from_ne_bytes(address.ip().octets()), u32::from(address.port().to_be())]
}
