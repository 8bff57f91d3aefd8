//! Network namespaces of a test's own.

use std::{
    fmt::Display,
    fs::{self, File},
    io::{self, BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use nix::sched::{CloneFlags, setns};

use crate::{cgroup::TestCgroup, process::Process};

/// It goes when this is dropped, with the devices in it. A process holds it that ends with the input that it has of
/// this one, so it goes as well when a test is killed.
pub struct Namespace(Process);

impl Namespace {
    /// A new one; if there cannot be any, says why.
    pub fn new() -> Result<Self, String> {
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sh", "-c", "echo in; exec cat > /dev/null"]);
        holder.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = holder.spawn().map_err(|error| format!("cannot start unshare: {error}"))?;
        let output = holder.stdout.take().expect("it is piped");
        let this = Self(Process(holder));
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a pipe can be read");
        if line == "in\n" { Ok(this) } else { Err("unshare --net fails".to_owned()) }
    }

    /// By which `ip` knows it.
    fn id(&self) -> u32 {
        self.0.0.id()
    }

    /// The file that stands for it.
    pub fn file(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.id()).into()
    }

    /// Its number, as lsns(8) shows it.
    pub fn inode(&self) -> u64 {
        fs::metadata(self.file()).expect("the namespace is there").ino()
    }

    /// Joins it to another one by a cable: each has an end of the name `eth0`.
    pub fn join(&self, other: &Self) -> Result<(), String> {
        let (one, other) = (self.id(), other.id());
        succeed(
            Command::new("ip"),
            &format!("link add eth0 netns {one} type veth peer name eth0 netns {other}"),
        )
    }

    /// Runs `ip` in it with these arguments; if that fails, says why.
    pub fn ip(&self, arguments: &str) -> Result<(), String> {
        succeed(self.command("ip"), arguments)
    }

    /// A command that will run in it.
    pub fn command(&self, program: &str) -> Command {
        self.enter(Command::new("nsenter"), program)
    }

    /// The same, in a cgroup.
    pub fn command_in(&self, cgroup: &TestCgroup, program: &str) -> Command {
        self.enter(cgroup.command("nsenter"), program)
    }

    /// A process that keeps it and is in the cgroup, as the pause container of a pod: by it, the namespace can be found
    /// from the cgroup.
    pub fn pause(&self, cgroup: &TestCgroup) -> Process {
        let mut command = self.command_in(cgroup, "sh");
        // It ends with its input, so with this process, too.
        command.args(["-c", "echo in; exec cat > /dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("sh can be started");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it prints a line");
        assert_eq!(line, "in\n", "the process does not get into the namespace");
        Process(child)
    }

    fn enter(&self, mut nsenter: Command, program: &str) -> Command {
        // `ip netns exec` would mount /sys anew, without the cgroups in it.
        nsenter.arg(format!("--net={}", self.file().display())).arg(program);
        nsenter
    }

    /// A socket in it that listens at this address.
    pub fn listen(&self, address: SocketAddr) -> TcpListener {
        self.inside(move || TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}")))
    }

    /// A connection from it.
    pub fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.inside(move || TcpStream::connect(address))
    }

    /// Whether anybody takes connections from it there.
    pub fn is_answered(&self, address: SocketAddr) -> bool {
        self.connect(address).is_ok()
    }

    fn inside<Made: Send + 'static>(&self, make: impl FnOnce() -> Made + Send + 'static) -> Made {
        let namespace = File::open(self.file()).expect("the namespace is there");
        // The thread that enters the namespace ends in it; its sockets stay where they were made.
        let make = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("a namespace can be entered");
            make()
        };
        thread::spawn(make).join().expect("a namespace can be entered by a thread")
    }

    /// Sets `/proc/sys/net/name`.
    pub fn set(&self, name: &str, value: impl Display) {
        let script = format!("echo {value} > /proc/sys/net/{name}");
        let status = self.command("sh").args(["-c", &script]).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot set {name}");
    }
}

fn succeed(mut ip: Command, arguments: &str) -> Result<(), String> {
    let output = ip.args(arguments.split(' ')).output();
    let output = output.map_err(|error| format!("cannot start ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
