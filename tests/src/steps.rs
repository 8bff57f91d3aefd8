//! A process stopped at each of its steps that change the kernel's state: at any of them it may be killed.
//!
//! Steps are those of its first thread: ptrace(2) follows no other here.

use std::{fmt, fs};

use nix::{
    libc,
    sys::{
        ptrace,
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// A system call that changes what outlives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(&'static str);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A process that is being followed. It dies with this process, and must be waited for.
pub struct Followed {
    pid: Pid,
    /// Whether it stands before a step, and so within a system call.
    in_step: bool,
}

impl Followed {
    /// Follows a process that has just been started, from about now on.
    pub fn seize(pid: u32) -> Self {
        let pid = Pid::from_raw(pid.try_into().expect("a pid"));
        let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL;
        ptrace::seize(pid, options).expect("a child can be traced");
        ptrace::interrupt(pid).expect("a child can be stopped");
        // The first stop is this one.
        let stopped = waitpid(pid, None).expect("a child can be waited for");
        assert!(matches!(stopped, WaitStatus::PtraceEvent(..)), "{stopped:?}");
        Self { pid, in_step: false }
    }

    /// Lets it go on until its next step, and tells which that is; the step is not made yet. `None` when the condition
    /// holds.
    pub fn next(&mut self, mut done: impl FnMut() -> bool) -> Option<Step> {
        if self.in_step {
            self.go_on();
        }
        loop {
            self.go_on();
            let call = self.call();
            let next = step(&call);
            self.in_step = next.is_some();
            if self.in_step {
                return next;
            }
            // Out of the call again.
            self.go_on();
            // Whoever tells may be another thread, so it is asked after each call.
            if done() {
                return None;
            }
        }
    }

    /// Goes on to the next entry to a system call or exit from it.
    fn go_on(&self) {
        let mut signal = None;
        loop {
            ptrace::syscall(self.pid, signal).expect("a stopped child can go on");
            match waitpid(self.pid, None).expect("a child can be waited for") {
                WaitStatus::PtraceSyscall(_) => return,
                WaitStatus::Stopped(_, passed) => signal = Some(passed),
                WaitStatus::PtraceEvent(..) => signal = None,
                ended => panic!("the process has ended: {ended:?}"),
            }
        }
    }

    /// The number and the arguments of the system call that it is in: `321 0x6 0x7ffd0 …` (proc_pid_syscall(5)).
    fn call(&self) -> Vec<i64> {
        let path = format!("/proc/{}/syscall", self.pid);
        let text = fs::read_to_string(path).expect("what a traced child does can be read");
        let number = |field: &str| match field.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
            None => field.parse().ok(),
        };
        text.split_whitespace().map_while(number).collect()
    }
}

/// Commands of bpf(2), from the kernel's `include/uapi/linux/bpf.h`.
const BPF: [(i64, &str); 6] = [
    (2, "update an element"),
    (3, "delete an element"),
    (6, "pin"),
    (28, "create a link"),
    (29, "update a link"),
    (34, "detach a link"),
];

const FILES: [(i64, &str); 4] = [
    (libc::SYS_mkdirat, "mkdir"),
    (libc::SYS_unlinkat, "unlink"),
    (libc::SYS_renameat, "rename"),
    (libc::SYS_renameat2, "rename"),
];

/// Those that newer architectures do without.
#[cfg(target_arch = "x86_64")]
const OLDER: [(i64, &str); 4] = [
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_rmdir, "rmdir"),
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_rename, "rename"),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [(i64, &str); 0] = [];

fn step(call: &[i64]) -> Option<Step> {
    let (number, arguments) = call.split_first()?;
    let (what, calls) = if *number == libc::SYS_bpf {
        (arguments.first()?, BPF.to_vec())
    } else {
        (number, [&FILES[..], &OLDER].concat())
    };
    let (_, name) = calls.into_iter().find(|(known, _)| known == what)?;
    Some(Step(name))
}
