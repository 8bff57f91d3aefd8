//! What runs in a guest: the test binaries, tcproute, and the programs that the tests call.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{command, machine::Tree, test_targets, workspace};

/// Programs that the tests and the guest's first process call. Debian's own, not what else is on the path.
const PROGRAMS: [&str; 15] = [
    "/usr/bin/curl",
    "/usr/bin/nc",
    "/usr/bin/nsenter",
    "/usr/bin/python3",
    "/usr/bin/setarch",
    "/usr/bin/setpriv",
    "/usr/bin/umount",
    "/usr/bin/unshare",
    "/usr/sbin/bpftool",
    "/usr/sbin/ip",
    "/usr/sbin/ip6tables-legacy-restore",
    "/usr/sbin/ip6tables-nft-restore",
    "/usr/sbin/iptables-legacy-restore",
    "/usr/sbin/iptables-nft-restore",
    "/usr/sbin/nft",
];

/// What iptables loads for the matches and targets of rules.
const XTABLES: &str = "/usr/lib/x86_64-linux-gnu/xtables";

/// What busybox stands in for.
const APPLETS: [&str; 18] = [
    "cat", "cp", "grep", "ifconfig", "insmod", "kill", "ln", "ls", "mkdir", "mount", "poweroff", "rm", "sed",
    "sh", "sleep", "true", "false", "uname",
];

/// Parts of Python's library that no test imports.
const UNUSED_PYTHON: [&str; 9] =
    ["asyncio", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "unittest", "xml"];

/// Builds the kernel tests, and tells where they are.
pub(super) fn test_binaries() -> Result<Vec<PathBuf>> {
    let mut cargo = command::cargo();
    cargo.args(["test", "--package", "tcproute-tests", "--no-run"]).args(test_targets::of_kernels()?);
    cargo.arg("--message-format=json-render-diagnostics");
    let output =
        cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the tests do not compile");
    }
    let executable = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_test = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "test");
        is_test.then(|| message["executable"].as_str().map(PathBuf::from))?
    };
    let tests: Vec<PathBuf> = String::from_utf8(output.stdout)?.lines().filter_map(executable).collect();
    if tests.is_empty() {
        bail!("there are no tests");
    }
    Ok(tests)
}

/// Where the kernel tests are in a guest.
pub(super) fn places_of_tests(tests: Vec<PathBuf>) -> Result<Vec<(PathBuf, String)>> {
    let place = |test: PathBuf| {
        // cargo puts a hash behind the name.
        let name = test.file_name().context("a test without a name")?.to_string_lossy();
        let place = format!("/tests/{}", name.rsplit_once('-').map_or(&*name, |(name, _)| name));
        Ok((test, place))
    };
    tests.into_iter().map(place).collect()
}

/// Lays out the root of a guest with tcproute and these programs at their places, and tells where it is.
pub(super) fn content(binary: &Path, programs: &[(PathBuf, String)]) -> Result<PathBuf> {
    let root = workspace::target().join("vm/root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let tree = Tree::at(root);
    for directory in ["dev", "etc", "proc", "root", "run", "sys", "tmp"] {
        fs::create_dir_all(tree.root().join(directory))?;
    }
    tree.file(Path::new("/bin/busybox"), "/bin/busybox")?;
    for applet in APPLETS {
        symlink("busybox", tree.root().join("bin").join(applet))?;
    }
    for program in PROGRAMS {
        tree.program(Path::new(program), program)?;
    }
    tree.program(binary, "/bin/tcproute")?;
    for (program, place) in programs {
        tree.program(program, place)?;
        // Most of it is debug information, and a guest is slow to unpack and to page it. The linker, which has made
        // them, comes with it.
        command::run(Command::new("strip").arg("--strip-debug").arg(tree.inside(place)))?;
    }
    tree.all(Path::new(XTABLES))?;
    tree.python()?;
    // The tests find these where they were compiled.
    tree.all(&workspace::root().join("examples"))?;
    tree.all(&workspace::objects())?;
    fs::create_dir_all(tree.inside(&workspace::root().join("tests").to_string_lossy()))?;
    fs::write(tree.root().join("etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
    fs::write(tree.root().join("etc/nsswitch.conf"), "hosts: files dns\n")?;
    fs::write(tree.root().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n")?;
    let init = tree.root().join("init");
    fs::write(&init, include_str!("init.sh"))?;
    fs::set_permissions(&init, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(tree.into_root())
}

impl Tree {
    /// Python's library, as far as the tests use it.
    fn python(&self) -> Result<()> {
        let path = "import sysconfig; print(sysconfig.get_path('stdlib'))";
        let library = command::capture(Command::new("/usr/bin/python3").args(["-c", path]))?;
        let library = PathBuf::from(library.trim());
        self.directory(&library)?;
        // Not by the times of files: a guest may have unpacked them without.
        let compile = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s"];
        let mut python = Command::new("/usr/bin/python3");
        python.args(compile).arg(self.root()).arg(self.inside(&library.to_string_lossy()));
        // What cannot be compiled is not imported either.
        let _ = command::capture(&mut python);
        // Loaded by the resolver, and so not linked to.
        let nss = Path::new("/lib/x86_64-linux-gnu/libnss_files.so.2");
        if nss.exists() { self.program(nss, &nss.to_string_lossy()) } else { Ok(()) }
    }

    fn directory(&self, directory: &Path) -> Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !UNUSED_PYTHON.contains(&&*name) && name != "__pycache__" && !name.starts_with("config-") {
                    self.directory(&path)?;
                }
                continue;
            }
            match path.extension().and_then(OsStr::to_str) {
                Some("so") => self.program(&path, &path.to_string_lossy())?,
                Some("py") => self.file(&path, &path.to_string_lossy())?,
                _ => {}
            }
        }
        Ok(())
    }
}
