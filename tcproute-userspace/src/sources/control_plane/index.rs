//! What a control plane says of itself. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::policy::Compat;

/// `GET /`. What tells one instance from another is of no concern: several may answer in turns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Index {
    product: String,
    version: String,
}

/// `GET /config`, which not everybody may read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Config {
    mode: String,
    environment: String,
}

/// `GET /zones`: how many are known there.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Zones {
    pub(super) total: usize,
}

/// Which part of a mesh a control plane has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// One zone, or all there is.
    Zone,
    /// The Dataplanes of all zones.
    Global,
    /// It has not said.
    Unknown,
}

/// Major and minor number; none where the version has no such, as those of builds between releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32);

/// What is known of a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) index: Index,
    pub(super) extent: Extent,
    environment: Option<String>,
}

impl Index {
    pub(super) fn version(&self) -> Option<Version> {
        let mut numbers = self.version.trim_start_matches('v').split(['.', '-', '+']);
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        // Builds between releases are 0.0.0 with something behind.
        (major > 0).then_some(Version(major, minor))
    }
}

impl Version {
    /// Whose rules hold.
    pub(super) fn compat(self) -> Compat {
        match self {
            version if version < Self(2, 6) => Compat::V2_4,
            version if version < Self(3, 0) => Compat::Latest,
            _ => Compat::V3,
        }
    }
}

impl About {
    /// What is known by these answers, as far as there were any.
    pub(super) fn of(index: Index, config: Option<Config>, zones: Option<Zones>) -> Self {
        let (mode, environment) = match config {
            Some(Config { mode, environment }) => (Some(mode), Some(environment)),
            None => (None, None),
        };
        let extent = match (mode.as_deref(), zones) {
            (Some("zone" | "standalone"), _) => Extent::Zone,
            // Only a global one knows of others.
            (Some("global"), _) | (_, Some(Zones { total: 2.. })) => Extent::Global,
            _ => Extent::Unknown,
        };
        Self { index, extent, environment }
    }

    /// Whether it runs on Kubernetes, where objects are applied to the API server and not to it.
    pub(super) fn is_on_kubernetes(&self) -> bool {
        self.environment.as_deref() == Some("kubernetes")
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index: Index { product, version, .. }, extent, environment } = self;
        write!(f, "{product} {version}")?;
        f.write_str(match extent {
            Extent::Zone => ", of one zone",
            Extent::Global => ", global",
            Extent::Unknown => "",
        })?;
        environment.iter().try_for_each(|environment| write!(f, ", on {environment}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(version: &str) -> Index {
        let json = format!(
            r#"{{"hostname":"cp","tagline":"Kuma","product":"Kuma","version":"{version}","instanceId":"cp-1","clusterId":"x","gui":"/gui"}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn the_version_tells_whose_rules_hold() {
        let compat = |version| index(version).version().map(Version::compat);
        assert_eq!(compat("2.4.10"), Some(Compat::V2_4));
        assert_eq!(compat("2.5.0"), Some(Compat::V2_4));
        assert_eq!(compat("2.6.0"), Some(Compat::Latest));
        assert_eq!(compat("2.14.3"), Some(Compat::Latest));
        assert_eq!(compat("v2.14.0-preview.v1a2b"), Some(Compat::Latest));
        assert_eq!(compat("3.0.0"), Some(Compat::V3));
        for unknown in ["0.0.0-preview.v1a2b", "dev", "", "unknown"] {
            assert_eq!(compat(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_global_one_is_told_from_a_zones() {
        let config = |mode: &str| Some(Config { mode: mode.into(), environment: "universal".into() });
        let extent = |config, zones: Option<usize>| {
            About::of(index("2.14.3"), config, zones.map(|total| Zones { total })).extent
        };
        assert_eq!(extent(config("global"), None), Extent::Global);
        assert_eq!(extent(config("zone"), Some(3)), Extent::Zone);
        assert_eq!(extent(config("standalone"), None), Extent::Zone);
        // 2.14 knows of its own.
        assert_eq!(extent(None, Some(1)), Extent::Unknown);
        assert_eq!(extent(None, Some(2)), Extent::Global);
        let about = About::of(index("2.14.3"), config("global"), None);
        assert_eq!(about.to_string(), "Kuma 2.14.3, global, on universal");
        assert_eq!(About::of(index("2.4.10"), None, None).to_string(), "Kuma 2.4.10");
    }
}
