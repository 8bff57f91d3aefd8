//! Where Envoy is.

use std::{
    env,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use crate::client::stdout;

/// The variable that names it.
const VARIABLE: &str = "ENVOY_BIN";

/// By this xtask tells why it has not fetched it.
const WITHOUT: &str = "TCPROUTE_WITHOUT_ENVOY";

/// Envoy's own program.
pub struct Program(PathBuf);

impl Program {
    /// As [`Self::find`]; if there is none, says why the test is skipped.
    pub fn of(test: &str) -> Option<Self> {
        Self::find().inspect_err(|why| println!("SKIPPED {test}: {why}")).ok()
    }

    /// The one that `ENVOY_BIN` names, or else the one that xtask has fetched; if there is none, says why. Whoever
    /// names one means it to run, so there it must be.
    pub fn find() -> Result<Self, String> {
        if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            let named = PathBuf::from(named);
            assert!(named.is_file(), "{VARIABLE}: no Envoy at {}", named.display());
            return Ok(Self(named));
        }
        if let Ok(why) = env::var(WITHOUT) {
            return Err(why);
        }
        let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target/envoy/envoy");
        if fetched.is_file() {
            return Ok(Self(fetched));
        }
        Err(format!("no Envoy at {}; get it: cargo xtask fetch-envoy", fetched.display()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What it says of its version, such as `1.40.0`.
    pub fn version(&self) -> String {
        let output = Command::new(&self.0).arg("--version").output().expect("Envoy can be started");
        let told = stdout(&output);
        number(&told).unwrap_or(&told).to_owned()
    }

    /// To be run by a user who may not get to where it is.
    pub(super) fn open(&self) -> File {
        File::open(&self.0).expect("Envoy can be read")
    }
}

/// It tells its path, and then a commit, the number, and how it was built, with slashes between.
fn number(told: &str) -> Option<&str> {
    told.split_once("version: ")?.1.split('/').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_version_is_found() {
        let told = "/a/b/envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL";
        assert_eq!(number(told), Some("1.40.0"));
        assert_eq!(number("envoy 1.40.0"), None);
    }
}
