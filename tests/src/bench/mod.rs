//! What benchmarks share: a place with backends, clients that dial them, peers to compare with, and what rounds of
//! figures come to.

pub mod accounting;
pub mod balancer;
pub mod comparison;
pub mod contenders;
pub mod cpu;
pub mod dial;
pub mod load;
pub mod machine;
pub mod markdown;
pub mod memory;
pub mod protocol;
pub mod server;
pub mod session;
pub mod site;
pub mod statistics;
