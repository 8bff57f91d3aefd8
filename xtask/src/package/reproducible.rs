//! Whether the same commit gives the same bytes: packed once more, in a checkout elsewhere, from nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::name_of;
use crate::{checkout::Checkout, command, commit::Commit, platform::Platform};

/// Fails if a file differs from the one that is there.
pub(super) fn check(platforms: &[Platform], made: &[PathBuf]) -> Result<()> {
    let commit = Commit::of_checkout().context("what is packed is no checkout of git")?;
    ensure!(commit.is_clean(), "what is packed is not as committed, so there is nothing to compare it with");
    // A path of another length, which would shift what follows it.
    let elsewhere = tempfile::Builder::new().prefix("tcproute-packaged-elsewhere-").tempdir()?;
    let checkout = Checkout::of("HEAD", elsewhere.path().join("checkout"))?;
    eprintln!("packing once more, in {}", elsewhere.path().display());
    let mut again = checkout.cargo();
    again.args(["xtask", "package"]);
    for platform in platforms {
        again.args(["--platform", platform.name()]);
    }
    command::run(&mut again)?;
    let differ = differing(made, &checkout.target().join("package"))?;
    if !differ.is_empty() {
        bail!("not the same when packed once more: {}", differ.join(", "));
    }
    println!("packed twice, {} files are the same to the byte", made.len());
    Ok(())
}

fn differing(made: &[PathBuf], again: &Path) -> Result<Vec<String>> {
    let mut differ = Vec::new();
    for file in made {
        let name = name_of(file)?;
        let other = fs::read(again.join(name)).with_context(|| format!("{name} is not made again"))?;
        if fs::read(file)? != other {
            differ.push(name.to_owned());
        }
    }
    Ok(differ)
}
