//! What benchmarks share: a way to dial, peers to compare with, and what rounds of figures come to.

pub mod balancer;
pub mod comparison;
pub mod contenders;
pub mod dial;
pub mod machine;
pub mod markdown;
pub mod memory;
pub mod statistics;
