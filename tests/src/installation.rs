//! A root of a test's own over that of this machine: packages are installed in it, and this machine does not notice.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use crate::process::Process;

/// It goes when this is dropped. A process holds it that ends with the input that it has of this one.
pub struct Installation {
    holder: Process,
}

/// All that is written goes to memory. The kernel's own file systems are this machine's, but for bpffs and what tells
/// that systemd has started it.
const MOUNT: &str = "
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
for directory in proc sys dev; do mount --rbind /$directory /mnt/root/$directory; done
mount -t tmpfs tmpfs /mnt/root/run
mount -t bpf bpf /mnt/root/sys/fs/bpf
echo in
exec cat > /dev/null
";

impl Installation {
    /// A new one; if there cannot be any, says why.
    pub fn new() -> Result<Self, String> {
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "--propagation", "private", "sh", "-c", MOUNT]);
        holder.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = holder.spawn().map_err(|error| format!("cannot start unshare: {error}"))?;
        let output = holder.stdout.take().expect("it is piped");
        let this = Self { holder: Process(holder) };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a pipe can be read");
        if line == "in\n" {
            Ok(this)
        } else {
            Err("no root can be laid over that of this machine".to_owned())
        }
    }

    /// Where a path of it is seen from outside.
    pub fn path(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root/mnt/root{path}", self.holder.0.id()).into()
    }

    /// A command that will run in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.0.id().to_string()]);
        command.args(["chroot", "/mnt/root", program]).stdin(Stdio::null());
        command
    }

    /// Runs a command in it, which must succeed, and answers with what it printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(program, arguments);
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(output.status.success(), "{program} {arguments:?}: {stdout}{stderr}");
        format!("{stdout}{stderr}")
    }

    /// Runs a command in it.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().expect("nsenter can be started")
    }

    /// Writes a file in it.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory can be made");
        fs::write(path, content).expect("a file can be written");
    }
}
