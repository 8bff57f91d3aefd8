//! How sidecars are got past.

use std::{num::ParseIntError, str::FromStr};

use clap::ValueEnum;
use thiserror::Error;

/// The user of Kuma's sidecar.
pub const KUMA_UID: u32 = 5678;

/// How sidecars are got past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Where.
    pub mode: Mode,
    /// By which mark.
    pub mark: Mark,
    /// The sidecar's user, as its own user namespace numbers it.
    pub uid: u32,
}

impl Default for Settings {
    /// Those of Kuma.
    fn default() -> Self {
        Self { mode: Mode::default(), mark: Mark::default(), uid: KUMA_UID }
    }
}

/// Where routed connections are led past a sidecar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Where its redirection is found.
    #[default]
    Auto,
    /// In every network namespace but the host's own.
    Bypass,
    /// Nowhere.
    Off,
}

/// Some bits of a socket's mark, and what they are on routed sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    value: u32,
    mask: u32,
}

/// Why a text is no mark.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoMark {
    /// It is no number.
    #[error("must be VALUE/MASK, such as 0x2000/0x2000: {0}")]
    NoNumber(#[from] ParseIntError),
    /// It would not tell routed sockets from others.
    #[error("the value must have at least one bit, and the mask all of its bits")]
    OutOfMask,
}

impl Default for Mark {
    /// One bit that nobody is known to use in a pod's network namespace.
    fn default() -> Self {
        Self { value: 0x2000, mask: 0x2000 }
    }
}

impl Mark {
    /// What the bits of the mask are.
    pub const fn value(self) -> u32 {
        self.value
    }

    /// The bits that are ours.
    pub const fn mask(self) -> u32 {
        self.mask
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}/{:#x}", self.value, self.mask)
    }
}

impl FromStr for Mark {
    type Err = NoMark;

    fn from_str(text: &str) -> Result<Self, NoMark> {
        let number = |text: &str| match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        let (value, mask) = text.split_once('/').unwrap_or((text, text));
        let (value, mask) = (number(value)?, number(mask)?);
        if value == 0 || value & !mask != 0 {
            return Err(NoMark::OutOfMask);
        }
        Ok(Self { value, mask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_are_written() {
        assert_eq!("0x2000/0x2000".parse(), Ok(Mark::default()));
        assert_eq!("8192".parse(), Ok(Mark::default()));
        assert_eq!("0x100/0xf00".parse(), Ok(Mark { value: 0x100, mask: 0xf00 }));
        assert_eq!(Mark::default().to_string(), "0x2000/0x2000");
        for none in ["0", "0/0xf00", "0x1000/0xf00"] {
            assert_eq!(none.parse::<Mark>(), Err(NoMark::OutOfMask), "{none}");
        }
        for none in ["", "x", "0x1/", "-1", "0x100000000"] {
            assert!(matches!(none.parse::<Mark>(), Err(NoMark::NoNumber(_))), "{none}");
        }
    }
}
