//! How a server is.

use super::{tls::Tls, version::Version};

/// What a server is started with. All but the certificate and the zones may change while it runs.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Options {
    /// Which release it is.
    pub version: Version,
    /// With it, it speaks HTTPS.
    pub tls: Option<Tls>,
    /// The token that it takes. Any other one is refused, and without one here any.
    pub token: Option<String>,
    /// Whether it gives nothing but `GET /` without the token. As it comes, Kuma does not ask for any.
    pub requires_token: bool,
    /// Whether everybody may see `GET /config`, as it comes.
    pub config_is_open: bool,
    /// Whether it is a global one, and not that of a zone.
    pub is_global: bool,
    /// Whether `GET /config` says that it runs on Kubernetes.
    pub is_on_kubernetes: bool,
    /// How many zones it knows when it begins. Without a number a 2.14 knows its own, and a 2.4 none. Later they are
    /// put and deleted as all resources.
    pub zones: Option<usize>,
    /// Whether a list that was answered stays for a second as it was, as that of a real one does.
    pub caches: bool,
    /// What stands before the path in `next`, such as `http://kuma.example:5681`, as if another were in front of it.
    /// If there is none, that is made of the Host header, and of whether it speaks TLS itself.
    pub next: Option<String>,
}

impl Default for Options {
    /// As Kuma comes.
    fn default() -> Self {
        Self {
            version: Version::default(),
            tls: None,
            token: None,
            requires_token: false,
            config_is_open: true,
            is_global: false,
            is_on_kubernetes: false,
            zones: None,
            caches: false,
            next: None,
        }
    }
}

impl Options {
    /// Those of this release.
    pub fn of(version: Version) -> Self {
        Self { version, ..Self::default() }
    }

    /// The names of the zones that it knows.
    pub(super) fn zone_names(&self) -> Vec<String> {
        let own = usize::from(self.version == Version::V2_14 && !self.is_global);
        let count = self.zones.unwrap_or(own);
        let names = (0..count).map(|at| if at < own { "default".into() } else { format!("zone-{at}") });
        names.collect()
    }

    /// What `mode` is in its configuration.
    pub(super) const fn mode(&self) -> &'static str {
        match (self.is_global, self.version) {
            (true, _) => "global",
            (false, Version::V2_4) => "standalone",
            (false, Version::V2_14) => "zone",
        }
    }
}
