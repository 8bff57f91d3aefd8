//! What the clients reach.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tcproute_tests::server::Server;

use crate::{
    extent::{EACH, SERVICES},
    mesh::{Addresses, Destination},
};

/// A server at every address that there is: so the server tells where a connection went, wherever that is.
pub(crate) fn listen() -> (Addresses, Vec<Server>) {
    let mut servers = Vec::new();
    let mut listen = |address: SocketAddr| {
        let server = Server::start_named_by_its_address(address);
        let address = server.address();
        servers.push(server);
        address
    };
    let v4 = |service: usize, nth: usize| {
        SocketAddr::from((Ipv4Addr::new(127, 250, service as u8 + 1, nth as u8 + 1), 0))
    };
    let mut destinations: Vec<Destination> =
        (0..SERVICES).map(|service| Destination { service, dialled: listen(v4(service, 200)) }).collect();
    let v6 = (0..2).map(|service| Destination { service, dialled: listen((Ipv6Addr::LOCALHOST, 0).into()) });
    destinations.extend(v6);
    let endpoints = (0..SERVICES).map(|service| (0..EACH).map(|nth| listen(v4(service, nth))).collect());
    let endpoints = endpoints.collect();
    let everywhere = listen((Ipv4Addr::UNSPECIFIED, 0).into()).port();
    (Addresses { destinations, endpoints, everywhere }, servers)
}
