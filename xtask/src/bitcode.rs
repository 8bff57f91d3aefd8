//! Which LLVM wrote a bitcode file.
//!
//! bpf-linker does not tell its LLVM, and a trial link proves too little: a newer LLVM reads older bitcode. But
//! every bitcode file opens with an identification block that names its producer, such as `LLVM22.1.8`.

/// How LLVM writes a string of characters into the bit stream.
const ENCODINGS: [fn(&mut Bits) -> Option<char>; 4] =
    [char6, vbr6, |bits| fixed(bits, 7), |bits| fixed(bits, 8)];

/// The block is the first thing in the file; this is enough to hold it.
const HEAD: usize = 96;

/// The major version of the LLVM that wrote this bitcode.
pub(crate) fn llvm_major(bitcode: &[u8]) -> Option<u32> {
    if !bitcode.starts_with(b"BC\xc0\xde") {
        return None;
    }
    let head = &bitcode[..bitcode.len().min(HEAD)];
    // Searched at every bit rather than parsed: the position depends on abbreviations, but nothing else in
    // so short a head reads as `LLVM` and digits.
    (0..head.len() * 8).find_map(|start| {
        ENCODINGS.iter().find_map(|encoding| major_at(Bits { bytes: head, at: start }, *encoding))
    })
}

fn major_at(mut bits: Bits, next: fn(&mut Bits) -> Option<char>) -> Option<u32> {
    for expected in "LLVM".chars() {
        if next(&mut bits)? != expected {
            return None;
        }
    }
    let mut digits = String::new();
    while let Some(digit) = next(&mut bits).filter(char::is_ascii_digit) {
        digits.push(digit);
    }
    digits.parse().ok()
}

/// A stream of bits, the least significant of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for place in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Some(value)
    }
}

fn fixed(bits: &mut Bits, width: usize) -> Option<char> {
    char::from_u32(bits.take(width)?)
}

fn char6(bits: &mut Bits) -> Option<char> {
    const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._";
    let index = usize::try_from(bits.take(6)?).ok()?;
    ALPHABET.get(index).copied().map(char::from)
}

/// Groups of five bits, the lowest first; the sixth bit says that another follows.
fn vbr6(bits: &mut Bits) -> Option<char> {
    let mut value = 0;
    for place in [0, 5] {
        let group = bits.take(6)?;
        value |= (group & 31) << place;
        if group & 32 == 0 {
            return char::from_u32(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_name_of_a_plain_llvm() {
        let head = *b"\x42\x43\xc0\xde\x35\x14\x00\x00\x05\x00\x00\x00\x62\x0c\x30\x24\
                      \x4a\x59\xbe\xa6\x6d\xfb\xb5\xcf\x0b\x51\x80\x4c\x01\x00\x00\x00";
        assert_eq!(llvm_major(&head), Some(22));
    }

    #[test]
    fn reads_the_name_of_rusts_own_llvm() {
        // "LLVM21." as six-bit groups, after the magic number.
        let mut bits = Vec::new();
        for value in "LLVM21.".bytes() {
            for group in [value & 31 | 32, value >> 5] {
                bits.extend((0..6).map(|place| group >> place & 1));
            }
        }
        let mut file = b"BC\xc0\xde".to_vec();
        file.extend(bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |value, bit| value << 1 | bit)));
        assert_eq!(llvm_major(&file), Some(21));
    }

    #[test]
    fn knows_nothing_of_other_files() {
        assert_eq!(llvm_major(b""), None);
        assert_eq!(llvm_major(b"BC\xc0\xde"), None);
        assert_eq!(llvm_major(b"\x7fELF LLVM22.1.8"), None);
    }
}
