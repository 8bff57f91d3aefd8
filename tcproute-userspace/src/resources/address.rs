//! How IP addresses and ports are written.

use std::net::IpAddr;

use super::violation::Violations;

pub(super) fn read_port(port: Option<u32>, path: &str, found: &mut Violations) -> Option<u16> {
    read_port_at(port, &format!("{path}.port"), found)
}

pub(super) fn read_port_at(port: Option<u32>, path: &str, found: &mut Violations) -> Option<u16> {
    let port = port.ok_or("must be set").and_then(|port| match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("must be a port from 1 to 65535"),
    });
    found.check(path, port)
}

/// An IP address; a v4-mapped IPv6 one counts as IPv4.
pub(super) fn parse_ip(text: &str) -> Result<IpAddr, String> {
    let ip: IpAddr = text.parse().map_err(|_| format!("{text:?} is not an IP address"))?;
    Ok(ip.to_canonical())
}
