//! Booting a guest and watching its console.

use std::{
    fmt,
    fs::OpenOptions,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::machine::{APPEND, EMULATED, Kernel};

/// How the processors of a guest come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accelerator {
    Kvm,
    Emulation,
    /// Emulation, in which each instruction takes a nanosecond and nothing else takes any time.
    Counting,
}

/// How the life of a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// All tests were run.
    Done,
    /// The kernel gave up.
    Panicked,
    /// It was ended for saying nothing for long.
    Hung,
    /// It was ended for taking too long.
    TimedOut,
    /// It never said anything.
    Silent,
    /// It ended before its tests did.
    Stopped,
}

/// What a guest said and how it ended.
pub(super) struct Console {
    pub(super) text: String,
    pub(super) ending: Ending,
    pub(super) took: Duration,
}

/// A guest that says nothing for so long from its start will not.
const SILENCE: Duration = Duration::from_mins(1);

/// The same of one that has. The longest test takes a third of it.
const QUIET: Duration = Duration::from_mins(10);

/// So long KVM is given to show that it works.
const PROBE: Duration = Duration::from_secs(15);

impl Accelerator {
    /// KVM only where a guest really starts with it: the device may be there and not work.
    pub(super) fn probe(guest: Option<&(Kernel, PathBuf)>) -> Self {
        let usable = OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
        let Some((kernel, image)) = guest.filter(|_| usable) else { return Self::Emulation };
        let started = start(kernel, image, Self::Kvm, "vm.probe");
        let console = started.and_then(|child| watch(child, PROBE, |_| ()));
        if console.is_ok_and(|console| console.ending == Ending::Done) { Self::Kvm } else { Self::Emulation }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Emulation => "emulation, as KVM does not work here",
            Self::Counting => "emulation, an instruction for a nanosecond",
        })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Panicked => "the kernel panicked",
            Self::Hung => "the guest hung and was ended",
            Self::TimedOut => "the guest was too slow and was ended",
            Self::Silent => "the guest said nothing",
            Self::Stopped => "the guest stopped before its tests did",
        })
    }
}

/// Boots a guest and waits for its end, but not for longer than `patience`. Each line of its console is heard as it is
/// said.
pub(super) fn boot(
    kernel: &Kernel,
    image: &Path,
    accelerator: Accelerator,
    patience: Duration,
    hear: impl FnMut(&str),
) -> Result<Console> {
    watch(start(kernel, image, accelerator, "")?, patience, hear)
}

/// Without cmpxchg16b, kernels from 6.18 on cannot allocate from within BPF, unless from caches that are being debugged
/// (`kmalloc_nolock` in mm/slub.c): F is the cheapest way of that, but dear all the same.
const DEBUG_CACHES: &str = "slub_debug=F";

fn start(kernel: &Kernel, image: &Path, accelerator: Accelerator, more: &str) -> Result<Child> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(match accelerator {
        Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
        Accelerator::Emulation | Accelerator::Counting => ["-accel", "tcg,thread=single", "-cpu", EMULATED],
    });
    qemu.args(match accelerator {
        Accelerator::Kvm | Accelerator::Emulation => &["-smp", "2"][..],
        // <https://www.qemu.org/docs/master/devel/tcg-icount.html>
        Accelerator::Counting => &["-smp", "1", "-icount", "shift=0,sleep=off"],
    });
    qemu.args(["-m", "2048", "-display", "none", "-serial", "stdio", "-monitor", "none"]);
    qemu.args(["-nic", "none", "-no-reboot", "-kernel"]).arg(&kernel.image).arg("-initrd").arg(image);
    let debug = accelerator != Accelerator::Kvm && !is_before_6_18(&kernel.version);
    let debug = if debug { DEBUG_CACHES } else { "" };
    qemu.arg("-append").arg(format!("{APPEND} {debug} {more}"));
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    qemu.spawn().context("cannot start qemu-system-x86_64")
}

/// Not if the version is not known.
fn is_before_6_18(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < (6, 18),
        _ => false,
    }
}

fn watch(mut child: Child, patience: Duration, mut hear: impl FnMut(&str)) -> Result<Console> {
    let start = Instant::now();
    let output = child.stdout.take().context("the console is not piped")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Some(Ok(line)) = lines.next() {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
        }
    });
    let mut text = String::new();
    let mut done = false;
    let mut spoke = false;
    let mut heard = start;
    let ending = loop {
        let quiet = if spoke { heard + QUIET } else { start + SILENCE };
        let until = quiet.min(start + patience);
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                heard = Instant::now();
                spoke |= line.starts_with("vm: ");
                done |= line == "vm: done";
                let panicked = line.contains("Kernel panic");
                hear(&line);
                text.push_str(&line);
                text.push('\n');
                if panicked {
                    break Ending::Panicked;
                }
            }
            Err(_) if done => break Ending::Done,
            Err(RecvTimeoutError::Disconnected) => break Ending::Stopped,
            Err(RecvTimeoutError::Timeout) if !spoke => break Ending::Silent,
            Err(RecvTimeoutError::Timeout) if quiet == until => break Ending::Hung,
            Err(RecvTimeoutError::Timeout) => break Ending::TimedOut,
        }
    };
    // It may have ended by itself.
    let _ = child.kill();
    child.wait()?;
    Ok(Console { text, ending, took: start.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_packages_are_compared() {
        let before = ["5.10.223-1", "6.1.176-1", "6.12.117-1"];
        assert!(before.into_iter().all(is_before_6_18));
        assert!(!["6.18.1-1", "7.2.13-1", "vmlinuz"].into_iter().any(is_before_6_18));
    }
}
