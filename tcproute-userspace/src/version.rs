//! Which build this is. Packages, images and charts carry the same version.

use serde::Serialize;
use tcproute_common::LayoutVersion;

/// Of the workspace, by Semantic Versioning.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A build.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// By Semantic Versioning.
    pub version: &'static str,
    /// The commit, with `-dirty` behind it if more than that went in. None if the build was not told.
    pub commit: Option<&'static str>,
    /// For which it was compiled, such as `x86_64-unknown-linux-musl`.
    pub target: &'static str,
    /// What it has in the kernel. A build with the same goes on with it as it is.
    pub maps: Maps,
}

/// The versions of what is in the maps.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Maps {
    tables: u32,
    states: u32,
}

impl Build {
    /// This one.
    pub const THIS: Self = Self {
        version: VERSION,
        commit: option_env!("TCPROUTE_COMMIT"),
        target: env!("TCPROUTE_TARGET"),
        maps: Maps { tables: LayoutVersion::CURRENT.tables, states: LayoutVersion::CURRENT.states },
    };
}
