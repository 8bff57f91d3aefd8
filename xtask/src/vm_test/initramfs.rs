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
    /// The tests.
    Tests(Which<'w>),
    /// One program with these arguments.
    Alone(&'w str, &'w [String]),
}

/// Which tests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Which<'w> {
    /// Those whose name contains this.
    pub(super) filter: Option<&'w str>,
    /// None of these files.
    pub(super) left_out: &'w [&'w str],
}

impl Work<'_> {
    /// The files that tell the guest.
    fn files(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Tests(Which { filter, left_out }) => {
                vec![("filter", filter.unwrap_or_default().to_owned()), ("left-out", left_out.join("\n"))]
            }
            Self::Alone(program, arguments) => {
                vec![("alone", format!("{program} {}", arguments.join(" ")))]
            }
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
        for (name, text) in work.files() {
            fs::write(own.join(name), text)?;
        }
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
