//! Where resources come from: files, and DNS for the addresses behind names.

pub mod dns;
mod documents;
mod error;
pub mod files;
mod lenient;
mod limits;
pub mod merge;
mod merge_key;
mod node;
mod notes;
mod path;
mod scalar;
pub mod snapshot;
mod together;
mod yaml;

pub use error::{InputError, InputErrors};
pub use files::{Reading, load, parse, read};
pub use notes::Strictness;
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
