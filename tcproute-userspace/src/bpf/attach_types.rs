//! Numbers of `enum bpf_attach_type` (include/uapi/linux/bpf.h): part of the key of cgroup storage.

/// `BPF_CGROUP_INET4_CONNECT`
pub(super) const INET4_CONNECT: u32 = 10;
/// `BPF_CGROUP_INET6_CONNECT`
pub(super) const INET6_CONNECT: u32 = 11;
