//! Arbitrary bytes as a file of resources.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The tests run the same check over the corpus, with the stable compiler.
#[path = "../../tcproute-userspace/tests/corpus/check.rs"]
mod check;

fuzz_target!(|bytes: &[u8]| check::check(bytes));
