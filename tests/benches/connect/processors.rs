//! Who runs where. A listener that is woken now beside its client and now in its place makes two kinds of connections,
//! of which one takes twice as long: more than there is to be told apart.

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

const THIS: Pid = Pid::from_raw(0);

/// Leaves the first processor to the clients, if there are several, and answers which that is. To be done before there
/// are threads.
pub(crate) fn leave_one_to_clients() -> Result<Option<usize>> {
    let mut all = sched_getaffinity(THIS).context("cannot tell the processors")?;
    let first = |set: &CpuSet| (0..CpuSet::count()).find(|&processor| set.is_set(processor) == Ok(true));
    let Some(left) = first(&all) else { return Ok(None) };
    all.unset(left)?;
    if first(&all).is_none() {
        return Ok(None);
    }
    sched_setaffinity(THIS, &all).context("cannot choose processors")?;
    Ok(Some(left))
}

/// Stays on one.
pub(crate) fn stay_on(processor: usize) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(processor)?;
    sched_setaffinity(THIS, &one).with_context(|| format!("cannot run on processor {processor}"))
}
