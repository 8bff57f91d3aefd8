//! System calls that the daemon never makes once it runs, and that would help whoever takes it over: the kernel refuses
//! them from then on (seccomp(2)).

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// To start other programs, and to look into other processes.
const PROCESSES: [i64; 5] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
];

/// To become another user.
const USERS: [i64; 10] = [
    libc::SYS_capset,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
];

/// To see other files than those that are mounted.
const MOUNTS: [i64; 11] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
];

/// To change the machine.
const MACHINE: [i64; 15] = [
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Others by which kernels were attacked, and of which nothing here makes use.
const OTHERS: [i64; 6] = [
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_personality,
];

/// Refuses them with EPERM to this thread and all that it starts, for good. `visits` is whether other network
/// namespaces are visited. Takes `no_new_privs`.
pub fn confine(visits: bool) -> Result<()> {
    let setns = (!visits).then_some(libc::SYS_setns);
    let refused = PROCESSES.into_iter().chain(USERS).chain(MOUNTS).chain(MACHINE).chain(OTHERS).chain(setns);
    // No rule about arguments: whatever they are.
    let rules = refused.map(|call| (call, Vec::new())).collect::<BTreeMap<_, _>>();
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let architecture =
        std::env::consts::ARCH.try_into().context("there is no filter for this architecture")?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture);
    let program: BpfProgram =
        filter.and_then(TryInto::try_into).context("cannot make a filter of system calls")?;
    seccompiler::apply_filter(&program).context("cannot have system calls refused")
}

/// Whether a filter is in force in this thread.
pub fn is_confined() -> bool {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

#[cfg(test)]
mod tests {
    use std::{io, process::Command, thread};

    use nix::{
        sched::{CloneFlags, unshare},
        sys::prctl::set_no_new_privs,
    };

    use super::*;

    #[test]
    fn a_thread_that_is_confined_starts_nothing_and_goes_nowhere() {
        // Filters are a thread's own.
        let confined = thread::spawn(|| {
            set_no_new_privs().unwrap();
            confine(false).unwrap();
            assert!(is_confined());
            let error = Command::new("/bin/true").spawn().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}");
            let error: io::Error = unshare(CloneFlags::empty()).unwrap_err().into();
            assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}");
            fs::read("/proc/self/status").unwrap();
        });
        confined.join().unwrap();
        assert!(!is_confined());
        assert!(Command::new("/bin/true").status().unwrap().success());
    }
}
