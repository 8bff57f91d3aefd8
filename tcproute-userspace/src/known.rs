//! What is known of something outside: an error is not the same as an absence.

use std::io;

use nix::libc::{ENODEV, ENOENT};

/// Whether something is there.
#[derive(Debug)]
pub enum Known<T> {
    /// It is, and is this.
    There(T),
    /// It is not, for certain.
    Gone,
    /// It cannot be told. What was known before holds.
    Unknown(io::Error),
}

impl<T> Known<T> {
    /// Whether one is gone that was asked about. The kernel says so by ENOENT, and by ENODEV of a cgroup that is being
    /// removed; by any other error it says nothing.
    pub fn of(asked: io::Result<T>) -> Self {
        match asked {
            Ok(there) => Self::There(there),
            Err(error) if matches!(error.raw_os_error(), Some(ENOENT | ENODEV)) => Self::Gone,
            Err(error) => Self::Unknown(error),
        }
    }

    /// Something else of what is there.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::There(there) => Known::There(map(there)),
            Self::Gone => Known::Gone,
            Self::Unknown(error) => Known::Unknown(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::libc::{EACCES, EINTR, EIO, EMFILE, ENOMEM, ENOTDIR};

    use super::*;

    #[test]
    fn only_an_absence_is_an_absence() {
        let of = |errno| Known::<()>::of(Err(io::Error::from_raw_os_error(errno)));
        assert!(matches!(of(ENOENT), Known::Gone));
        assert!(matches!(of(ENODEV), Known::Gone));
        for errno in [EACCES, EINTR, EIO, EMFILE, ENOMEM, ENOTDIR] {
            assert!(matches!(of(errno), Known::Unknown(_)), "{errno}");
        }
        assert!(matches!(Known::<()>::of(Err(io::ErrorKind::NotFound.into())), Known::Unknown(_)));
    }
}
