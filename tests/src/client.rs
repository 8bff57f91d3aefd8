//! Clients: Python's sockets, which know nothing of tcproute. The programs are run by `python3 -SEc`, without what a
//! site adds to Python, since most of the time of a short test is that of its start.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use crate::cgroup::TestCgroup;

/// What the scripts share.
const PRELUDE: &str = r"
import collections, errno, os, select, socket, struct, sys, time
def name(s):
    data = b''
    while not data.endswith(b'\n'):
        part = s.recv(64)
        if not part: break
        data += part
    return data.decode().strip()
def family(host): return socket.AF_INET6 if ':' in host else socket.AF_INET
def dial(host, port):
    s = socket.socket(family(host), socket.SOCK_STREAM)
    s.settimeout(10)
    s.connect((host, port))
    return s
def answer(host, port):
    try:
        with dial(host, port) as s: return name(s)
    except OSError as e: return errno.errorcode.get(e.errno) or str(e)
def disconnect(s):
    # Takes long to load.
    import ctypes
    if ctypes.CDLL(None, use_errno=True).connect(s.fileno(), struct.pack('=H14x', 0), 16) != 0:
        raise OSError(ctypes.get_errno(), 'connect(AF_UNSPEC)')
def cookie(s):
    return int.from_bytes(s.getsockopt(socket.SOL_SOCKET, 57, 8), sys.byteorder)
def place(s):
    return cookie(s) & 0xffff
def one_cpu():
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
def with_the_place_of(first):
    # Cookies count up, in runs by CPU. Sockets of the cheapest kind use up those in between.
    cheap, wanted = socket.SocketType, place(first)
    for _ in range(1000000):
        s = cheap(socket.AF_UNIX, socket.SOCK_DGRAM)
        left = wanted - place(s) & 0xffff
        s.close()
        if left > 100: continue
        for _ in range(left):
            second = socket.socket()
            if place(second) == wanted: return second
            second.close()
    sys.exit('no two sockets have the same place')
";

/// A Python program with these helpers: `dial(host, port)`, `name(socket)`, `answer(host, port)`, which is a name or
/// that of an error, `disconnect(socket)`, `cookie(socket)`; and, on `one_cpu()`, `with_the_place_of(socket)`, a new
/// socket whose state belongs where that of another one is.
pub fn script(body: &str) -> String {
    format!("{PRELUDE}\n{body}")
}

/// A program that dials `count` times, checks getpeername each time, and prints `name count` lines.
pub fn counting(address: SocketAddr, count: u32) -> String {
    let (host, port) = (address.ip(), address.port());
    script(&format!(
        "
names = collections.Counter()
for _ in range({count}):
    with dial('{host}', {port}) as s:
        peer = s.getpeername()[:2]
        assert peer == ('{host}', {port}), peer
        names[name(s)] += 1
for n, c in sorted(names.items()): print(n, c)
"
    ))
}

/// Who answers how often, when somebody in this cgroup dials.
pub fn ask(cgroup: &TestCgroup, dialled: SocketAddr, count: u32) -> BTreeMap<String, u64> {
    counts(&dial(cgroup, dialled, count))
}

/// Whether a connection from this cgroup gets to the server of that name.
pub fn reaches(cgroup: &TestCgroup, dialled: SocketAddr, name: &str) -> bool {
    let output = dial(cgroup, dialled, 1);
    output.status.success() && counts(&output) == BTreeMap::from([(name.to_owned(), 1)])
}

fn dial(cgroup: &TestCgroup, dialled: SocketAddr, count: u32) -> Output {
    let mut client = cgroup.command("python3");
    client.args(["-SEc", &counting(dialled, count)]).output().expect("python3 can be started")
}

/// Reads what [`counting`] printed.
pub fn counts(output: &Output) -> BTreeMap<String, u64> {
    let text = stdout(output);
    let pairs = text.lines().map(|line| {
        let (name, count) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        (name.to_owned(), count.parse().unwrap_or_else(|_| panic!("{line:?}")))
    });
    pairs.collect()
}

/// Dials so often, whether anybody answers or not.
pub fn knock(cgroup: &TestCgroup, dialled: SocketAddr, count: u64) {
    let body = format!(
        "
to = ('{}', {})
for _ in range({count}):
    s = socket.socket()
    s.connect_ex(to)
    s.close()
",
        dialled.ip(),
        dialled.port()
    );
    let client = cgroup.command("python3").args(["-SEc", &script(&body)]).output();
    stdout(&client.expect("python3 can be started"));
}

/// The output of a command that must have succeeded.
pub fn stdout(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A Python program that prints a line when it has come to a point, and goes on when it is told to.
pub struct Client {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Client {
    /// Starts it with these helpers.
    pub fn start(mut command: Command, body: &str) -> Self {
        command.args(["-SEc", &script(body)]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the client runs");
        let output = BufReader::new(child.stdout.take().expect("the client runs"));
        Self { child, output }
    }

    /// What it prints next.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the client runs");
        assert!(!line.is_empty(), "the client has failed");
        line.trim().to_owned()
    }

    /// Tells it to go on.
    pub fn go_on(&mut self) {
        self.tell("");
    }

    /// Sends it a line.
    pub fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("the client runs");
        input.write_all(format!("{line}\n").as_bytes()).expect("the client runs");
    }

    /// Lets it end, and waits for that.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("the client runs").success());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
