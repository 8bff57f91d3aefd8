//! The kernels of the matrix: obtained from Debian, verified, and kept.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

use anyhow::{Context as _, Result};

use super::{
    debian::{Archive, Package},
    modules,
};
use crate::command;

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A release of Debian, and the series of its kernel.
    Debian { series: &'static str, suite: &'static str },
    /// An image on this machine.
    Image(PathBuf),
}

impl Source {
    /// From the oldest that is supported to the newest there is.
    pub(crate) const MATRIX: [Self; 4] = [
        Self::Debian { series: "5.10", suite: "bullseye" },
        Self::Debian { series: "6.1", suite: "bookworm" },
        Self::Debian { series: "6.12", suite: "trixie" },
        Self::Debian { series: "latest", suite: "sid" },
    ];
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |source: &Self| matches!(source, Self::Debian { series, .. } if *series == text);
        if let Some(source) = Self::MATRIX.into_iter().find(named) {
            return Ok(source);
        }
        let path = PathBuf::from(text);
        if path.is_file() {
            return Ok(Self::Image(path));
        }
        Err("must be 5.10, 6.1, 6.12, latest or the path of a kernel image".to_owned())
    }
}

/// A kernel that can be booted.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// As it is asked for, or the name of its file.
    pub(crate) series: String,
    /// Of Debian's package.
    pub(crate) version: String,
    pub(crate) image: PathBuf,
    /// Modules that the tests need and the image lacks, in the order in which they are loaded.
    pub(crate) modules: Vec<PathBuf>,
    /// Where its packages are unpacked, if it is of packages.
    root: Option<PathBuf>,
}

impl Kernel {
    /// The directory with all of its modules, named after its release.
    pub(crate) fn modules_directory(&self) -> Result<PathBuf> {
        let root = self.root.as_ref().context("a kernel without packages has no modules")?;
        let (base, release) = modules::place(root)?;
        Ok(base.join("lib/modules").join(release))
    }
}

impl Source {
    /// Downloads what is not there yet.
    pub(crate) fn obtain(&self, directory: &Path) -> Result<Kernel> {
        match self {
            Self::Image(image) => {
                let name = image.file_name().map(|name| name.to_string_lossy().into_owned());
                Ok(Kernel {
                    series: name.unwrap_or_default(),
                    version: "an image".to_owned(),
                    image: image.clone(),
                    modules: Vec::new(),
                    root: None,
                })
            }
            Self::Debian { series, suite } => {
                let archive = Archive::find();
                from_debian(&archive, series, suite, directory)
                    .with_context(|| format!("cannot obtain the kernel {series} of Debian {suite}"))
            }
        }
    }
}

fn from_debian(archive: &Archive, series: &str, suite: &str, directory: &Path) -> Result<Kernel> {
    let packages = archive.packages(suite, directory)?;
    let image = newest(&packages, &["linux-binary-", "linux-image-"]).context("there is no such package")?;
    let with_modules = image.modules_package();
    let with_modules = packages.iter().find(|package| with_modules.as_ref() == Some(&package.name));
    let root = directory.join(format!("{series}-{}", image.version));
    if !root.join("complete").exists() {
        for package in std::iter::once(image).chain(with_modules) {
            eprintln!("downloading {} ({} MB)", package.name, package.size / 1_000_000);
            let file = archive.download(package, directory)?;
            command::capture(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&root))?;
            fs::remove_file(&file)?;
        }
        fs::write(root.join("complete"), "")?;
        remove_older(directory, series, &root)?;
    }
    let vmlinuz = find(&root, &|name| name.starts_with("vmlinuz")).context("there is no kernel image")?;
    Ok(Kernel {
        series: series.to_owned(),
        version: image.version.clone(),
        image: vmlinuz,
        modules: modules::wanted(&root)?,
        root: Some(root),
    })
}

/// What was kept of the series before.
fn remove_older(directory: &Path, series: &str, newest: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && path != newest && name.starts_with(&format!("{series}-")) {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The newest cloud kernel: small, and with what a virtual machine needs built in.
fn newest<'a>(packages: &'a [Package], prefixes: &[&str]) -> Option<&'a Package> {
    let wanted = |package: &&Package| {
        let name = package.name.strip_suffix("-unsigned").unwrap_or(&package.name);
        prefixes.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
            && name.ends_with("-cloud-amd64")
            // What is smaller only depends on others.
            && package.size > 1_000_000
    };
    packages.iter().filter(wanted).max_by_key(|package| version_key(&package.version))
}

/// Compares as Debian does, for versions of kernels: by the numbers in them.
fn version_key(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// The first file with such a name below a directory.
fn find(directory: &Path, is_it: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(directory).ok()?.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    entries.iter().find_map(|entry| {
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            return find(&entry.path(), is_it);
        }
        (kind.is_file() && is_it(&entry.file_name().to_string_lossy())).then(|| entry.path())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, size: u64) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            file: String::new(),
            size,
            sha256: String::new(),
        }
    }

    #[test]
    fn the_newest_cloud_kernel_is_taken() {
        let packages = [
            package("linux-image-5.10.0-9-cloud-amd64-unsigned", "5.10.70-1", 20_000_000),
            package("linux-image-5.10.0-32-cloud-amd64-unsigned", "5.10.223-1", 20_000_000),
            package("linux-image-5.10.0-32-cloud-amd64-dbg", "5.10.223-1", 200_000_000),
            package("linux-image-5.10.0-33-amd64", "5.10.226-1", 50_000_000),
            package("linux-image-cloud-amd64", "5.10.226-1", 2_000_000),
            package("linux-image-5.10.0-34-cloud-amd64", "5.10.228-1", 1_916),
        ];
        let newest = newest(&packages, &["linux-binary-", "linux-image-"]).unwrap();
        assert_eq!(newest.name, "linux-image-5.10.0-32-cloud-amd64-unsigned");
    }

    #[test]
    fn kernels_are_named_or_are_files() {
        assert_eq!("6.12".parse(), Ok(Source::MATRIX[2].clone()));
        assert_eq!(
            "/dev/null/vmlinuz".parse::<Source>().unwrap_err(),
            "must be 5.10, 6.1, 6.12, latest or the path of a kernel image"
        );
    }
}
