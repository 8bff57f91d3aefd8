//! The file system that a guest boots with: one archive that all kernels share, and a small one for each behind it
//! (<https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>).

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{command, machine::Kernel};

pub(super) struct Initramfs;

/// What a guest does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work<'w> {
    /// The tests whose name contains this, if there is anything.
    Tests(Option<&'w str>),
    /// One program with these arguments.
    Alone(&'w str, &'w [String]),
}

impl Work<'_> {
    /// The file that tells the guest.
    fn file(self) -> (&'static str, String) {
        match self {
            Self::Tests(filter) => ("filter", filter.unwrap_or_default().to_owned()),
            Self::Alone(program, arguments) => ("alone", format!("{program} {}", arguments.join(" "))),
        }
    }
}

impl Initramfs {
    /// Writes the image of a kernel.
    pub(super) fn pack(content: &Path, kernel: &Kernel, work: Work<'_>, image: &Path) -> Result<()> {
        let own = content.with_file_name("own");
        if own.exists() {
            fs::remove_dir_all(&own)?;
        }
        fs::create_dir_all(own.join("modules"))?;
        let (name, text) = work.file();
        fs::write(own.join(name), text)?;
        for (i, module) in kernel.modules.iter().enumerate() {
            // The guest loads them in the order of their names.
            let mut to = own.join(format!("modules/{i:03}.ko"));
            let packed = module.extension().is_some_and(|end| end == "xz");
            if packed {
                to.set_extension("ko.xz");
            }
            fs::copy(module, &to)?;
            if packed {
                command::run(Command::new("xz").arg("--decompress").arg(&to))?;
            }
        }
        let shared = content.with_extension("cpio");
        let behind = own.with_extension("cpio");
        archive(content, &shared)?;
        archive(&own, &behind)?;
        let mut all = fs::read(&shared)?;
        all.extend(fs::read(&behind)?);
        fs::write(image, all).with_context(|| format!("cannot write {}", image.display()))
    }
}

fn archive(directory: &Path, to: &Path) -> Result<()> {
    let names = command::capture(Command::new("find").arg(".").current_dir(directory))?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--create", "--format=newc", "--quiet", "--owner=+0:+0"]).current_dir(directory);
    let mut child = cpio.stdin(Stdio::piped()).stdout(fs::File::create(to)?).spawn()?;
    let mut input = child.stdin.take().context("cpio has no input")?;
    std::io::Write::write_all(&mut input, names.as_bytes())?;
    drop(input);
    if child.wait()?.success() { Ok(()) } else { bail!("cpio failed for {}", directory.display()) }
}
