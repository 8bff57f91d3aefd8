//! Network namespaces of a test's own.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Command,
    thread,
};

use nix::sched::{CloneFlags, setns};

use crate::cgroup::TestCgroup;

/// It goes when this is dropped, with the devices in it.
pub struct Namespace(String);

impl Namespace {
    /// One of that name; if there cannot be any, says why.
    pub fn add(name: String) -> Result<Self, String> {
        ip(&format!("netns add {name}"))?;
        Ok(Self(name))
    }

    /// As `ip` knows it.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The file that stands for it.
    pub fn file(&self) -> PathBuf {
        format!("/run/netns/{}", self.0).into()
    }

    /// A command that will run in it.
    pub fn command(&self, program: &str) -> Command {
        self.enter(Command::new("nsenter"), program)
    }

    /// The same, in a cgroup.
    pub fn command_in(&self, cgroup: &TestCgroup, program: &str) -> Command {
        self.enter(cgroup.command("nsenter"), program)
    }

    fn enter(&self, mut nsenter: Command, program: &str) -> Command {
        // `ip netns exec` would mount /sys anew, without the cgroups in it.
        nsenter.arg(format!("--net={}", self.file().display())).arg(program);
        nsenter
    }

    /// A socket in it that listens at this address.
    pub fn listen(&self, address: SocketAddr) -> TcpListener {
        let namespace = File::open(self.file()).expect("the namespace is there");
        // The thread that enters the namespace ends in it; its sockets stay where they were made.
        let listen = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("a namespace can be entered");
            TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"))
        };
        thread::spawn(listen).join().expect("a namespace can be listened in")
    }

    /// Sets `/proc/sys/net/name`.
    pub fn set(&self, name: &str, value: u32) {
        let script = format!("echo {value} > /proc/sys/net/{name}");
        let status = self.command("sh").args(["-c", &script]).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot set {name}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&format!("netns delete {}", self.0));
    }
}

/// Runs `ip` with these arguments; if that fails, says why.
pub fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.map_err(|error| format!("cannot start ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
