//! Faults: a system call that fails once, at its how manieth time in a thread, and by which error.

use std::{collections::BTreeMap, fmt};

use fastrand::Rng;

/// The errors that are tried.
pub(crate) const ERRORS: [&str; 6] = ["EIO", "ENOMEM", "EMFILE", "ENOSPC", "EPERM", "EINTR"];

/// Calls that are never made to fail, and why.
const LEFT_OUT: [(&[&str], &str); 7] = [
    (
        &["exit", "exit_group", "rt_sigreturn", "restart_syscall", "sched_yield", "pause"],
        "they do not fail, or do not come back",
    ),
    (
        &[
            "getpid",
            "gettid",
            "getppid",
            "getuid",
            "geteuid",
            "getgid",
            "getegid",
            "getpgid",
            "uname",
            "clock_gettime",
            "sched_getaffinity",
            "umask",
            "rt_sigaction",
            "rt_sigprocmask",
            "sigaltstack",
            "sysinfo",
        ],
        "with arguments of their kind they have no way to fail",
    ),
    (
        &["arch_prctl", "set_tid_address", "set_robust_list", "rseq"],
        "the C library makes them for each thread, and has no way to fail them either",
    ),
    (&["brk"], "it tells no error: the kernel answers with the end of the memory as it is"),
    (&["futex"], "a wake-up that is not made is no error: the kernel always makes it"),
    (
        &["close", "close_range"],
        "the kernel closes a file also where it tells an error; an injected error leaves it open",
    ),
    (&["execve"], "it is that of the shell through which the daemon is started"),
];

/// Calls of which the kernel tells none of the errors but these.
const ONLY: [(&[&str], &[&str]); 3] = [
    (
        &[
            "epoll_wait",
            "epoll_pwait",
            "poll",
            "ppoll",
            "select",
            "nanosleep",
            "clock_nanosleep",
            "getrandom",
        ],
        &["EINTR"],
    ),
    (&["mmap", "munmap", "mprotect", "mremap", "madvise", "clone", "clone3"], &["ENOMEM"]),
    // Of a file that is open already it only makes others or changes flags.
    (&["fcntl"], &["EMFILE"]),
];

/// strace counts no further.
const MOST: u32 = 65_535;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) call: String,
    pub(crate) nth: u32,
    pub(crate) error: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, nth, error } = self;
        write!(f, "{call} no. {nth} with {error}")
    }
}

/// How often each call is made in a phase: by the thread that makes it most often, since strace counts for each thread.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    made: BTreeMap<String, u32>,
}

impl Calls {
    /// `made` is how often each was seen.
    pub(crate) fn new(made: BTreeMap<String, u32>) -> Self {
        let is_left_out = |call: &str| LEFT_OUT.iter().any(|(calls, _)| calls.contains(&call));
        Self { made: made.into_iter().filter(|(call, _)| !is_left_out(call)).collect() }
    }

    /// How many faults there are to choose from.
    pub(crate) fn faults(&self) -> u64 {
        self.made.iter().map(|(call, &made)| u64::from(made) * errors(call).len() as u64).sum()
    }

    /// One of them. A call that is made thousands of times is not chosen thousands of times as often.
    pub(crate) fn choose(&self, rng: &mut Rng) -> Option<Fault> {
        let weight = |made: u32| 2 + made.ilog2();
        let total: u32 = self.made.values().copied().map(weight).sum();
        let mut ticket = rng.u32(0..total.max(1));
        let (call, &made) = self.made.iter().find(|&(_, &made)| {
            let found = ticket < weight(made);
            ticket = ticket.saturating_sub(weight(made));
            found
        })?;
        let errors = errors(call);
        Some(Fault {
            call: call.clone(),
            nth: rng.u32(1..=made.min(MOST)),
            error: errors[rng.usize(..errors.len())],
        })
    }
}

/// The errors that a call may give.
fn errors(call: &str) -> &'static [&'static str] {
    ONLY.iter().find(|(calls, _)| calls.contains(&call)).map_or(&ERRORS, |(_, errors)| errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_chosen_and_none_that_is_left_out() {
        let made = [("bpf", 4000), ("openat", 3), ("epoll_wait", 9), ("close", 50)];
        let calls = Calls::new(made.map(|(call, made)| (call.to_owned(), made)).into());
        assert_eq!(calls.faults(), 6 * 4003 + 9);
        let mut rng = Rng::with_seed(1);
        let mut chosen: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..1000 {
            let fault = calls.choose(&mut rng).unwrap();
            assert!((1..=made.iter().find(|(call, _)| *call == fault.call).unwrap().1).contains(&fault.nth));
            assert!(fault.call != "epoll_wait" || fault.error == "EINTR", "{fault}");
            *chosen.entry(fault.call).or_default() += 1;
        }
        assert_eq!(chosen.keys().collect::<Vec<_>>(), ["bpf", "epoll_wait", "openat"]);
        assert!(chosen.values().all(|&times| times > 100), "{chosen:?}");
        assert!(Calls::default().choose(&mut rng).is_none());
    }
}
