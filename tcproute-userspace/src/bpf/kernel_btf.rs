//! Where a member of one of the kernel's structs stands, read from the BTF of the running kernel. aya reads that BTF,
//! too, but for itself only.

use std::{fs, path::Path};

/// The magic number of BTF, in the order of bytes of the machine (include/uapi/linux/btf.h).
const MAGIC: u16 = 0xeb9f;

/// That BTF: some megabytes, so it is read once for all that is asked.
pub(super) struct KernelBtf(Vec<u8>);

impl KernelBtf {
    /// `None` if the kernel has none.
    pub(super) fn read() -> Option<Self> {
        fs::read(Path::new("/sys/kernel/btf/vmlinux")).ok().map(Self)
    }

    /// The offset of `sk_err` in `struct sock`; `None` if the kernel does not tell.
    pub(super) fn socket_error_offset(&self) -> Option<u32> {
        self.offset("sock", "sk_err")
    }

    /// The offset of `sk_uid` in `struct sock`; `None` if the kernel does not tell.
    pub(super) fn socket_user_offset(&self) -> Option<u32> {
        self.offset("sock", "sk_uid")
    }

    /// The offset of `skc_cookie` in `struct sock_common`; `None` if the kernel does not tell.
    pub(super) fn socket_cookie_offset(&self) -> Option<u32> {
        self.offset("sock_common", "skc_cookie")
    }

    /// The offsets of `skc_net` in `struct sock_common` and of `ns.inum` in `struct net`.
    pub(super) fn namespace_offsets(&self) -> Option<(u32, u32)> {
        let net = self.offset("sock_common", "skc_net")?;
        Some((net, self.offset("net", "ns")? + self.offset("ns_common", "inum")?))
    }

    fn offset(&self, structure: &str, member: &str) -> Option<u32> {
        member_offset(&self.0, structure.as_bytes(), member.as_bytes())
    }
}

/// The offset in bytes of a member of a struct that is no bit field.
fn member_offset(btf: &[u8], structure: &[u8], member: &[u8]) -> Option<u32> {
    if u16::from_ne_bytes(btf.get(..2)?.try_into().ok()?) != MAGIC {
        return None;
    }
    let header = |index: usize| word(btf, 4 + 4 * index).map(|value| value as usize);
    let (length, types, types_length) = (header(0)?, header(1)?, header(2)?);
    let strings = btf.get(length + header(3)?..)?;
    let types = btf.get(length + types..)?.get(..types_length)?;
    let is_named = |offset: u32, name: &[u8]| {
        let string = strings.get(offset as usize..).unwrap_or_default();
        string.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
    };
    let mut at = 0;
    while at < types.len() {
        let (name, info) = (word(types, at)?, word(types, at + 4)?);
        let (kind, count) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        at += 12;
        if kind == STRUCT && is_named(name, structure) {
            let members = (0..count).filter_map(|i| types.get(at + 12 * i..)?.get(..12));
            let found = members.filter(|entry| word(entry, 0).is_some_and(|name| is_named(name, member)));
            // With the flag in `info`, the upper 8 bits are the width of a bit field and 0 for others.
            let offset =
                found.filter_map(|entry| word(entry, 8)).find(|bits| bits % 8 == 0 && bits >> 24 == 0);
            if let Some(bits) = offset {
                return Some(bits / 8);
            }
        }
        at += behind(kind, count)?;
    }
    None
}

const STRUCT: u32 = 4;

/// Bytes that follow a type's three words. `None` for a kind that came after this was written.
const fn behind(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats and tags of types.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables and tags of declarations.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structs, unions, sections and enumerations of 64 bits.
        STRUCT | 5 | 15 | 19 => 12 * count,
        // Enumerations and prototypes.
        6 | 13 => 8 * count,
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An int, a struct `other` and a struct `sock` with two members.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0other\0sock\0sk_err\0sk_x\0";
        let types: Vec<u32> = [
            &[1, 1 << 24, 4, 32][..],
            &[5, (4 << 24) | 1, 4, 16, 1, 0],
            &[11, (4 << 24) | 2, 292, 23, 1, 0, 16, 1, 2272],
        ]
        .concat();
        let words = [24, 0, u32::try_from(types.len() * 4).unwrap()];
        let ends = [words[2], u32::try_from(strings.len()).unwrap()];
        let mut btf = MAGIC.to_ne_bytes().to_vec();
        btf.extend([1, 0]);
        for word in words.into_iter().chain(ends).chain(types) {
            btf.extend(word.to_ne_bytes());
        }
        btf.extend(strings);
        btf
    }

    #[test]
    fn a_member_is_found_by_its_struct_and_name() {
        assert_eq!(member_offset(&sample(), b"sock", b"sk_err"), Some(284));
        assert_eq!(member_offset(&sample(), b"other", b"sk_err"), Some(0));
        assert_eq!(member_offset(&sample(), b"sock", b"sk"), None);
        assert_eq!(member_offset(&sample(), b"soc", b"sk_err"), None);
    }

    #[test]
    fn what_is_no_btf_or_cut_off_has_no_members() {
        let sample = sample();
        assert!((0..sample.len()).all(|end| member_offset(&sample[..end], b"sock", b"nothing").is_none()));
        assert_eq!(member_offset(b"\x7fELF", b"sock", b"sk_err"), None);
    }
}
