//! The calls of bpf(2) that aya does not offer for cgroups.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr,
};

use aya::Pod;
use nix::libc;

/// `BPF_OBJ_PIN`
const OBJ_PIN: libc::c_long = 6;
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
/// `BPF_LINK_GET_FD_BY_ID`
const LINK_GET_FD_BY_ID: libc::c_long = 30;
/// `BPF_LINK_GET_NEXT_ID`
const LINK_GET_NEXT_ID: libc::c_long = 31;
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

/// The member of `union bpf_attr` for `BPF_OBJ_PIN` and `BPF_OBJ_GET`.
#[repr(C)]
struct Obj {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// What is pinned there.
pub(super) fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut get = Obj { pathname: path.as_ptr().addr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the path ends with a zero and outlives the call.
    let fd = unsafe { bpf(OBJ_GET, &mut get) }?;
    // SAFETY: a file descriptor that the kernel has just made for this call.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Pins it there. Nothing may be there yet.
pub(super) fn pin(object: impl AsFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let bpf_fd = object.as_fd().as_raw_fd().cast_unsigned();
    let mut pin = Obj { pathname: path.as_ptr().addr() as u64, bpf_fd, file_flags: 0 };
    // SAFETY: the path ends with a zero and outlives the call.
    unsafe { bpf(OBJ_PIN, &mut pin) }.map(drop)
}

/// What a file descriptor of bpf(2) stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Map {
        /// Nothing can be written there by system calls any more.
        frozen: bool,
    },
    Link,
    Other,
}

/// Asks `/proc`: the calls of bpf(2) do not tell.
pub(super) fn kind(object: impl AsFd) -> io::Result<Kind> {
    let path = format!("/proc/self/fdinfo/{}", object.as_fd().as_raw_fd());
    Ok(kind_of(&fs::read_to_string(path)?))
}

fn kind_of(fdinfo: &str) -> Kind {
    let field = |name: &str| fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    match (field("map_id"), field("link_id")) {
        (Some(_), _) => Kind::Map { frozen: field("frozen").is_some_and(|frozen| frozen.trim() != "0") },
        (None, Some(_)) => Kind::Link,
        (None, None) => Kind::Other,
    }
}

/// The beginning of `struct bpf_map_info`: what kernels from 5.10 on tell.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MapInfo {
    pub(super) map_type: u32,
    pub(super) id: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) flags: u32,
    name: [u8; 16],
    ifindex: u32,
    vmlinux_value_type: u32,
    netns_dev: u64,
    netns_ino: u64,
    btf_id: u32,
    btf_key_type: u32,
    /// 0 if the map has no BTF.
    pub(super) btf_value_type: u32,
    padding: u32,
}

/// The beginning of `struct bpf_link_info`, for a link to a cgroup.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LinkInfo {
    link_type: u32,
    pub(super) id: u32,
    pub(super) program: u32,
    padding: u32,
    /// 0 if the cgroup is gone.
    pub(super) cgroup: u64,
    pub(super) attach_type: u32,
    padding_too: u32,
}

/// `BPF_LINK_TYPE_CGROUP`
const CGROUP_LINK: u32 = 3;

/// What the kernel tells of a map, a link or a program.
///
/// # Safety
///
/// Nothing but numbers may be in it, each of which may have any value.
unsafe trait Info: Default {}

// SAFETY: nothing but numbers.
unsafe impl Info for MapInfo {}
// SAFETY: nothing but numbers.
unsafe impl Info for LinkInfo {}

/// The member of `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

fn info<T: Info>(object: impl AsFd) -> io::Result<T> {
    let mut info = T::default();
    let mut get = GetInfo {
        bpf_fd: object.as_fd().as_raw_fd().cast_unsigned(),
        info_len: size_of::<T>() as u32,
        info: ptr::from_mut(&mut info).addr() as u64,
    };
    // SAFETY: the kernel writes at most `info_len` bytes there, and whatever they are they are numbers.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut get) }?;
    Ok(info)
}

/// Of a file descriptor that is a map's.
pub(super) fn map_info(map: impl AsFd) -> io::Result<MapInfo> {
    info(map)
}

/// Of a file descriptor that is a link's. `None` if it is no link to a cgroup.
pub(super) fn cgroup_link(link: impl AsFd) -> io::Result<Option<LinkInfo>> {
    let info: LinkInfo = info(link)?;
    Ok((info.link_type == CGROUP_LINK).then_some(info))
}

/// The member of `union bpf_attr` for `BPF_LINK_GET_NEXT_ID` and `BPF_LINK_GET_FD_BY_ID`.
#[repr(C)]
struct LinkId {
    id: u32,
    next: u32,
    open_flags: u32,
}

/// The numbers of all links in the kernel.
pub(super) fn link_ids() -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    loop {
        let mut next = LinkId { id: ids.last().copied().unwrap_or(0), next: 0, open_flags: 0 };
        // SAFETY: nothing but numbers.
        match unsafe { bpf(LINK_GET_NEXT_ID, &mut next) } {
            Ok(_) => ids.push(next.next),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ids),
            Err(error) => return Err(error),
        }
    }
}

/// The link with this number.
pub(super) fn link_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut get = LinkId { id, next: 0, open_flags: 0 };
    // SAFETY: nothing but numbers.
    let fd = unsafe { bpf(LINK_GET_FD_BY_ID, &mut get) }?;
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

/// The member of `union bpf_attr` for `BPF_LINK_DETACH`.
#[repr(C)]
struct LinkDetach {
    link_fd: u32,
}

/// Detaches the program behind a link, wherever that is still held. What is merely unpinned is detached later, when the
/// kernel comes to it.
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
    // SAFETY: the kernel reads `count` entries of each, which are there, and plain bytes of the sizes that the map was
    // made with; it writes to `count` alone.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_links_are_told_apart() {
        let map = "pos:\t0\nflags:\t02000002\nmap_type:\t2\nmap_id:\t27888\nfrozen:\t";
        assert_eq!(kind_of(&format!("{map}0\n")), Kind::Map { frozen: false });
        assert_eq!(kind_of(&format!("{map}1\n")), Kind::Map { frozen: true });
        assert_eq!(
            kind_of("pos:\t0\nlink_type:\tcgroup\nlink_id:\t7\nprog_tag:\tab\nprog_id:\t9\n"),
            Kind::Link
        );
        assert_eq!(kind_of("pos:\t0\nprog_type:\t9\nprog_id:\t9\n"), Kind::Other);
        assert_eq!(kind_of("pos:\t0\n"), Kind::Other);
    }
}
