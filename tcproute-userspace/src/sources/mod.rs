//! Where resources come from: files, a cluster or a control plane, and DNS for the addresses behind names.

mod alike;
pub mod applied;
pub(crate) mod backoff;
pub(crate) mod chain;
pub mod control_plane;
pub mod dns;
mod documents;
mod error;
pub mod files;
mod kept;
pub mod kubernetes;
pub mod last_good;
pub mod merge;
pub mod name;
mod objects;
pub mod snapshot;
pub(crate) mod thread;
mod together;

pub use documents::{
    Rules, Strictness,
    scalars::{Scalar, scalars},
    settings::{Setting, settings},
};
pub use error::{InputError, InputErrors};
pub use files::{FieldPlace, Reading, Written, load, parse, read};

pub use together::{SourceState, Sources};

/// Both, or everything that is wrong with either.
pub fn both<A, B>(a: Result<A, InputErrors>, b: Result<B, InputErrors>) -> Result<(A, B), InputErrors> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(mut a), Err(b)) => {
            a.0.extend(b.0);
            Err(a)
        }
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
    }
}
