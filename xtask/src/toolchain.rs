//! Choosing the compiler and the linker for BPF among what this machine has, or installing them.

use std::fs;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::{
    compiler::{Compiler, Origin},
    linker::{self, Linker},
    provision, workspace,
};

/// Which compiler the user wants for the eBPF programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// Whichever is ready, the distribution's first
    #[default]
    Auto,
    /// The distribution's, with its prebuilt core
    Distribution,
    /// rustup's nightly, with rust-src
    Nightly,
}

/// A compiler and the linker for it.
#[derive(Debug)]
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    pub(crate) linker: Linker,
}

/// What was found out about one origin: a compiler and its prospects of a linker, or what it lacks.
type Finding = Result<(Compiler, Prospect), String>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Prospect {
    /// A linker of the same LLVM.
    Ready(Linker),
    /// None yet, but LLVM's development files are there or can be installed.
    Buildable,
    /// Only a linker of a later LLVM, which reads earlier bitcode, though the code it generates is less tried.
    Later(Linker),
    /// No linker, and no way to build one.
    Missing,
}

#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Use(Compiler, Linker),
    Build(Compiler),
    Install,
    Fail(String),
}

/// Finds, or provides, the compiler and linker, and says which they are.
pub(crate) fn provide(wanted: Wanted) -> Result<Toolchain> {
    let mut choice = choose(&examine(wanted), may_install(wanted));
    if choice == Choice::Install {
        install_distribution_compiler()?;
        choice = choose(&examine(wanted), false);
    }
    let toolchain = match choice {
        Choice::Use(compiler, linker) => Toolchain { compiler, linker },
        Choice::Build(compiler) => {
            let scratch = Scratch::new()?;
            let probe = compiler.compile_probe(&scratch.0)?;
            let linker = linker::build(compiler.version.llvm_major, &probe)?;
            Toolchain { compiler, linker }
        }
        Choice::Install => bail!("the distribution's compiler is not found after its installation"),
        Choice::Fail(why) => bail!(why),
    };
    eprintln!("eBPF compiler: {}", toolchain.compiler);
    eprintln!("eBPF linker: {}", toolchain.linker);
    if toolchain.linker.llvm_major != toolchain.compiler.version.llvm_major {
        eprintln!(
            "warning: the linker's LLVM is later than the compiler's, and the right one cannot be built here"
        );
    }
    Ok(toolchain)
}

/// Pure: what to do, given what was found, in order of preference.
fn choose(findings: &[Finding], may_install: bool) -> Choice {
    let usable = || findings.iter().flatten();
    let ready = usable().find_map(|(compiler, prospect)| match prospect {
        Prospect::Ready(linker) => Some(Choice::Use(compiler.clone(), linker.clone())),
        _ => None,
    });
    let buildable = || {
        usable()
            .find(|(_, prospect)| *prospect == Prospect::Buildable)
            .map(|(compiler, _)| Choice::Build(compiler.clone()))
    };
    let later = || {
        usable().find_map(|(compiler, prospect)| match prospect {
            Prospect::Later(linker) => Some(Choice::Use(compiler.clone(), linker.clone())),
            _ => None,
        })
    };
    ready
        .or_else(buildable)
        .or_else(later)
        .or_else(|| may_install.then_some(Choice::Install))
        .unwrap_or_else(|| Choice::Fail(remedies(findings)))
}

fn prospect(llvm_major: u32, linkers: &[Linker], can_build: bool) -> Prospect {
    let equal = linkers.iter().find(|linker| linker.llvm_major == llvm_major);
    let later = linkers.iter().filter(|linker| linker.llvm_major > llvm_major).min_by_key(|l| l.llvm_major);
    match (equal, later) {
        (Some(linker), _) => Prospect::Ready(linker.clone()),
        (None, _) if can_build => Prospect::Buildable,
        (None, Some(linker)) => Prospect::Later(linker.clone()),
        (None, None) => Prospect::Missing,
    }
}

fn remedies(findings: &[Finding]) -> String {
    let found: Vec<_> = findings
        .iter()
        .map(|finding| match finding {
            Ok((compiler, _)) => format!(
                "\n  - {compiler}: no bpf-linker of LLVM {llvm}, and no llvm-{llvm}-dev to build it with",
                llvm = compiler.version.llvm_major
            ),
            Err(why) => format!("\n  - {why}"),
        })
        .collect();
    format!(
        "nothing here can build the eBPF programs:{}\nEither, on Debian:\n  \
         sudo apt-get install rustc-web libstd-rust-web-dev-bpf (or rustc libstd-rust-dev-bpf), \
         and llvm-NN-dev, NN being the LLVM that `/usr/bin/rustc -vV` names;\nor anywhere:\n  \
         rustup toolchain install nightly --component rust-src, \
         and a bpf-linker of the LLVM that `rustc +nightly -vV` names;\nthen run `cargo xtask build-ebpf` again.",
        found.concat()
    )
}

fn examine(wanted: Wanted) -> Vec<Finding> {
    let origins: &[Origin] = match wanted {
        Wanted::Auto => &[Origin::Distribution, Origin::Nightly],
        Wanted::Distribution => &[Origin::Distribution],
        Wanted::Nightly => &[Origin::Nightly],
    };
    origins.iter().map(|origin| examine_one(*origin).map_err(|error| format!("{error:#}"))).collect()
}

fn examine_one(origin: Origin) -> Result<(Compiler, Prospect)> {
    let compiler = Compiler::find(origin)?;
    let scratch = Scratch::new()?;
    let probe = compiler.compile_probe(&scratch.0)?;
    let llvm_major = compiler.version.llvm_major;
    let prospect = prospect(llvm_major, &linker::find_all(&probe), linker::can_build(llvm_major));
    Ok((compiler, prospect))
}

fn may_install(wanted: Wanted) -> bool {
    wanted != Wanted::Nightly && provision::can_install()
}

fn install_distribution_compiler() -> Result<()> {
    // Where a release has both, -web is the one that Debian keeps current.
    let packages = [["rustc-web", "libstd-rust-web-dev-bpf"], ["rustc", "libstd-rust-dev-bpf"]]
        .into_iter()
        .find(|packages| packages.iter().all(|package| provision::is_available(package)))
        .context("apt-get offers neither libstd-rust-web-dev-bpf nor libstd-rust-dev-bpf")?;
    provision::ensure(&packages)
}

/// A directory for probes, removed when dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = workspace::tools().join(format!("probe-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::Version;

    fn compiler(origin: Origin, llvm_major: u32) -> Compiler {
        let version = Version { release: "1.96.0".into(), llvm: format!("{llvm_major}.1.0"), llvm_major };
        Compiler { origin, rustc: "rustc".into(), version, core: "core".into() }
    }

    fn linker(llvm_major: u32) -> Linker {
        Linker { path: format!("bpf-linker-{llvm_major}").into(), llvm_major }
    }

    #[test]
    fn the_distribution_comes_first_if_both_are_ready() {
        let (first, second) = (compiler(Origin::Distribution, 22), compiler(Origin::Nightly, 22));
        let ready = Prospect::Ready(linker(22));
        let findings = [Ok((first.clone(), ready.clone())), Ok((second, ready))];
        assert_eq!(choose(&findings, true), Choice::Use(first, linker(22)));
    }

    #[test]
    fn what_is_ready_comes_before_what_has_to_be_built() {
        let (first, second) = (compiler(Origin::Distribution, 22), compiler(Origin::Nightly, 23));
        let findings = [Ok((first, Prospect::Buildable)), Ok((second.clone(), Prospect::Ready(linker(23))))];
        assert_eq!(choose(&findings, true), Choice::Use(second, linker(23)));
    }

    #[test]
    fn a_linker_is_built_before_a_later_one_is_taken() {
        let (first, second) = (compiler(Origin::Distribution, 22), compiler(Origin::Nightly, 22));
        let findings = [Ok((first, Prospect::Later(linker(23)))), Ok((second.clone(), Prospect::Buildable))];
        assert_eq!(choose(&findings, true), Choice::Build(second));
        let findings = [&findings[..1], &[Err("there is no rustup".to_owned())]].concat();
        assert!(matches!(choose(&findings, true), Choice::Use(_, later) if later == linker(23)));
    }

    #[test]
    fn packages_are_installed_only_where_nothing_else_helps() {
        let findings = [Err("there is no /usr/bin/rustc".to_owned()), Err("there is no rustup".to_owned())];
        assert_eq!(choose(&findings, true), Choice::Install);
        let Choice::Fail(message) = choose(&findings, false) else { panic!("nothing to choose from") };
        for part in ["there is no /usr/bin/rustc", "there is no rustup", "apt-get install", "rust-src"] {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
    }

    #[test]
    fn the_linker_of_the_same_llvm_is_preferred_then_the_next_later() {
        let linkers = [linker(24), linker(21), linker(23), linker(22)];
        assert_eq!(prospect(22, &linkers, true), Prospect::Ready(linker(22)));
        assert_eq!(prospect(22, &linkers[..3], true), Prospect::Buildable);
        assert_eq!(prospect(22, &linkers[..3], false), Prospect::Later(linker(23)));
        assert_eq!(prospect(22, &linkers[1..2], false), Prospect::Missing);
    }
}
