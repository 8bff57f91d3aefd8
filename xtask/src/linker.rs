//! bpf-linker: finding one whose LLVM is that of the compiler, or building it.

use std::{
    env,
    fmt::{self, Display},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{bitcode, command, provision, tools, workspace};

const VERSION: &str = "0.13.0";

/// A bpf-linker that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linker {
    pub(crate) path: PathBuf,
    pub(crate) llvm_major: u32,
}

impl Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bpf-linker of LLVM {} ({})", self.llvm_major, self.path.display())
    }
}

/// Every bpf-linker of this machine that can read the bitcode in `probe`.
pub(crate) fn find_all(probe: &Path) -> Vec<Linker> {
    let installed = [Some(workspace::tools()), cargo_home()].into_iter().flatten();
    let places = installed.map(|root| root.join("bin/bpf-linker")).filter(|path| command::is_program(path));
    let mut found: Vec<Linker> = Vec::new();
    for path in command::find_all("bpf-linker").chain(places) {
        if found.iter().all(|linker| linker.path != path)
            && let Ok(llvm_major) = llvm_of(&path, probe)
        {
            found.push(Linker { path, llvm_major });
        }
    }
    found
}

/// Whether [`build`] can be tried: LLVM is there, or can be installed.
pub(crate) fn can_build(llvm_major: u32) -> bool {
    llvm_prefix(llvm_major).is_some() || provision::can_install()
}

/// Builds bpf-linker for that LLVM into [`workspace::tools`].
pub(crate) fn build(llvm_major: u32, probe: &Path) -> Result<Linker> {
    if llvm_prefix(llvm_major).is_none() {
        provision::ensure(&[&format!("llvm-{llvm_major}-dev")])?;
    }
    let prefix = llvm_prefix(llvm_major).with_context(|| {
        format!("the development files of LLVM {llvm_major} are not where they should be")
    })?;
    eprintln!("building bpf-linker {VERSION} for LLVM {llvm_major} (once, about a minute)");
    tools::install("bpf-linker", VERSION, |install| {
        install.env("LLVM_PREFIX", &prefix);
        install.args(["--no-default-features", "--features", &format!("llvm-{llvm_major}")]);
    })?;
    let path = tools::path_of("bpf-linker");
    let built = llvm_of(&path, probe).context("the bpf-linker just built does not work")?;
    if built != llvm_major {
        bail!("the bpf-linker just built uses LLVM {built}, not {llvm_major}");
    }
    Ok(Linker { path, llvm_major })
}

/// Lets the linker write bitcode, and reads there which LLVM it has.
fn llvm_of(linker: &Path, probe: &Path) -> Result<u32> {
    let output = probe.with_file_name("linked.bc");
    let mut link = Command::new(linker);
    link.args(["--emit", "llvm-bc", "-o"]).arg(&output).arg(probe);
    command::capture(&mut link)?;
    let written = fs::read(&output).with_context(|| format!("cannot read {}", output.display()))?;
    bitcode::llvm_major(&written).with_context(|| format!("{} does not tell its LLVM", linker.display()))
}

/// Where LLVM with its headers is: as Debian places it, or as llvm-config says.
fn llvm_prefix(major: u32) -> Option<PathBuf> {
    let debian = PathBuf::from(format!("/usr/lib/llvm-{major}"));
    if debian.join("include/llvm-c").is_dir() {
        return Some(debian);
    }
    ["llvm-config".to_owned(), format!("llvm-config-{major}")].into_iter().find_map(|name| {
        let config = command::find(&name)?;
        let version = command::capture(Command::new(&config).arg("--version")).ok()?;
        let prefix = command::capture(Command::new(&config).arg("--prefix")).ok()?;
        let prefix = PathBuf::from(prefix.trim());
        let fits = version.split('.').next() == Some(&major.to_string());
        (fits && prefix.join("include/llvm-c").is_dir()).then_some(prefix)
    })
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
}
