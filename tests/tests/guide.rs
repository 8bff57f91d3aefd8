//! What the pages show of the binary, it does: their commands are run as they stand there, and what they print is
//! compared.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tcproute_tests::{
    cgroup::TestCgroup,
    client::{script, stdout},
    is_root,
    process::Process,
    sample::{Sample, blocks, is_as_shown},
    server::Server,
    tcproute::{Bpffs, ask, binary, wait_ready},
    wait_for,
};

/// In the order in which the pages send a reader on.
const PAGES: [(&str, &str); 8] = [
    ("install.md", include_str!("../../docs/guide/install.md")),
    ("first-canary.md", include_str!("../../docs/guide/first-canary.md")),
    ("check-files.md", include_str!("../../docs/guide/check-files.md")),
    ("live-changes.md", include_str!("../../docs/guide/live-changes.md")),
    ("list-what-there-is.md", include_str!("../../docs/guide/list-what-there-is.md")),
    ("trace-a-connection.md", include_str!("../../docs/guide/trace-a-connection.md")),
    ("look-into-the-kernel.md", include_str!("../../docs/guide/look-into-the-kernel.md")),
    ("detach.md", include_str!("../../docs/guide/detach.md")),
];

/// A shell with tcproute in its path, in a directory that has the examples.
struct Shell {
    directory: tempfile::TempDir,
}

impl Shell {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(fs::canonicalize(binary()).unwrap(), bin.join("tcproute")).unwrap();
        // Whoever runs this is root already, or needs no root.
        let sudo = bin.join("sudo");
        fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n").unwrap();
        fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).unwrap();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        symlink(examples, directory.path().join("examples")).unwrap();
        Self { directory }
    }

    fn command(&self, line: &str) -> Command {
        let bin = self.directory.path().join("bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).env("PATH", path).current_dir(self.directory.path()).stdin(Stdio::null());
        shell
    }

    /// What it prints, errors last.
    fn run(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }
}

#[test]
fn what_needs_no_kernel_prints_what_the_pages_show() {
    let mut count = 0;
    for (name, page) in PAGES {
        let shell = Shell::open();
        for block in blocks(page) {
            if let Some(file) = block.info.strip_prefix("yaml ") {
                let path = shell.directory.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, block.text).unwrap();
            } else if block.info == "console" {
                for Sample { command, shown } in block.samples() {
                    let output = shell.run(&command);
                    assert!(is_as_shown(&shown, &output), "{name}: {command}\n{output}\nand not\n{shown}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 5, "there are only {count} samples");
}

/// What the pages call by other names.
struct Node {
    shell: Shell,
    cgroup: TestCgroup,
    bpffs: Bpffs,
    daemon: Option<Process>,
    _servers: Vec<Server>,
}

/// The outbound of the example.
const DIALLED: (&str, u16) = ("127.0.0.1", 10001);

fn dialled() -> String {
    let (ip, port) = DIALLED;
    format!("{ip}:{port}")
}

impl Node {
    fn new() -> Self {
        let backends = [[127, 0, 1, 1], [127, 0, 1, 2], [127, 0, 2, 1]];
        let server = |ip| Server::start_http(SocketAddr::from((ip, 3001)));
        Self {
            shell: Shell::open(),
            cgroup: TestCgroup::create(),
            bpffs: Bpffs::mount(),
            daemon: None,
            _servers: backends.map(server).into(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.shell.directory.path().join(name)
    }

    fn admin_socket(&self) -> PathBuf {
        self.at("run/admin.sock")
    }

    /// The command as it is run here.
    fn meant(&self, command: &str) -> String {
        let command = command
            .replace("/system.slice/frontend.service", &self.cgroup.path().display().to_string())
            .replace("/etc/mesh", &self.at("mesh").display().to_string())
            .replace("/sys/fs/bpf", &self.bpffs.path().display().to_string());
        let asks = format!("--admin-socket {}", self.admin_socket().display());
        let pins = format!("--bpffs {}", self.bpffs.path().display());
        let subcommand = command.strip_prefix("sudo tcproute ").and_then(|rest| rest.split(' ').next());
        match subcommand {
            Some("run") => format!("{command} {asks} {pins} --state-dir {}", self.at("state").display()),
            Some("status" | "stats" | "get" | "trace") => format!("{command} {asks}"),
            Some("detach") => format!("{command} {pins}"),
            _ => command,
        }
    }

    /// What was printed, as a reader of the page would see it.
    fn seen(&self, output: &str) -> String {
        let cgroup = self.cgroup.path().display().to_string();
        let mesh = self.at("mesh").display().to_string();
        // On a slow machine a file is looked at once more after its change was found, and is as it was.
        let output = output.replace("change   unchanged", "change   applied");
        output.replace(&cgroup, "/sys/fs/cgroup/system.slice/frontend.service").replace(&mesh, "/etc/mesh")
    }

    /// The application of the pages.
    fn connect(&self, count: u32) {
        let client = script(&format!("for _ in range({count}): dial{DIALLED:?}.close()"));
        stdout(&self.cgroup.command("python3").args(["-SEc", &client]).output().unwrap());
    }

    fn start(&mut self, command: &str) -> String {
        let log = self.at("log");
        let mut daemon = self.shell.command(&format!("exec {}", command.trim_start_matches("sudo ")));
        let daemon = daemon.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        let daemon = self.daemon.insert(Process(daemon));
        let socket = self.shell.directory.path().join("run/admin.sock");
        wait_ready(daemon, &socket);
        let text = || fs::read_to_string(&log).unwrap();
        wait_for("it says so", || text().contains("routes in force"));
        text()
    }

    fn is_traced(&self) -> bool {
        ask(&self.admin_socket(), "/metrics").1.contains("tcproute_trace_listeners 1\n")
    }

    /// Does what the page says, and tells what is seen.
    fn show(&mut self, Sample { command, shown }: &Sample) -> String {
        let meant = self.meant(command);
        let tcproute = meant.strip_prefix("sudo tcproute ").unwrap_or_default();
        if tcproute.starts_with("run ") {
            let log = self.start(&meant);
            return self.seen(&log);
        }
        if tcproute.starts_with("trace ") {
            let trace = self.shell.command(&meant).stdout(Stdio::piped()).spawn().unwrap();
            wait_for("it listens", || self.is_traced());
            stdout(&self.cgroup.command("curl").args(["--silent", &dialled()]).output().unwrap());
            return stdout(&trace.wait_with_output().unwrap());
        }
        if tcproute.starts_with("stats ") {
            self.connect(200);
        }
        if tcproute.starts_with("detach ") {
            assert_eq!(self.daemon.take().unwrap().stop(), Some(0));
            // Errors tell of what others have attached on this machine.
            return stdout(&self.shell.command(&meant).output().unwrap());
        }
        if tcproute.starts_with("status ") {
            // A change takes its time.
            let mut output = String::new();
            wait_for("it tells what the page shows", || {
                let now = self.seen(&self.shell.run(&meant));
                if now != output {
                    println!("{now}");
                }
                output = now;
                is_as_shown(shown, &output)
            });
            return output;
        }
        self.seen(&self.shell.run(&meant))
    }
}

#[test]
fn a_node_does_what_the_pages_show() {
    if !is_root("a_node_does_what_the_pages_show") {
        return;
    }
    let readme = [("README.md", include_str!("../../README.md"))];
    // One after the other: all serve and dial the addresses of the example.
    for (pages, least) in [(&readme[..], 2), (&PAGES[..], 8)] {
        let count = show_all(&mut Node::new(), pages);
        assert!(count >= least, "there are only {count} samples");
    }
}

/// How many samples there were.
fn show_all(node: &mut Node, pages: &[(&str, &str)]) -> usize {
    let mut count = 0;
    for (name, page) in pages {
        for block in blocks(page).into_iter().filter(|block| block.info == "console node") {
            for sample in block.samples() {
                let output = node.show(&sample);
                let Sample { command, shown } = &sample;
                let is_right = if command.ends_with("tcproute doctor") {
                    has_the_checks(shown, &output)
                } else {
                    is_as_shown(shown, &output)
                };
                assert!(is_right, "{name}: {command}\n{output}\nand not\n{shown}");
                count += 1;
            }
        }
    }
    count
}

/// What a node lacks is another thing on each: the checks that the page shows are there, and the columns are the same.
fn has_the_checks(shown: &str, output: &str) -> bool {
    let is_check = |line: &&str| line.starts_with("ok ") || line.starts_with("MISSING ");
    let id = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let ids: Vec<_> = output.lines().filter_map(id).collect();
    let head = |text: &str| {
        text.trim_start().lines().next().map(|line| line.split_whitespace().eq(["CHECK", "FOUND"]))
    };
    head(shown) == Some(true)
        && head(output) == Some(true)
        && shown.lines().filter(is_check).all(|line| id(line).is_some_and(|id| ids.contains(&id)))
}
