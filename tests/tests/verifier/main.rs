//! What the kernel's verifier thinks of each program: that it takes it, and how far from its limits.
//!
//! One line `VERIFIED {…}` for each program, which `cargo xtask vm-test` compares with what is recorded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod load;
mod statistics;

use tcproute_tests::is_root;

use crate::load::Verified;

/// Bytes of stack that the kernel gives a program (`MAX_BPF_STACK`).
const STACK: u32 = 512;

/// A twenty-fifth of what kernels from 5.2 on verify (`BPF_COMPLEXITY_LIMIT_INSNS`), so that loading is quick, too.
const INSTRUCTIONS: u32 = 1_000_000 / 25;

#[test]
fn every_program_is_far_from_the_verifiers_limits() {
    if !is_root("every_program_is_far_from_the_verifiers_limits") {
        return;
    }
    let programs = load::verify(&[]);
    assert!(programs.iter().any(|program| program.name == "connect4"), "{programs:?}");
    for program in &programs {
        println!("VERIFIED {}", program.to_json());
    }
    check(&programs);
    // As on a processor of another kind.
    check(&load::verify(&[("STORES_IN_ORDER", u32::from(!cfg!(target_arch = "x86_64")))]));
}

fn check(programs: &[Verified]) {
    for program in programs {
        assert!(program.statistics.stack <= STACK, "{program:?}");
        assert!(program.statistics.instructions <= INSTRUCTIONS, "{program:?}");
    }
}
