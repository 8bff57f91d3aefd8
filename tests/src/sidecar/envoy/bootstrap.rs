//! What Envoy is told at its start: the listeners and clusters that Kuma makes of a mesh, without a control plane.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::{Value, json};

use super::{super::OUTBOUND, ADMIN};

/// What Envoy has a listener for.
pub struct Service {
    /// By which Envoy counts its connections or requests.
    pub name: &'static str,
    /// What an application dials.
    pub dialled: SocketAddr,
    /// What Envoy takes it for.
    pub protocol: Protocol,
    /// Endpoints with their weights.
    pub endpoints: Vec<(SocketAddr, u32)>,
}

/// What Envoy understands of what it hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing, as with a MeshTCPRoute.
    Tcp,
    /// Requests, as with a MeshHTTPRoute.
    Http,
}

/// The file, as JSON, of a sidecar.
pub(super) fn of(services: &[Service]) -> Value {
    let families: [(&str, IpAddr); 2] =
        [("ipv4", Ipv4Addr::UNSPECIFIED.into()), ("ipv6", Ipv6Addr::UNSPECIFIED.into())];
    let listeners = families.iter().map(catch_all).chain(services.iter().map(listener));
    let clusters = families.iter().map(|(family, _)| passthrough(family));
    let clusters = clusters.chain(services.iter().flat_map(of_endpoints));
    file(&listeners.collect::<Vec<_>>(), &clusters.collect::<Vec<_>>())
}

/// The same of a proxy that itself listens where the service is dialled.
pub(super) fn alone(service: &Service) -> Value {
    let mut listener = listener(service);
    listener["bind_to_port"] = true.into();
    file(&[listener], &of_endpoints(service).collect::<Vec<_>>())
}

fn file(listeners: &[Value], clusters: &[Value]) -> Value {
    json!({
        "admin": {"address": at((Ipv4Addr::LOCALHOST, ADMIN).into())},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    })
}

fn at(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn typed(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = format!("type.googleapis.com/envoy.extensions.{kind}").into();
    json!({"name": name, "typed_config": config})
}

fn tcp_proxy(stat_prefix: &str, (field, to): (&str, Value)) -> Value {
    let config = json!({"stat_prefix": stat_prefix, field: to});
    typed("envoy.filters.network.tcp_proxy", "filters.network.tcp_proxy.v3.TcpProxy", config)
}

/// Where the redirection leads. What was dialled has a listener, or is passed on to where it was to go.
fn catch_all((family, host): &(&str, IpAddr)) -> Value {
    let name = format!("outbound_passthrough_{family}");
    let original = "envoy.filters.listener.original_dst";
    json!({
        "name": name,
        "traffic_direction": "OUTBOUND",
        "address": at((*host, OUTBOUND).into()),
        "use_original_dst": true,
        "listener_filters": [typed(original, "filters.listener.original_dst.v3.OriginalDst", json!({}))],
        "filter_chains": [{"filters": [tcp_proxy(&name, ("cluster", json!(name)))]}],
    })
}

fn passthrough(family: &str) -> Value {
    json!({
        "name": format!("outbound_passthrough_{family}"),
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "5s",
    })
}

/// No socket listens there: the catch-all hands connections over.
fn listener(service: &Service) -> Value {
    let weighted = |(number, &(_, weight))| json!({"name": cluster(service, number), "weight": weight});
    let clusters: Vec<Value> = service.endpoints.iter().enumerate().map(weighted).collect();
    let clusters = json!({"clusters": clusters});
    let filter = match service.protocol {
        Protocol::Tcp => tcp_proxy(service.name, ("weighted_clusters", clusters)),
        Protocol::Http => requests(service.name, &clusters),
    };
    json!({
        "name": format!("outbound_{}", service.dialled),
        "traffic_direction": "OUTBOUND",
        "address": at(service.dialled),
        "bind_to_port": false,
        "filter_chains": [{"filters": [filter]}],
    })
}

fn requests(name: &str, clusters: &Value) -> Value {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"weighted_clusters": clusters}}]);
    let router = typed("envoy.filters.http.router", "filters.http.router.v3.Router", json!({}));
    let config = json!({
        "stat_prefix": name,
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}]},
    });
    let kind = "filters.network.http_connection_manager.v3.HttpConnectionManager";
    typed("envoy.filters.network.http_connection_manager", kind, config)
}

/// One for each endpoint.
fn of_endpoints(service: &Service) -> impl Iterator<Item = Value> {
    service.endpoints.iter().enumerate().map(|(number, &(address, _))| {
        let name = cluster(service, number);
        let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": at(address)}}]}]);
        json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        })
    })
}

fn cluster(service: &Service, number: usize) -> String {
    format!("{}-{number}", service.name)
}
