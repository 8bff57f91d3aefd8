//! Debian's archive: what packages a release has, and fetching them verified.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::command;

/// Debian's own, where apt does not know a nearer one.
const DEFAULT: &str = "http://deb.debian.org/debian";

/// Why a kernel cannot be had here: nothing of ours is at fault.
#[derive(Debug)]
pub(crate) struct Unreachable;

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Debian's archive does not answer")
    }
}

/// An archive with all releases of Debian.
pub(crate) struct Archive {
    url: String,
}

/// A package, as the list of its release has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Its path in the archive.
    pub(crate) file: String,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl Package {
    /// The package with the modules of a kernel, if they are in one of their own.
    pub(crate) fn modules_package(&self) -> Option<String> {
        self.name.strip_prefix("linux-binary-").map(|kernel| format!("linux-modules-{kernel}"))
    }
}

impl Archive {
    /// The one that this machine's apt uses.
    pub(crate) fn find() -> Self {
        let mut targets = Command::new("apt-get");
        targets.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
        let known = command::capture(&mut targets).unwrap_or_default();
        let debian = known.lines().map(|url| url.trim_end_matches('/')).find(|url| url.ends_with("/debian"));
        Self { url: debian.unwrap_or(DEFAULT).to_owned() }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The packages of a release. The list is fetched again only if the archive has a newer one.
    pub(crate) fn packages(&self, suite: &str, directory: &Path) -> Result<Vec<Package>> {
        let list = directory.join(format!("{suite}.xz"));
        let url = format!("{}/dists/{suite}/main/binary-amd64/Packages.xz", self.url);
        let mut curl = curl(&url, &list);
        curl.arg("--time-cond").arg(&list);
        if let Err(error) = command::capture(&mut curl) {
            if !list.exists() {
                return Err(error.context(Unreachable));
            }
            eprintln!("warning: the list of {suite} may be old: {error:#}");
        }
        let text = command::capture(Command::new("xz").args(["--decompress", "--stdout"]).arg(&list))?;
        Ok(text.split("\n\n").filter_map(read).collect())
    }

    /// Fetches a package and compares its checksum with that of the list.
    pub(crate) fn download(&self, package: &Package, directory: &Path) -> Result<PathBuf> {
        let file = directory.join(format!("{}.deb", package.name));
        let url = format!("{}/{}", self.url, package.file);
        command::capture(&mut curl(&url, &file)).context(Unreachable)?;
        let sum = command::capture(Command::new("sha256sum").arg(&file))?;
        if sum.split_whitespace().next() != Some(&package.sha256) {
            fs::remove_file(&file)?;
            bail!("{} is not what the archive's list says: its checksum is {sum}", package.file);
        }
        Ok(file)
    }
}

fn curl(url: &str, to: &Path) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--show-error", "--location", "--retry", "3", "--max-time", "300"]);
    curl.args(["--remote-time", "--output"]).arg(to).arg(url);
    curl
}

/// A stanza of the list, if it is one of a kernel.
fn read(stanza: &str) -> Option<Package> {
    let name = stanza.trim_start().strip_prefix("Package: linux-")?.lines().next()?;
    let field = |name: &str| {
        let mut lines = stanza.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
    };
    Some(Package {
        name: format!("linux-{name}"),
        version: field("Version")?,
        file: field("Filename")?,
        size: field("Size")?.parse().ok()?,
        sha256: field("SHA256")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_of_kernels_are_read() {
        let stanza = "Package: linux-binary-7.2.13+deb14-cloud-amd64\nSource: linux\nVersion: 7.2.13-1\n\
                      Depends: a\nFilename: pool/a.deb\nSize: 13717736\nSHA256: 03e4\n";
        let package = read(stanza).unwrap();
        assert_eq!(
            (package.version.as_str(), package.size, package.sha256.as_str()),
            ("7.2.13-1", 13_717_736, "03e4")
        );
        assert_eq!(package.modules_package().unwrap(), "linux-modules-7.2.13+deb14-cloud-amd64");
        let image = Package { name: "linux-image-6.1.0-50-cloud-amd64".to_owned(), ..package };
        assert_eq!(image.modules_package(), None);
        assert_eq!(read("Package: bash\nVersion: 5\n"), None);
    }
}
