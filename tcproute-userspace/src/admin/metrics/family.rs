//! Metrics with one label.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};

/// One metric for each value of a label.
pub(super) fn family<'a, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = (&'a str, M)>,
) -> Result<(), fmt::Error> {
    let mut values = values.peekable();
    let Some((_, first)) = values.peek() else { return Ok(()) };
    let mut family = encoder.encode_descriptor(name, help, None, first.metric_type())?;
    for (value_of_label, metric) in values {
        metric.encode(family.encode_family(&[(label, value_of_label)])?)?;
    }
    Ok(())
}
