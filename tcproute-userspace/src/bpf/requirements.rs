//! What the node must offer, checked before anything is loaded, each with its remedy.

use std::fmt;

use anyhow::{Result, bail};
use aya::{
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported},
};
use nix::sys::{resource, utsname::uname};
use tracing::debug;

use super::kernel_btf::KernelBtf;
use crate::{
    netns,
    privileges::{can_load, effective},
};

/// The oldest kernel that has all that is used: 5.10, the oldest one that is tested.
pub const OLDEST: KernelVersion = KernelVersion { major: 5, minor: 10 };

/// A kernel's version as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    major: u32,
    minor: u32,
}

impl KernelVersion {
    /// From a release such as `6.1.0-32-cloud-amd64`.
    pub fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        Some(Self { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Whether processors of this kind show each other their stores in the order in which they were made.
const STORES_IN_ORDER: bool = cfg!(target_arch = "x86_64");

/// What this kernel can do beyond the oldest one, found by trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// A refused connection fails with ECONNREFUSED; otherwise with EPERM.
    pub refuses_with_econnrefused: bool,
    /// `getpeername` of an MPTCP socket answers with the dialled address.
    pub names_mptcp_peers: bool,
    /// Programs may ask which process connects.
    pub names_processes: bool,
    /// Where `sk_err` stands in `struct sock`. Without it, failed attempts are not told apart.
    pub socket_error_offset: Option<u32>,
    /// Where `sk_uid` stands in `struct sock`. Without it, the sidecar is known by the user that dials, which takes
    /// longer.
    pub socket_user_offset: Option<u32>,
    /// Where `skc_cookie` stands in `struct sock_common`. Without it, each socket that connects is asked for its
    /// cookie, which takes longer.
    pub socket_cookie_offset: Option<u32>,
    /// By what network namespaces are told apart. Without it, no sidecar is got past.
    pub namespaces: Option<NamespaceKeys>,
}

/// By what programs and their loader tell network namespaces apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceKeys {
    /// Their cookies.
    Cookies,
    /// Their inodes: before 5.14 cookies are told to programs only.
    Inodes {
        /// Where `skc_net` stands in `struct sock_common`.
        net: u32,
        /// Where `ns.inum` stands in `struct net`.
        inum: u32,
    },
}

impl Features {
    /// Asks the kernel.
    pub fn probe() -> Result<Self> {
        let has = |helper| is_helper_supported(ProgramType::CgroupSockAddr, helper);
        let btf = KernelBtf::read();
        Ok(Self {
            refuses_with_econnrefused: has(BpfHelper::BPF_FUNC_set_retval)?,
            names_mptcp_peers: has(BpfHelper::BPF_FUNC_skc_to_mptcp_sock)?,
            names_processes: has(BpfHelper::BPF_FUNC_get_current_pid_tgid)?
                && has(BpfHelper::BPF_FUNC_get_current_comm)?,
            socket_error_offset: btf.as_ref().and_then(KernelBtf::socket_error_offset),
            socket_user_offset: btf.as_ref().and_then(KernelBtf::socket_user_offset),
            socket_cookie_offset: btf.as_ref().and_then(KernelBtf::socket_cookie_offset),
            namespaces: match netns::cookie()? {
                Some(_) => Some(NamespaceKeys::Cookies),
                None => btf
                    .as_ref()
                    .and_then(KernelBtf::namespace_offsets)
                    .map(|(net, inum)| NamespaceKeys::Inodes { net, inum }),
            },
        })
    }

    /// As the programs know them: global constants.
    pub fn globals(&self) -> [(&'static str, u32); 9] {
        let (net, inum) = match self.namespaces {
            Some(NamespaceKeys::Inodes { net, inum }) => (net, inum),
            Some(NamespaceKeys::Cookies) | None => (0, 0),
        };
        [
            ("NET_OFFSET", net),
            ("INUM_OFFSET", inum),
            ("HAS_SET_RETVAL", u32::from(self.refuses_with_econnrefused)),
            ("HAS_MPTCP_SOCK", u32::from(self.names_mptcp_peers)),
            ("HAS_CURRENT", u32::from(self.names_processes)),
            ("STORES_IN_ORDER", u32::from(STORES_IN_ORDER)),
            ("SOCKET_ERROR_OFFSET", self.socket_error_offset.unwrap_or(0)),
            ("SOCKET_USER_OFFSET", self.socket_user_offset.unwrap_or(0)),
            ("SOCKET_COOKIE_OFFSET", self.socket_cookie_offset.unwrap_or(0)),
        ]
    }
}

/// Fails, with the remedy, if this process may not load programs or the kernel is too old for them.
pub fn check() -> Result<()> {
    let name = uname()?;
    let release = name.release().to_string_lossy();
    match KernelVersion::parse(&release) {
        Some(version) if version < OLDEST => {
            bail!("this kernel is {release}, and tcproute needs {OLDEST} or later: boot a newer kernel")
        }
        Some(_) => {}
        None => debug!("cannot read a version out of the kernel release {release:?}; going on"),
    }
    if !can_load(&effective()?) {
        bail!(
            "loading eBPF programs needs root, or {CAPABILITIES}: run it with sudo, or in a privileged container"
        );
    }
    Ok(())
}

/// Fails if the kernel could not be asked what it can do. aya takes an error for a no, once and for all; but these
/// every kernel can from the oldest on that there is to be.
pub(super) fn check_detected() -> Result<()> {
    let known = aya::features();
    let describes_maps =
        known.btf().is_some_and(|btf| btf.btf_func() && btf.btf_func_global() && btf.btf_datasec());
    if describes_maps && known.bpf_name() && known.bpf_global_data() && known.bpf_probe_read_kernel() {
        return Ok(());
    }
    bail!("the kernel could not be asked what it can do, by an error that is not known: start tcproute anew")
}

/// What it takes, in words.
pub const CAPABILITIES: &str = "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";

/// Raises the limits of open files and of locked memory as far as they go. A failure is told where it matters.
pub fn raise_limits() {
    let _ = raise_open_files();
    let _ = raise_memlock();
}

/// Maps and programs count against RLIMIT_MEMLOCK before this kernel. Later ones charge the memory cgroup, and a
/// failure does not matter there.
pub const WITHOUT_MEMLOCK: KernelVersion = KernelVersion { major: 5, minor: 11 };

/// Lets this process open as many files as it may.
pub fn raise_open_files() -> nix::Result<()> {
    let (_, most) = resource::getrlimit(resource::Resource::RLIMIT_NOFILE)?;
    resource::setrlimit(resource::Resource::RLIMIT_NOFILE, most, most)
}

/// Lets this process lock as much memory as it likes.
pub fn raise_memlock() -> nix::Result<()> {
    let unlimited = resource::RLIM_INFINITY;
    resource::setrlimit(resource::Resource::RLIMIT_MEMLOCK, unlimited, unlimited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_are_read() {
        let version = |major, minor| Some(KernelVersion { major, minor });
        assert_eq!(KernelVersion::parse("6.1.0-32-cloud-amd64"), version(6, 1));
        assert_eq!(KernelVersion::parse("5.10.0"), version(5, 10));
        assert_eq!(KernelVersion::parse("7.2-rc1"), version(7, 2));
        assert_eq!(KernelVersion::parse("unknown"), None);
    }

    #[test]
    fn five_ten_is_the_oldest() {
        assert!(KernelVersion::parse("5.9.16").unwrap() < OLDEST);
        assert!(KernelVersion::parse("5.10.1").unwrap() >= OLDEST);
        assert!(KernelVersion::parse("6.1").unwrap() >= OLDEST);
    }
}
