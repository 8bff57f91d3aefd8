//! The calls of bpf(2) that aya does not offer for cgroups.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr,
};

use aya::Pod;
use nix::libc;

/// `BPF_OBJ_GET`
const OBJ_GET: libc::c_long = 7;
/// `BPF_OBJ_GET_INFO_BY_FD`
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
/// `BPF_PROG_QUERY`
const PROG_QUERY: libc::c_long = 16;
/// `BPF_MAP_UPDATE_BATCH`
const UPDATE_BATCH: libc::c_long = 26;
/// `BPF_LINK_UPDATE`
const LINK_UPDATE: libc::c_long = 29;
/// `BPF_LINK_DETACH`
const LINK_DETACH: libc::c_long = 34;

/// How programs are attached to a cgroup: `BPF_F_ALLOW_*` of include/uapi/linux/bpf.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachMode {
    /// Alone: nothing may be attached below.
    Exclusive,
    /// Alone, until something is attached below.
    Override,
    /// Beside others, here and below.
    Multi,
}

/// The member of `union bpf_attr` for `BPF_PROG_QUERY`: all of it, since kernels from 6.17 on write `revision`
/// even if they were told of a shorter one.
#[repr(C)]
#[derive(Default)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    reserved: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// So many programs of one kind a cgroup has at most (`BPF_CGROUP_MAX_PROGS`).
const MAX_PROGRAMS: usize = 64;

/// The ids of the programs that are attached to this very cgroup, in the order in which they run.
pub(super) fn attached(cgroup: impl AsFd, attach_type: u32) -> io::Result<(AttachMode, Vec<u32>)> {
    let mut ids = [0_u32; MAX_PROGRAMS];
    let mut query = Query {
        target_fd: cgroup.as_fd().as_raw_fd().cast_unsigned(),
        attach_type,
        prog_ids: ids.as_mut_ptr().addr() as u64,
        prog_cnt: MAX_PROGRAMS as u32,
        ..Query::default()
    };
    // SAFETY: the kernel writes no more ids than `prog_cnt`, and `ids` has room for those; `query` has room for
    // all that it writes there.
    unsafe { bpf(PROG_QUERY, &mut query) }?;
    let mode = match query.attach_flags {
        0 => AttachMode::Exclusive,
        1 => AttachMode::Override,
        _ => AttachMode::Multi,
    };
    Ok((mode, ids[..(query.prog_cnt as usize).min(MAX_PROGRAMS)].to_vec()))
}

/// The member of `union bpf_attr` for `BPF_OBJ_GET`.
#[repr(C)]
struct ObjGet {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// What is pinned there.
pub(super) fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut get = ObjGet { pathname: path.as_ptr().addr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the path ends with a zero and outlives the call.
    let fd = unsafe { bpf(OBJ_GET, &mut get) }?;
    // SAFETY: a file descriptor that the kernel has just made for this call.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The member of `union bpf_attr` for `BPF_LINK_UPDATE`.
#[repr(C)]
struct LinkUpdate {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

/// Puts another program behind a link, in one step: each call runs the old one or the new one. `ENOLINK` if the
/// cgroup is gone.
pub(super) fn update_link(link: impl AsFd, program: impl AsFd) -> io::Result<()> {
    let mut update = LinkUpdate {
        link_fd: link.as_fd().as_raw_fd().cast_unsigned(),
        new_prog_fd: program.as_fd().as_raw_fd().cast_unsigned(),
        flags: 0,
        old_prog_fd: 0,
    };
    // SAFETY: nothing but numbers.
    unsafe { bpf(LINK_UPDATE, &mut update) }.map(drop)
}

/// The member of `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The beginning of `struct bpf_link_info`, for a link to a cgroup.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    prog_id: u32,
    reserved: u32,
    cgroup_id: u64,
    attach_type: u32,
    reserved_too: u32,
}

/// `BPF_LINK_TYPE_CGROUP`
const LINK_TYPE_CGROUP: u32 = 3;

/// The cgroup that a link belongs to: 0 when the kernel has removed it.
pub(super) fn cgroup_of_link(link: impl AsFd) -> io::Result<u64> {
    let mut info = LinkInfo::default();
    let mut get = GetInfo {
        bpf_fd: link.as_fd().as_raw_fd().cast_unsigned(),
        info_len: size_of::<LinkInfo>() as u32,
        info: ptr::from_mut(&mut info).addr() as u64,
    };
    // SAFETY: the kernel writes no more than `info_len` bytes of plain numbers, for which there is room.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut get) }?;
    if info.kind != LINK_TYPE_CGROUP {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no link to a cgroup"));
    }
    Ok(info.cgroup_id)
}

/// The member of `union bpf_attr` for `BPF_LINK_DETACH`.
#[repr(C)]
struct LinkDetach {
    link_fd: u32,
}

/// Detaches the program behind a link, wherever that is still held. What is merely unpinned is detached later, when the kernel
/// comes to it.
pub(super) fn detach_link(link: impl AsFd) -> io::Result<()> {
    let mut detach = LinkDetach { link_fd: link.as_fd().as_raw_fd().cast_unsigned() };
    // SAFETY: nothing but a number.
    unsafe { bpf(LINK_DETACH, &mut detach) }.map(drop)
}

/// The member of `union bpf_attr` for `BPF_MAP_UPDATE_BATCH`.
#[repr(C)]
struct UpdateBatch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Writes entries of a map in their order, by one call. If that fails, some may have been written.
pub(super) fn update_batch<K: Pod, V: Pod>(map: impl AsFd, keys: &[K], values: &[V]) -> io::Result<()> {
    let mut update = UpdateBatch {
        in_batch: 0,
        out_batch: 0,
        keys: keys.as_ptr().addr() as u64,
        values: values.as_ptr().addr() as u64,
        count: keys.len().min(values.len()) as u32,
        map_fd: map.as_fd().as_raw_fd().cast_unsigned(),
        elem_flags: 0,
        flags: 0,
    };
    if update.count == 0 {
        return Ok(());
    }
    // SAFETY: the kernel reads `count` entries of each, which are there, and plain bytes of the sizes that the map was made
    // with; it writes to `count` alone.
    unsafe { bpf(UPDATE_BATCH, &mut update) }.map(drop)
}

/// # Safety
///
/// The attributes must be those of the command, and what they point at must be as long as they say.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: by the caller; the kernel takes a shorter union than its own as filled up with zeros.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
