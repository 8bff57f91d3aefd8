//! An unprivileged user against the admin endpoint on loopback: whatever he does there, root is answered on the unix
//! socket, changes come in force and connections go right.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{ask, script, stdout},
    is_root,
    process::Process,
    replace,
    routes::Split,
    tcproute::{Daemon, binary, get},
    wait_for,
};

struct Setup {
    split: Split,
    mesh: tcproute_tests::mesh::Mesh,
    cgroup: TestCgroup,
    admin: SocketAddr,
    daemon: Daemon,
}

impl Setup {
    /// Connections go to v1.
    fn new() -> Self {
        let (split, cgroup) = (Split::new(), TestCgroup::create());
        let admin = SocketAddr::from((Loopback::claim().ip(9, 1), 9901));
        let mesh = split.mesh(&[("1", 1)]);
        let listen = ["--admin-listen".to_owned(), admin.to_string()];
        let workloads = [("web", cgroup.path())];
        let daemon = Daemon::start_with(&mut Command::new(binary()), &mesh.file(), &workloads, &listen);
        Self { split, mesh, cgroup, admin, daemon }
    }

    /// A program of nobody that has all helpers of [`script`], `open(text)`, a connection on which the text was sent
    /// and nothing is read, and `hold()`, which says `ready` and stays until it is ended.
    fn nobody(&self, body: &str) -> Nobody {
        let (ip, port) = (self.admin.ip(), self.admin.port());
        let program = script(&format!(
            "
# Not by setpriv: the user may not be able to start this Python.
os.setgroups([]); os.setgid(65534); os.setuid(65534)
def open(text=''):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.settimeout(20)
    s.connect(('{ip}', {port}))
    try: s.send(text.encode())
    except ConnectionError: pass
    return s
def get(path): return 'GET ' + path + ' HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'
def hold(said='ready'):
    print(said, flush=True)
    sys.stdin.read()
{body}"
        ));
        let mut command = Command::new("python3");
        let mut child =
            command.args(["-SEc", &program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        Nobody { _process: Process(child), said: said.trim().to_owned() }
    }

    fn tcp(&self, what: &str) -> u64 {
        self.daemon.metric(&format!("tcproute_admin_{what}{{listener=\"tcp\"}}"))
    }

    /// In KiB.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.daemon.pid())).unwrap().count()
    }

    /// Root is answered, and a change to another version comes in force.
    fn works(&self, version: &str) {
        let status = stdout(&self.daemon.status(&[]));
        assert!(status.contains(": ready"), "{status}");
        replace(&self.mesh.file_path(), &self.split.mesh(&[(version, 1)]).text());
        let expected = [(format!("v{version}"), 1)].into();
        wait_for("the change is in force", || ask(&self.cgroup, self.split.dialled, 1) == expected);
    }
}

struct Nobody {
    _process: Process,
    said: String,
}

#[test]
fn idle_connections_only_displace_each_other() {
    if !is_root("idle_connections_only_displace_each_other") {
        return;
    }
    let setup = Setup::new();
    let (memory, files) = (setup.memory(), setup.files());
    let nobody = setup.nobody("all = [open() for _ in range(1000)]\nhold(len(all))");
    assert_eq!(nobody.said, "1000");
    setup.works("2");
    let taken = setup.tcp("connections");
    println!(
        "{taken} of {} connections, {} displaced, files {files} -> {}, memory {memory} -> {} KiB",
        setup.tcp("connections_limit"),
        setup.tcp("connections_displaced_total"),
        setup.files(),
        setup.memory()
    );
    assert!(taken <= setup.tcp("connections_limit"));
    assert!(setup.files() < files + 100);
    assert!(setup.memory() < memory + 32 * 1024);
    // A scraper gets in.
    assert_eq!(get(&[], &format!("http://{}/readyz", setup.admin)).0, 200);
    setup.works("3");
    wait_for("those that ask nothing are closed", || setup.tcp("connections") == 0);
    setup.works("1");
}

#[test]
fn heads_that_come_slowly_are_not_waited_for() {
    if !is_root("heads_that_come_slowly_are_not_waited_for") {
        return;
    }
    let setup = Setup::new();
    let nobody = setup.nobody(
        "
all = [open('GET /metrics HTTP/1.1\\r\\n') for _ in range(60)]
print('ready', flush=True)
while True:
    time.sleep(0.5)
    for s in all:
        try: s.send(b'X: y\\r\\n')
        except OSError: pass
",
    );
    wait_for("they are connected", || setup.tcp("connections") > 0);
    setup.works("2");
    wait_for("they are cut off", || setup.tcp("connections") == 0);
    drop(nobody);
    setup.works("3");
}

#[test]
fn answers_that_nobody_reads_are_given_up() {
    if !is_root("answers_that_nobody_reads_are_given_up") {
        return;
    }
    let setup = Setup::new();
    setup.works("2");
    let memory = setup.memory();
    let _nobody = setup.nobody("all = [open(get('/metrics') * 200) for _ in range(60)]\nhold()");
    setup.works("3");
    let after = setup.memory();
    println!("{} connections, memory {memory} -> {after} KiB", setup.tcp("connections"));
    assert!(after < memory + 80 * 1024);
    wait_for("they are cut off", || setup.tcp("connections") == 0);
    setup.works("1");
}

#[test]
fn traces_that_nobody_reads_are_few_and_end() {
    if !is_root("traces_that_nobody_reads_are_few_and_end") {
        return;
    }
    let setup = Setup::new();
    let nobody = setup.nobody(
        "
all = [open(get('/v1/trace')) for _ in range(20)]
hold(' '.join(sorted(s.recv(12).decode()[9:] for s in all)))
",
    );
    let limit = usize::try_from(setup.tcp("trace_listeners_limit")).unwrap();
    let codes: Vec<&str> = nobody.said.split(' ').collect();
    assert_eq!(codes.iter().filter(|code| **code == "200").count(), limit, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == "503").count(), 20 - limit, "{codes:?}");
    let memory = setup.memory();
    let made = ask(&setup.cgroup, setup.split.dialled, 5000);
    assert_eq!(made, [("v1".to_owned(), 5000)].into());
    println!("memory {memory} -> {} KiB", setup.memory());
    assert!(setup.memory() < memory + 32 * 1024);
    // Root listens all the same.
    let mut trace = Command::new(binary());
    trace.arg("trace").arg("--admin-socket").arg(setup.daemon.admin_socket()).args(["--count", "1"]);
    let mut trace = trace.stdout(Stdio::piped()).spawn().unwrap();
    wait_for("root listens", || {
        // It may have seen one of the last decisions already.
        let ended = trace.try_wait().unwrap().is_some();
        ended || setup.daemon.metric("tcproute_admin_trace_listeners{listener=\"unix\"}") == 1
    });
    setup.works("2");
    wait_for("root has seen a decision", || trace.try_wait().unwrap().is_some());
    let seen = std::io::read_to_string(trace.stdout.take().unwrap()).unwrap();
    assert!(seen.contains("established"), "{seen}");
    wait_for("those that do not read are gone", || {
        setup.works("3");
        setup.tcp("trace_listeners") == 0
    });
}

#[test]
fn pages_of_others_are_not_answered() {
    if !is_root("pages_of_others_are_not_answered") {
        return;
    }
    let setup = Setup::new();
    let code = |header: &str| {
        let arguments = ["--header", header].map(std::ffi::OsStr::new);
        get(&arguments, &format!("http://{}/v1/routes", setup.admin)).0
    };
    assert_eq!(code("Host: evil.example"), 421);
    assert_eq!(code("Origin: http://evil.example"), 403);
    assert_eq!(code("Sec-Fetch-Site: cross-site"), 403);
    assert_eq!(code("Host: localhost:9901"), 200);
    assert_eq!(code("Sec-Fetch-Site: none"), 200);
    let long = format!("X: {}", "y".repeat(100_000));
    assert_eq!(code(&long), 431);
}
