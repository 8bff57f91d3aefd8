//! The page at `/`: who gets it and with which rights, what its stream tells of the kernel, and what a browser makes
//! of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bounds;
mod browser;
mod document;
mod fixture;
mod stream;
