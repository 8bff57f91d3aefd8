//! The platforms for which tcproute is built, and what each of those who ask calls them.

use std::{fmt, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{command, provision};

/// A processor under Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Platform {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "aarch64")]
    Aarch64,
}

impl Platform {
    pub(crate) const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// That of this machine, if it is one of these.
    pub(crate) fn host() -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.name() == std::env::consts::ARCH)
    }

    /// As Rust, the kernel and RPM call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As Debian and OCI call it.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Static by itself, with a resolver of names that needs no library of the host.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }

    /// Sees to it that cargo can build for it, and makes `cargo` do so. Fails where the toolchain cannot be had.
    pub(crate) fn configure(self, cargo: &mut Command) -> Result<()> {
        self.provide_library()?;
        let compiler = self.provide_compiler()?;
        let target = self.target();
        cargo.args(["--target", target]);
        // Of C there is some cryptography, which calls no libc; what is linked is Rust's own musl.
        cargo.env(format!("CC_{}", target.replace('-', "_")), &compiler);
        cargo.env(format!("CARGO_TARGET_{}_LINKER", target.replace('-', "_").to_uppercase()), &compiler);
        Ok(())
    }

    /// Rust's library for it, of the very compiler that cargo calls.
    fn provide_library(self) -> Result<()> {
        if self.has_library() {
            return Ok(());
        }
        eprintln!("adding Rust's library for {} by rustup", self.target());
        let mut add = command::beside_cargo("rustup");
        command::capture(add.args(["target", "add", self.target()]))
            .with_context(|| format!("Rust's library for {} cannot be had", self.target()))?;
        ensure!(self.has_library(), "rustup has added {} to another toolchain than this one", self.target());
        Ok(())
    }

    fn has_library(self) -> bool {
        let mut rustc = command::beside_cargo("rustc");
        let directory = command::capture(rustc.args(["--print", "target-libdir", "--target", self.target()]));
        directory.is_ok_and(|directory| std::path::Path::new(directory.trim()).is_dir())
    }

    /// A compiler of C and linker.
    fn provide_compiler(self) -> Result<String> {
        if Self::host() == Some(self) {
            return Ok("cc".to_owned());
        }
        let compiler = format!("{}-linux-gnu-gcc", self.name());
        let package = format!("gcc-{}-linux-gnu", self.name().replace('_', "-"));
        // With the headers that C asks for.
        let headers = format!("libc6-dev-{}-cross", self.debian());
        if provision::can_install() {
            provision::ensure(&[&package, &headers])?;
        }
        ensure!(command::find(&compiler).is_some(), "there is no {compiler}");
        Ok(compiler)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
