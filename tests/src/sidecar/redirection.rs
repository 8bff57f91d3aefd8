//! The redirection of a pod to its sidecar: the rules of the nat table that Kuma's kuma-init or CNI plugin installs.

use std::{io::Write as _, process::Stdio};

use super::{INBOUND, OUTBOUND, Pod, SIDECAR};

/// Which iptables writes the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The tables of the kernel that iptables has always had.
    Legacy,
    /// nftables.
    Nft,
}

/// Which connections are redirected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// Those by IPv4.
    V4,
    /// Those by IPv6.
    V6,
    /// All.
    Both,
}

/// Whose rules they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Kuma 2.4.
    V2_4,
    /// Kuma 2.14, where addresses can be left out.
    V2_14,
}

/// What is installed in a pod.
#[derive(Debug, Clone)]
pub struct Redirection {
    /// Which iptables writes the rules.
    pub backend: Backend,
    /// Which connections are redirected.
    pub families: Families,
    /// Whose rules they are.
    pub version: Version,
    /// Addresses and networks that are left out, as by the annotation `traffic.kuma.io/exclude-outbound-ips`.
    pub exclude_outbound_ips: Vec<String>,
}

/// What differs between the two families.
struct Family {
    iptables: &'static str,
    localhost: &'static str,
    /// From where the sidecar dials the application of its pod.
    passthrough: &'static str,
    inbound: u16,
}

const V4: Family = Family {
    iptables: "iptables",
    localhost: "127.0.0.1/32",
    passthrough: "127.0.0.6/32",
    inbound: INBOUND[0],
};

const V6: Family =
    Family { iptables: "ip6tables", localhost: "::1/128", passthrough: "::6/128", inbound: INBOUND[1] };

impl Redirection {
    /// One that leaves out nothing.
    pub const fn new(backend: Backend, families: Families, version: Version) -> Self {
        Self { backend, families, version, exclude_outbound_ips: Vec::new() }
    }

    /// Whether iptables and the kernel have what it takes; if not, says why the test is skipped. Nothing may be
    /// installed yet.
    pub fn is_possible(&self, pod: &Pod, test: &str) -> bool {
        self.tried(pod).inspect_err(|why| println!("SKIPPED {test}: {why}")).is_ok()
    }

    /// The same; if not, says why.
    pub fn tried(&self, pod: &Pod) -> Result<(), String> {
        let rules = format!(
            "-A OUTPUT -p tcp -m owner --uid-owner {SIDECAR} -j RETURN\n\
             -A OUTPUT -p tcp -j REDIRECT --to-ports {OUTBOUND}\n"
        );
        self.families().iter().try_for_each(|family| {
            self.restore(pod, family, &rules)?;
            self.restore(pod, family, "")
        })
    }

    /// Puts the rules into a pod, in the place of all others of the nat table.
    pub fn install(&self, pod: &Pod) {
        for family in self.families() {
            self.restore(pod, family, &self.rules(family)).expect("rules can be installed");
        }
    }

    /// Takes all rules and chains out of the nat table.
    pub fn flush(&self, pod: &Pod) {
        for family in self.families() {
            self.restore(pod, family, "").expect("rules can be flushed");
        }
    }

    /// The programs that install the rules, each with what it is to read: for who does so in a pod of their own.
    pub fn inputs(&self) -> impl Iterator<Item = (String, String)> {
        self.families().iter().map(|family| (self.program(family), input(&self.rules(family))))
    }

    const fn families(&self) -> &'static [Family] {
        match self.families {
            Families::V4 => &[V4],
            Families::V6 => &[V6],
            Families::Both => &[V4, V6],
        }
    }

    /// In the order in which Kuma writes them. The domain names of the mesh are left out, as no test asks for one.
    fn rules(&self, family: &Family) -> String {
        let Family { localhost, passthrough, inbound, .. } = family;
        let sidecar = format!("-m owner --uid-owner {SIDECAR}");
        let others = format!("-m owner ! --uid-owner {SIDECAR}");
        format!(
            "-N KUMA_MESH_INBOUND
-N KUMA_MESH_OUTBOUND
-N KUMA_MESH_INBOUND_REDIRECT
-N KUMA_MESH_OUTBOUND_REDIRECT
{}-A PREROUTING -p tcp -j KUMA_MESH_INBOUND
-A OUTPUT -p tcp -j KUMA_MESH_OUTBOUND
-A KUMA_MESH_INBOUND -p tcp -j KUMA_MESH_INBOUND_REDIRECT
-A KUMA_MESH_OUTBOUND -s {passthrough} -o lo -j RETURN
-A KUMA_MESH_OUTBOUND -p tcp -o lo ! -d {localhost} {sidecar} -j KUMA_MESH_INBOUND_REDIRECT
-A KUMA_MESH_OUTBOUND -p tcp -o lo {others} -j RETURN
-A KUMA_MESH_OUTBOUND {sidecar} -j RETURN
-A KUMA_MESH_OUTBOUND -d {localhost} -j RETURN
-A KUMA_MESH_OUTBOUND -j KUMA_MESH_OUTBOUND_REDIRECT
-A KUMA_MESH_INBOUND_REDIRECT -p tcp -j REDIRECT --to-ports {inbound}
-A KUMA_MESH_OUTBOUND_REDIRECT -p tcp -j REDIRECT --to-ports {OUTBOUND}
",
            self.exclusions(family)
        )
    }

    fn exclusions(&self, family: &Family) -> String {
        let excluded = &self.exclude_outbound_ips;
        assert!(excluded.is_empty() || self.version != Version::V2_4, "Kuma 2.4 leaves no addresses out");
        let of_family =
            excluded.iter().filter(|network| network.contains(':') == family.localhost.contains(':'));
        let rule = |(i, network)| format!("-I OUTPUT {} -d {network} -j RETURN\n", i + 1);
        of_family.enumerate().map(rule).collect()
    }

    fn program(&self, family: &Family) -> String {
        let backend = match self.backend {
            Backend::Legacy => "legacy",
            Backend::Nft => "nft",
        };
        format!("{}-{backend}-restore", family.iptables)
    }

    /// Replaces the rules of the nat table; if that fails, says why.
    fn restore(&self, pod: &Pod, family: &Family, rules: &str) -> Result<(), String> {
        let program = self.program(family);
        let mut command = pod.command(None, 0, &program);
        // The lock is the same for all network namespaces.
        command.arg("--wait").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start nsenter: {error}"))?;
        let mut input = child.stdin.take().expect("it is piped");
        // If it does not read, it says why.
        let _ = input.write_all(self::input(rules).as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("a child can be waited for");
        if output.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program}: {}", told.lines().next().unwrap_or("it failed").trim()))
    }
}

/// What iptables-restore reads.
fn input(rules: &str) -> String {
    format!("*nat\n{rules}COMMIT\n")
}
