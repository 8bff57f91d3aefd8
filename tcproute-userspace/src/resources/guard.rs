//! The address guard: where connections may be led, and where applications may be met.
//!
//! Endpoints, VIPs and answers of DNS come from people who may write only their own resources. What such an address
//! could reach is not theirs: the node itself, its metadata service, whoever listens at the VIP of another.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;

/// Who may have written a resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Provenance {
    /// The operator of this node, in a file: the node's own loopback is his.
    #[default]
    Node,
    /// Anybody with a namespace or a mesh of his own in a cluster.
    Cluster,
    /// Anybody who may write to a control plane. A Dataplane has its outbounds on loopback there, unless its
    /// connections are redirected.
    ControlPlane,
}

/// Which addresses count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    denied: Vec<IpNet>,
    /// None: the default.
    vips: Vec<IpNet>,
    loopback: Option<bool>,
}

/// Why an address does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// `0.0.0.0` or `::`, which the kernel takes for loopback.
    Unspecified,
    /// A group.
    Multicast,
    /// Everybody on the link.
    Broadcast,
    /// Of the link only: there metadata services are.
    LinkLocal,
    /// The node itself.
    Loopback,
    /// In one of `--deny-cidr`.
    DenyCidr,
    /// A VIP in none of `--vip-cidr`.
    OutsideVipCidr,
}

/// Kuma gives its VIPs from here: 240/8 to names, 241/8 to 243/8 to MeshServices and the like.
pub(crate) const KUMA_VIPS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4);

impl Guard {
    /// Without options.
    pub const DEFAULT: Self = Self { denied: Vec::new(), vips: Vec::new(), loopback: None };

    /// With what the operator says. `vips` take the place of the default if there are any; `loopback` says whether
    /// loopback is allowed whoever has written it.
    pub const fn new(denied: Vec<IpNet>, vips: Vec<IpNet>, loopback: Option<bool>) -> Self {
        Self { denied, vips, loopback }
    }

    /// Whether connections may go to an address, and applications dial it.
    pub fn judge(&self, ip: IpAddr, from: Provenance) -> Result<(), Denial> {
        self.judge_all(ip, self.loopback.unwrap_or(from == Provenance::Node))
    }

    /// Whether a Dataplane may dial an address, as its outbound says.
    pub fn judge_outbound(&self, ip: IpAddr, from: Provenance) -> Result<(), Denial> {
        self.judge_all(ip, self.loopback.unwrap_or(from != Provenance::Cluster))
    }

    /// As it is written, and what is inside.
    fn judge_all(&self, ip: IpAddr, allows_loopback: bool) -> Result<(), Denial> {
        let ip = ip.to_canonical();
        self.judge_one(ip, allows_loopback)?;
        match ip {
            IpAddr::V4(_) => Ok(()),
            IpAddr::V6(ip) => {
                embedded(ip).try_for_each(|inside| self.judge_one(inside.into(), allows_loopback))
            }
        }
    }

    /// Whether applications may be met at a VIP that a resource claims.
    pub fn judge_vip(&self, ip: IpAddr, from: Provenance) -> Result<(), Denial> {
        self.judge(ip, from)?;
        let ip = ip.to_canonical();
        let is_inside = match self.vips.as_slice() {
            [] => IpNet::V4(KUMA_VIPS).contains(&ip),
            vips => vips.iter().any(|vips| vips.contains(&ip)),
        };
        if is_inside { Ok(()) } else { Err(Denial::OutsideVipCidr) }
    }

    /// As it is written, whatever may be inside.
    fn judge_one(&self, ip: IpAddr, allows_loopback: bool) -> Result<(), Denial> {
        let is_link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        if ip.is_unspecified() {
            Err(Denial::Unspecified)
        } else if ip.is_multicast() {
            Err(Denial::Multicast)
        } else if ip == Ipv4Addr::BROADCAST {
            Err(Denial::Broadcast)
        } else if is_link_local {
            Err(Denial::LinkLocal)
        } else if ip.is_loopback() && !allows_loopback {
            Err(Denial::Loopback)
        } else if self.denied.iter().any(|denied| denied.contains(&ip)) {
            Err(Denial::DenyCidr)
        } else {
            Ok(())
        }
    }
}

/// The IPv4 addresses to which packets for an IPv6 one may come in the end, by translation or in a tunnel.
fn embedded(ip: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let at = ip.octets();
    let v4 = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| at[place]));
    let last = v4([12, 13, 14, 15]);
    let mut found = Vec::new();
    match ip.segments() {
        // IPv4-compatible (RFC 4291), translated (RFC 2765), and NAT64 at its own prefix (RFC 6052).
        [0, 0, 0, 0, 0 | 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            found.push(last);
        }
        // NAT64 at prefixes of the network's own (RFC 8215): any length of RFC 6052. What it would be zeros for is no
        // such length.
        [0x64, 0xff9b, 1, ..] => {
            let all = [v4([6, 7, 9, 10]), v4([7, 9, 10, 11]), v4([9, 10, 11, 12]), last];
            found.extend(all.into_iter().filter(|ip| !ip.is_unspecified()));
        }
        // 6to4 (RFC 3056).
        [0x2002, ..] => found.push(v4([2, 3, 4, 5])),
        // Teredo (RFC 4380): the client, each bit turned.
        [0x2001, 0, ..] => found.push(Ipv4Addr::from(!u32::from(last))),
        _ => {}
    }
    // ISATAP (RFC 5214), behind any prefix.
    if let [_, _, _, _, 0 | 0x200, 0x5efe, ..] = ip.segments() {
        found.push(last);
    }
    found.into_iter()
}

impl Denial {
    /// As a label of a metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::LinkLocal => "link_local",
            Self::Loopback => "loopback",
            Self::DenyCidr => "deny_cidr",
            Self::OutsideVipCidr => "outside_vip_cidr",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "is or holds the unspecified address",
            Self::Multicast => "is or holds a multicast address",
            Self::Broadcast => "is or holds the broadcast address",
            Self::LinkLocal => "is or holds a link-local address",
            Self::Loopback => "is or holds a loopback address, and --allow-loopback is off",
            Self::DenyCidr => "is or holds an address in a --deny-cidr",
            Self::OutsideVipCidr => "is a VIP outside of --vip-cidr",
        })
    }
}

/// A network, or one address, as it is given on the command line.
pub fn cidr(text: &str) -> Result<IpNet, String> {
    let wrong = || format!("{text:?} is neither a network, such as 10.96.0.0/12, nor an IP address");
    let net = match text.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().into(),
        Err(_) => text.parse::<IpNet>().map_err(|_| wrong())?.trunc(),
    };
    // Addresses are compared in their canonical form.
    Ok(match net {
        IpNet::V6(net) => match net.network().to_ipv4_mapped() {
            Some(ip) if net.prefix_len() >= 96 => {
                Ipv4Net::new(ip, net.prefix_len() - 96).map_err(|_| wrong())?.into()
            }
            _ => net.into(),
        },
        net @ IpNet::V4(_) => net,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Provenance; 3] = [Provenance::Node, Provenance::Cluster, Provenance::ControlPlane];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn guard(denied: &[&str], vips: &[&str], loopback: Option<bool>) -> Guard {
        let nets = |texts: &[&str]| texts.iter().map(|text| cidr(text).unwrap()).collect();
        Guard::new(nets(denied), nets(vips), loopback)
    }

    #[test]
    fn some_addresses_lead_nowhere_whoever_has_written_them() {
        for (text, why) in [
            ("0.0.0.0", Denial::Unspecified),
            ("::", Denial::Unspecified),
            ("224.0.0.1", Denial::Multicast),
            ("239.255.255.255", Denial::Multicast),
            ("ff02::1", Denial::Multicast),
            ("255.255.255.255", Denial::Broadcast),
            ("169.254.169.254", Denial::LinkLocal),
            ("169.254.0.0", Denial::LinkLocal),
            ("169.254.255.255", Denial::LinkLocal),
            ("fe80::1", Denial::LinkLocal),
            ("febf::1", Denial::LinkLocal),
        ] {
            for from in ALL {
                let open = guard(&[], &["0.0.0.0/0", "::/0"], Some(true));
                assert_eq!(open.judge(ip(text), from), Err(why), "{text}");
                assert_eq!(open.judge_vip(ip(text), from), Err(why), "{text}");
            }
        }
    }

    #[test]
    fn what_is_inside_is_judged() {
        for text in [
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            // 169.254.169.254 with each bit turned.
            "2001:0:4136:e378:8000:63bf:5601:5601",
            "2001:db8::5efe:169.254.169.254",
            "2001:db8::200:5efe:169.254.169.254",
            "2002:808:808::5efe:169.254.169.254",
        ] {
            assert_eq!(Guard::DEFAULT.judge(ip(text), Provenance::Node), Err(Denial::LinkLocal), "{text}");
        }
        for text in ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::1", "127.255.0.1"] {
            assert_eq!(Guard::DEFAULT.judge(ip(text), Provenance::Cluster), Err(Denial::Loopback), "{text}");
            assert_eq!(Guard::DEFAULT.judge(ip(text), Provenance::Node), Ok(()), "{text}");
        }
        assert_eq!(Guard::DEFAULT.judge(ip("64:ff9b::"), Provenance::Node), Err(Denial::Unspecified));
        let denying = guard(&["10.96.0.0/12"], &[], None);
        for text in ["10.96.0.1", "::ffff:10.111.0.1", "64:ff9b::a60:1", "2002:a60:1::"] {
            assert_eq!(denying.judge(ip(text), Provenance::Node), Err(Denial::DenyCidr), "{text}");
        }
    }

    #[test]
    fn ordinary_addresses_count() {
        for text in [
            "10.0.0.1",
            "0.0.0.1",
            "169.253.0.1",
            "223.255.255.255",
            "240.0.0.1",
            "255.255.255.254",
            "2001:db8::1",
            "fd00::1",
            "fec0::1",
            "64:ff9b::808:808",
            "64:ff9b:1::8.8.8.8",
            "2002:808:808::1",
        ] {
            for from in ALL {
                assert_eq!(Guard::DEFAULT.judge(ip(text), from), Ok(()), "{text}");
            }
        }
    }

    #[test]
    fn loopback_is_allowed_as_it_is_said_or_to_files() {
        for (said, from, allowed) in [
            (None, Provenance::Node, true),
            (None, Provenance::Cluster, false),
            (None, Provenance::ControlPlane, false),
            (Some(true), Provenance::Cluster, true),
            (Some(false), Provenance::Node, false),
        ] {
            for text in ["127.0.0.1", "127.7.0.1", "::1"] {
                let expected = if allowed { Ok(()) } else { Err(Denial::Loopback) };
                assert_eq!(guard(&[], &[], said).judge(ip(text), from), expected, "{said:?} {from:?}");
            }
        }
    }

    #[test]
    fn a_dataplane_of_a_control_plane_may_dial_loopback_and_be_nowhere_on_it() {
        let loopback = ip("127.0.0.1");
        let dialled = |guard: &Guard, from| guard.judge_outbound(loopback, from);
        assert_eq!(dialled(&Guard::DEFAULT, Provenance::Node), Ok(()));
        assert_eq!(dialled(&Guard::DEFAULT, Provenance::ControlPlane), Ok(()));
        assert_eq!(dialled(&Guard::DEFAULT, Provenance::Cluster), Err(Denial::Loopback));
        let refused = Err(Denial::Loopback);
        assert_eq!(dialled(&guard(&[], &[], Some(false)), Provenance::ControlPlane), refused);
        let denied = Err(Denial::DenyCidr);
        assert_eq!(dialled(&guard(&["127.0.0.0/8"], &[], None), Provenance::ControlPlane), denied);
    }

    #[test]
    fn vips_are_where_they_may_be() {
        let judge = |guard: &Guard, text| guard.judge_vip(ip(text), Provenance::Node);
        for text in ["240.0.0.0", "241.0.0.1", "254.255.255.255", "::ffff:243.0.0.1"] {
            assert_eq!(judge(&Guard::DEFAULT, text), Ok(()), "{text}");
        }
        for text in ["10.96.0.1", "8.8.8.8", "127.0.0.1", "fd00::1"] {
            assert_eq!(judge(&Guard::DEFAULT, text), Err(Denial::OutsideVipCidr), "{text}");
        }
        let own = guard(&["10.96.0.1"], &["10.96.0.0/12", "fd00::/112"], None);
        assert_eq!(judge(&own, "10.96.0.1"), Err(Denial::DenyCidr));
        assert_eq!([judge(&own, "10.96.0.2"), judge(&own, "fd00::2")], [Ok(()), Ok(())]);
        assert_eq!(judge(&own, "241.0.0.1"), Err(Denial::OutsideVipCidr));
    }

    #[test]
    fn networks_and_addresses_are_taken() {
        for (text, net) in [
            ("10.96.0.1/12", "10.96.0.0/12"),
            ("10.96.0.1", "10.96.0.1/32"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(cidr(text).unwrap().to_string(), net);
        }
        for wrong in ["", "10.0.0.0/33", "db", "10.0.0.0/", "fe80::1%eth0", "10.0.0.0-10.0.0.9"] {
            assert!(cidr(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// An IPv6 address that holds an IPv4 one is denied wherever that is.
        #[test]
        fn no_form_is_a_way_around(inside: u32, prefix: u32, loopback: Option<bool>) {
            let guard = Guard::new(vec![cidr("10.0.0.0/8").unwrap()], Vec::new(), loopback);
            let inside = Ipv4Addr::from(inside);
            let [a, b, c, d] = inside.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let [p, q] = [(prefix >> 16) as u16, prefix as u16];
            let forms = [
                inside.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, p, q, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, p, q, 0, 0, !high, !low),
                Ipv6Addr::new(0x2001, 0xdb8, p, q, 0, 0x5efe, high, low),
            ];
            for from in ALL {
                let expected = guard.judge(inside.into(), from);
                for form in forms {
                    prop_assert_eq!(guard.judge(form.into(), from), expected, "{}", form);
                }
            }
        }
    }
}
