//! `cargo xtask package`: what users install, under `target/package`.
//!
//! All of it is made from the files of one [`tree::Tree`] and the time of the commit, so that the same checkout gives
//! the same bytes wherever and whenever it is done.

mod checksums;
mod content;
mod deb;
mod image;
pub(crate) mod layout;
mod manual;
mod reproducible;
mod rpm;
mod sbom;
pub(crate) mod tree;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build_ebpf, command, commit::Commit, licences, platform::Platform, provision, release::build_static,
    workspace,
};
use content::Content;

/// Of the workspace, and so of all that is packaged.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What packing calls, and in tests unpacking.
const PROGRAMS: [&str; 3] = ["cpio", "dpkg", "rpm"];

/// By this the tests are told where packages are.
const PACKAGES: &str = "TCPROUTE_PACKAGES";

/// `cargo xtask package`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// For which processors; all for which a compiler can be had if none is given
    #[arg(long = "platform", value_name = "PLATFORM", num_args = 1..)]
    platforms: Vec<Platform>,
    /// Do it again from the start, in a checkout elsewhere, and compare each byte
    #[arg(long)]
    twice: bool,
}

/// What is done with one commit.
struct Packing {
    /// Where the files go.
    directory: PathBuf,
    /// Seconds since 1970: the time of all that is packed.
    time: u64,
}

/// Makes all of it, and tells what there is.
pub(crate) fn run(options: &Options) -> Result<()> {
    let made = make(&options.platforms)?;
    for file in &made {
        println!("{}", file.display());
    }
    if options.twice { reproducible::check(&options.platforms, &made) } else { Ok(()) }
}

/// As a step of the tests: for this machine. If that cannot be, says why.
pub(crate) fn step() -> Result<Option<String>> {
    let why_not = match Platform::host() {
        None => Some("nothing is packaged for this machine".to_owned()),
        Some(host) => {
            let provided = provision::ensure(&PROGRAMS).and_then(|()| host.configure(&mut command::cargo()));
            provided.err().map(|why| format!("{why:#}"))
        }
    };
    if why_not.is_none() {
        for_this_machine()?;
    }
    Ok(why_not)
}

/// Makes those that can be installed here.
pub(crate) fn for_this_machine() -> Result<()> {
    make(&[Platform::host().context("nothing is packaged for this machine")?]).map(drop)
}

/// The archive of the image for this machine alone, which a runtime imports under the name that the chart has.
pub(crate) fn image_for_this_machine() -> Result<PathBuf> {
    for_this_machine()?;
    Ok(Packing::file_in(&directory(), "tcproute", "oci.tar"))
}

/// That of Debian, which was made with the image.
pub(crate) fn debian_for_this_machine() -> Result<PathBuf> {
    let host = Platform::host().context("nothing is packaged for this machine")?;
    Ok(deb::file_in(&directory(), host))
}

/// Tells tests where the packages are, if there are any.
pub(crate) fn tell(tests: &mut Command) -> &mut Command {
    let directory = directory();
    if directory.join(checksums::NAME).exists() { tests.env(PACKAGES, directory) } else { tests }
}

fn directory() -> PathBuf {
    workspace::target().join("package")
}

/// For these platforms, or if they are none for all for which there is a compiler.
fn make(asked_for: &[Platform]) -> Result<Vec<PathBuf>> {
    provision::ensure(&PROGRAMS)?;
    build_ebpf::run(&build_ebpf::Options::default())?;
    let packing = Packing::new(directory())?;
    let third_parties = licences::run()?;
    let sbom = packing.file("tcproute", "cdx.json");
    fs::write(&sbom, sbom::document(VERSION, packing.time)?)?;
    let manual = manual::write(&packing.directory.join("manual"))?;

    let mut made = vec![sbom.clone()];
    let mut binaries = Vec::new();
    let platforms = if asked_for.is_empty() { &Platform::ALL[..] } else { asked_for };
    for platform in platforms.iter().copied() {
        let binary = match build_static(platform) {
            Err(error) if asked_for.is_empty() && Platform::host() != Some(platform) => {
                eprintln!("SKIPPED {platform}: {error:#}");
                continue;
            }
            built => built?,
        };
        let published = packing.file(&format!("tcproute-{platform}"), "");
        fs::copy(&binary, &published).with_context(|| format!("cannot copy {}", binary.display()))?;
        let content =
            Content { binary: &binary, manual: &manual, third_parties: &third_parties, sbom: &sbom };
        made.push(published);
        made.push(deb::pack(&packing, platform, &content)?);
        made.push(rpm::pack(&packing, platform, &content)?);
        binaries.push((platform, binary));
    }
    if binaries.is_empty() {
        bail!("there is no platform to package for");
    }
    made.push(image::pack(&packing, &binaries, &sbom)?);
    fs::remove_dir_all(&manual)?;
    made.push(checksums::write(&packing.directory, &made)?);
    Ok(made)
}

impl Packing {
    /// In a directory that is made anew.
    fn new(directory: PathBuf) -> Result<Self> {
        let time = match env::var("SOURCE_DATE_EPOCH") {
            Ok(time) => time.parse().context("SOURCE_DATE_EPOCH is no number of seconds")?,
            Err(_) => {
                Commit::of_checkout().context("no time is known without git: set SOURCE_DATE_EPOCH")?.time
            }
        };
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Self { directory, time })
    }

    /// A file that is handed out: its name begins with `name` and has the version in it.
    fn file(&self, name: &str, extension: &str) -> PathBuf {
        Self::file_in(&self.directory, name, extension)
    }

    fn file_in(directory: &Path, name: &str, extension: &str) -> PathBuf {
        let (name, platform) = name.split_once('-').map_or((name, ""), |(name, platform)| (name, platform));
        let mut file = format!("{name}-{VERSION}");
        for (before, part) in [('-', platform), ('.', extension)] {
            if !part.is_empty() {
                file.push(before);
                file.push_str(part);
            }
        }
        directory.join(file)
    }

    /// An empty directory for files on their way into a package.
    fn scratch(&self, name: &str) -> Result<PathBuf> {
        let directory = self.directory.join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        Ok(directory)
    }
}

/// A file of `deploy/packages`, with what is to be filled in.
fn template(name: &str, values: &[(&str, &str)]) -> Result<String> {
    let path = sources().join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(values.iter().fold(text, |text, (key, value)| text.replace(&format!("{{{key}}}"), value)))
}

fn sources() -> PathBuf {
    workspace::root().join("deploy/packages")
}

/// The name of a file that is there.
fn name_of(path: &Path) -> Result<&str> {
    path.file_name().and_then(|name| name.to_str()).with_context(|| format!("{} has no name", path.display()))
}
