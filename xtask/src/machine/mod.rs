//! What virtual machines are made of: Debian's kernels, file systems that are laid out in a directory, and what
//! emulation needs.

mod debian;
mod emulation;
mod kernel;
mod modules;
mod tree;

pub(crate) use self::{
    debian::{Archive, Unreachable},
    emulation::{APPEND, EMULATED},
    kernel::{Kernel, Source},
    tree::Tree,
};
