//! What there is to know of one Dataplane, service or policy, and why: values for `tcproute describe`. Pure.

mod dataplane;
mod policy;
mod service;

pub use dataplane::{DataplaneDescription, InboundDescription};
pub use policy::{BackendDescription, ByDataplane, PolicyDescription, ToDescription, UnknownPolicy};
pub use service::{About, EndpointDescription, EndpointState, ServiceDescription, UnknownServiceName};
