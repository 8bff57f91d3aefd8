//! What there is, each as one value that fits a line: for `tcproute get`. Pure.

mod dataplane;
mod policy;
mod route;
mod service;

pub use dataplane::{DataplaneItem, InboundItem};
pub use policy::PolicyItem;
pub use route::{RouteItem, ShareItem, routes};
pub use service::{EndpointItem, ServiceItem};
