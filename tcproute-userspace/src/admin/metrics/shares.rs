//! The metrics of what workloads have taken of what all share in the kernel. Only those that found their share taken
//! have one of their own.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::{
    agent::{SharesState, WorkloadShare},
    bpf::{Shared, Taken},
};

#[derive(Debug)]
pub(super) struct ShareMetrics(pub(super) SharesState);

impl ShareMetrics {
    fn all(&self, of: usize) -> impl Iterator<Item = (&WorkloadShare, Taken)> {
        self.0.workloads.iter().map(move |workload| (workload, workload.taken[of]))
    }
}

impl Collector for ShareMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: &dyn Fn(usize) -> u64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (index, of) in Shared::ALL.into_iter().enumerate() {
                ConstGauge::new(value(index)).encode(family.encode_family(&[("of", of.name())])?)?;
            }
            Ok::<_, fmt::Error>(())
        };
        let entries = |of| self.all(of).map(|(_, taken)| u64::from(taken.entries));
        gauge("share_taken", "What all workloads have of what they share.", &|of| entries(of).sum())?;
        gauge("share_largest", "What the workload has that has most of it.", &|of| {
            entries(of).max().unwrap_or(0)
        })?;
        gauge("share_most", "What one workload may have of it.", &|of| u64::from(self.0.most[of]))?;
        let (name, help) = ("share_exceeded", "How often a workload found its share taken.");
        let exceeded = |of: usize| self.all(of).filter(|(_, taken)| taken.exceeded > 0);
        if (0..Shared::ALL.len()).all(|of| exceeded(of).next().is_none()) {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (index, of) in Shared::ALL.into_iter().enumerate() {
            for (WorkloadShare { mesh, dataplane, cgroup, .. }, taken) in exceeded(index) {
                let cgroup = cgroup.display().to_string();
                let labels = [
                    ("of", of.name()),
                    ("mesh", mesh),
                    ("dataplane", dataplane),
                    ("cgroup", cgroup.as_str()),
                ];
                ConstCounter::new(taken.exceeded).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
