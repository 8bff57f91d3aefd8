//! Numbers of `enum bpf_attach_type` (include/uapi/linux/bpf.h).

/// `BPF_CGROUP_INET4_CONNECT`
pub(super) const INET4_CONNECT: u32 = 10;
/// `BPF_CGROUP_INET6_CONNECT`
pub(super) const INET6_CONNECT: u32 = 11;

/// Where programs are attached, by the names of the programs.
pub(super) const HOOKS: [(&str, u32); 6] = [
    ("connect4", INET4_CONNECT),
    ("connect6", INET6_CONNECT),
    // BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME, BPF_CGROUP_INET_SOCK_RELEASE
    ("getpeername4", 29),
    ("getpeername6", 30),
    ("sock_release", 34),
    // BPF_CGROUP_SOCK_OPS
    ("sock_ops", 3),
];
