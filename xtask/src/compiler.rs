//! The Rust compilers that can build for BPF: Debian's, which has `core` for it ready, and rustup's nightly,
//! which builds `core` from its sources.

use std::{
    fmt::{self, Display},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::command;

/// The BPF of this host's byte order.
pub(crate) const TARGET: &str =
    if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };

/// Where a compiler comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The operating system's packages.
    Distribution,
    /// rustup's nightly toolchain.
    Nightly,
}

/// A compiler that can build for BPF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    pub(crate) origin: Origin,
    pub(crate) rustc: PathBuf,
    pub(crate) version: Version,
    /// Where its `core` for BPF is, compiled or as sources.
    pub(crate) core: PathBuf,
}

/// What `rustc -vV` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) release: String,
    /// All of it, such as `22.1.8`.
    pub(crate) llvm: String,
    pub(crate) llvm_major: u32,
}

impl Compiler {
    /// The compiler of this origin, or why it is of no use.
    pub(crate) fn find(origin: Origin) -> Result<Self> {
        let rustc = match origin {
            Origin::Distribution => distribution_rustc()?,
            Origin::Nightly => nightly_rustc()?,
        };
        let version = command::capture(Command::new(&rustc).arg("-vV"))?;
        let version =
            Version::parse(&version).with_context(|| format!("{} -vV: no LLVM named", rustc.display()))?;
        let least = env!("CARGO_PKG_RUST_VERSION");
        if !version.is_at_least(least) {
            bail!(
                "{} {} is older than the {least} that this workspace needs",
                rustc.display(),
                version.release
            );
        }
        let sysroot = command::capture(Command::new(&rustc).args(["--print", "sysroot"]))?;
        let rustlib = Path::new(sysroot.trim()).join("lib/rustlib");
        let core = match origin {
            Origin::Distribution => rustlib.join(TARGET),
            Origin::Nightly => rustlib.join("src/rust/library/core"),
        };
        if !core.is_dir() {
            bail!("{} {} has no {}", rustc.display(), version.release, core.display());
        }
        Ok(Self { origin, rustc, version, core })
    }

    /// Compiles the smallest crate there is to bitcode: proves the compiler, and its `core` where that is ready.
    pub(crate) fn compile_probe(&self, directory: &Path) -> Result<PathBuf> {
        let source = match self.origin {
            Origin::Distribution => "#![no_std]",
            Origin::Nightly => "#![feature(no_core)] #![no_core]",
        };
        let (input, output) = (directory.join("probe.rs"), directory.join("probe.bc"));
        fs::write(&input, source).with_context(|| format!("cannot write {}", input.display()))?;
        let mut rustc = Command::new(&self.rustc);
        rustc.env("RUSTC_BOOTSTRAP", "1").args(["--crate-type=lib", "--emit=llvm-bc", "--target", TARGET]);
        command::capture(rustc.arg("-o").arg(&output).arg(&input))?;
        Ok(output)
    }

    /// A cargo that compiles with this compiler. The target has to be named after the subcommand.
    pub(crate) fn cargo(&self) -> Command {
        self.with_environment(match self.origin {
            // Any cargo can drive the distribution's compiler, and there need not be another one.
            Origin::Distribution => command::cargo(),
            // `-Z build-std` needs the cargo that belongs to the library's sources.
            Origin::Nightly => command::cargo_at(self.rustc.with_file_name("cargo")),
        })
    }

    /// Clippy by this compiler, if it is installed.
    pub(crate) fn clippy(&self) -> Option<Command> {
        let program = self.rustc.with_file_name("cargo-clippy");
        command::is_program(&program).then(|| {
            let mut clippy = self.with_environment(command::beside_cargo(program));
            clippy.env("CARGO", self.cargo().get_program()).args(["clippy", "--locked"]);
            clippy
        })
    }

    fn with_environment(&self, mut cargo: Command) -> Command {
        cargo.env("RUSTC", &self.rustc);
        // aya-ebpf uses the unstable inline assembly of BPF.
        cargo.env("RUSTC_BOOTSTRAP", "1");
        // Neither the toolchain of the cargo that runs xtask nor flags for the host belong here.
        cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTDOC").env_remove("RUSTFLAGS");
        cargo.env("CARGO_ENCODED_RUSTFLAGS", "");
        cargo
    }

    /// The options that make cargo build for BPF.
    pub(crate) fn target_options(&self) -> &'static [&'static str] {
        match self.origin {
            Origin::Distribution => &["--target", TARGET],
            Origin::Nightly => &["--target", TARGET, "-Zbuild-std=core"],
        }
    }
}

impl Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version { release, llvm, .. } = &self.version;
        let core = match self.origin {
            Origin::Distribution => "ready in",
            Origin::Nightly => "built from",
        };
        write!(
            f,
            "rustc {release} ({}, LLVM {llvm}), core {core} {}",
            self.rustc.display(),
            self.core.display()
        )
    }
}

impl Version {
    fn parse(verbose: &str) -> Option<Self> {
        let field = |name| verbose.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let llvm = field("LLVM version:")?;
        let llvm_major = llvm.split('.').next()?.parse().ok()?;
        Some(Self { release: field("release:")?.to_owned(), llvm: llvm.to_owned(), llvm_major })
    }

    /// Compares the first two numbers: `rust-version` in a manifest has no more.
    fn is_at_least(&self, least: &str) -> bool {
        let numbers =
            |version: &str| version.split('.').take(2).map(str::parse).collect::<Result<Vec<u32>, _>>();
        matches!((numbers(&self.release), numbers(least)), (Ok(have), Ok(need)) if have >= need)
    }
}

/// By its path, since what comes first on the search path is mostly rustup's.
fn distribution_rustc() -> Result<PathBuf> {
    let rustc = PathBuf::from("/usr/bin/rustc");
    if !command::is_program(&rustc) {
        bail!("there is no {}", rustc.display());
    }
    Ok(rustc)
}

fn nightly_rustc() -> Result<PathBuf> {
    if command::find("rustup").is_none() {
        bail!("there is no rustup");
    }
    let mut which = Command::new("rustup");
    which.args(["which", "--toolchain", "nightly", "rustc"]);
    // To look must not mean to download.
    which.env("RUSTUP_AUTO_INSTALL", "0").env_remove("RUSTUP_TOOLCHAIN");
    let path = command::capture(&mut which).context("rustup has no nightly")?;
    Ok(PathBuf::from(path.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_rustc_says_of_itself() {
        let version = Version::parse(
            "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\n\
             host: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n",
        );
        let expected = Version { release: "1.96.0".into(), llvm: "22.1.8".into(), llvm_major: 22 };
        assert_eq!(version, Some(expected));
    }

    #[test]
    fn versions_are_compared_by_number() {
        let version =
            |release: &str| Version { release: release.into(), llvm: "22.1".into(), llvm_major: 22 };
        assert!(version("1.95.0").is_at_least("1.95"));
        assert!(version("1.100.0-nightly").is_at_least("1.95"));
        assert!(version("2.0.0").is_at_least("1.95"));
        assert!(!version("1.85.1").is_at_least("1.95"));
    }

    #[test]
    fn a_compiler_without_llvm_is_none() {
        assert_eq!(Version::parse("rustc 1.96.0\nrelease: 1.96.0\n"), None);
        assert_eq!(Version::parse("release: 1.96.0\nLLVM version: unknown\n"), None);
    }
}
