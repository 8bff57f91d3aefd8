//! A cluster without nodes: a real kube-apiserver with its etcd, what is asked of it, and a proxy in front of it that
//! fails as it is told.
//!
//! There are no controllers. A namespace that is deleted stays, nothing is scheduled, and a pod has the status that a
//! test gives it. Only `cargo xtask cluster` has those, and a node.

pub mod api;
mod arguments;
mod binaries;
mod connection;
pub mod control_plane;
pub mod crds;
pub mod helm;
mod keeper;
pub mod kinds;
mod kubeconfig;
mod ports;
pub mod proxy;
pub mod rbac;
mod server;
pub mod users;
pub mod watch;

pub use self::{
    api::{Answer, Api},
    control_plane::ControlPlane,
    helm::Helm,
    keeper::Kept,
    kinds::Kind,
    proxy::Proxy,
    users::{ADMIN, STRANGER, TCPROUTE, User},
    watch::Watch,
};
