//! The map `draws`: where the sequence of each CPU begins by which programs choose by chance.

use anyhow::{Context, Result};
use aya::maps::{MapData, PerCpuArray, PerCpuValues};

use super::outcomes::possible_cpus;

/// Each at random, so that neither two CPUs nor two nodes choose alike.
pub(super) fn begin(mut draws: PerCpuArray<MapData, u64>) -> Result<()> {
    let states = (0..possible_cpus()?).map(|_| fastrand::u64(..)).collect::<Vec<_>>();
    draws.set(0, PerCpuValues::try_from(states)?, 0).context("cannot write the map draws")
}
