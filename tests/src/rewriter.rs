//! A program of somebody else, at a cgroup: it writes another destination into each connect() to one address.

use std::{
    fs::File,
    io,
    net::SocketAddrV4,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use nix::{
    libc,
    sys::resource::{RLIM_INFINITY, Resource, setrlimit},
};

use crate::cgroup::TestCgroup;

/// Attached until it is dropped.
pub struct Rewriter {
    link: OwnedFd,
}

/// Attached so that no other program may be there or below, until it is dropped.
pub struct Alone {
    program: OwnedFd,
    cgroup: File,
}

/// From the kernel's `include/uapi/linux/bpf.h`.
const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const LINK_CREATE: libc::c_long = 28;
const LINK_DETACH: libc::c_long = 34;
const CGROUP_SOCK_ADDR: u32 = 18;
const INET4_CONNECT: u32 = 10;

/// Where `struct bpf_sock_addr` has them.
const USER_IP4: u16 = 4;
const USER_PORT: u16 = 24;

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [u8; 16],
    device: u32,
    attach_type: u32,
}

#[repr(C)]
struct Link {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

impl Rewriter {
    /// Attaches it to a cgroup.
    pub fn attach(cgroup: &TestCgroup, from: SocketAddrV4, to: SocketAddrV4) -> Self {
        let program = load(&program(from, to)).expect("the kernel takes the program");
        let directory = File::open(cgroup.path()).expect("the cgroup is there");
        let mut attributes = Link {
            program: number(&program),
            target: number(&directory),
            attach_type: INET4_CONNECT,
            flags: 0,
        };
        let link = opened(LINK_CREATE, &mut attributes).expect("the program can be attached");
        Self { link }
    }
}

impl Drop for Rewriter {
    /// Closing it is not enough: a process that another test has forked has a copy until its exec().
    fn drop(&mut self) {
        let _ = bpf(LINK_DETACH, &mut number(&self.link));
    }
}

impl Alone {
    /// Attaches a program that changes nothing.
    pub fn attach(cgroup: &TestCgroup) -> Self {
        let nowhere = SocketAddrV4::new([0; 4].into(), 0);
        let program = load(&program(nowhere, nowhere)).expect("the kernel takes the program");
        let this = Self { program, cgroup: File::open(cgroup.path()).expect("the cgroup is there") };
        this.call(PROG_ATTACH).expect("the program can be attached");
        this
    }

    fn call(&self, command: libc::c_long) -> io::Result<()> {
        let mut attributes = Attach {
            target: number(&self.cgroup),
            program: number(&self.program),
            attach_type: INET4_CONNECT,
            flags: 0,
        };
        bpf(command, &mut attributes).map(drop)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.call(PROG_DETACH);
    }
}

fn load(instructions: &[u64]) -> io::Result<OwnedFd> {
    // Before 5.11 programs count against it; later it does not matter.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    let mut attributes = Load {
        kind: CGROUP_SOCK_ADDR,
        count: u32::try_from(instructions.len()).expect("it is short"),
        instructions: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        attach_type: INET4_CONNECT,
        ..Load::default()
    };
    attributes.name[..8].copy_from_slice(b"rewriter");
    opened(PROG_LOAD, &mut attributes)
}

/// The attributes must be those of the command, which answers with a file.
fn opened<T>(command: libc::c_long, attributes: &mut T) -> io::Result<OwnedFd> {
    let descriptor = bpf(command, attributes)?;
    // SAFETY: a new descriptor, which is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The attributes must be those of the command.
fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the attributes are those of the command, as long as is said, and what they point to lives until after the
    // call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(i32::try_from(answer).expect("a descriptor, or 0"))
}

fn number(file: &impl AsRawFd) -> u32 {
    file.as_raw_fd().try_into().expect("a descriptor is no negative number")
}

/// As the kernel reads them: the code, registers, an offset and a number.
const fn instruction(code: u8, registers: u8, offset: u16, number: u32) -> u64 {
    let [low, high] = offset.to_ne_bytes();
    let [a, b, c, d] = number.to_ne_bytes();
    u64::from_ne_bytes([code, registers, low, high, a, b, c, d])
}

fn program(from: SocketAddrV4, to: SocketAddrV4) -> Vec<u64> {
    let ip = |address: SocketAddrV4| u32::from_ne_bytes(address.ip().octets());
    let port = |address: SocketAddrV4| u32::from(address.port().to_be());
    // The context is in register 1.
    vec![
        // r2 = context.user_ip4; unless it is that, go on to the end
        instruction(0x61, 0x12, USER_IP4, 0),
        instruction(0xb4, 0x03, 0, ip(from)),
        instruction(0x5d, 0x32, 6, 0),
        // r2 = context.user_port; the same
        instruction(0x61, 0x12, USER_PORT, 0),
        instruction(0x55, 0x02, 4, port(from)),
        // context.user_ip4 = …, context.user_port = …
        instruction(0xb4, 0x02, 0, ip(to)),
        instruction(0x63, 0x21, USER_IP4, 0),
        instruction(0xb4, 0x02, 0, port(to)),
        instruction(0x63, 0x21, USER_PORT, 0),
        // return 1
        instruction(0xb4, 0x00, 0, 1),
        instruction(0x95, 0, 0, 0),
    ]
}
