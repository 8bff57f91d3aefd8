//! What is fetched from a registry once for each state of the file that says what is wanted.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::stoppable::Stoppable;

/// What is wanted, and where it is put.
pub(crate) struct Wanted<'a> {
    /// In which it is kept.
    pub(crate) directory: &'a Path,
    /// What it is called there.
    pub(crate) name: &'a str,
    /// Where it lies in what is fetched; nothing for all of it.
    pub(crate) part: &'a str,
    /// Says what is wanted.
    pub(crate) list: &'a Path,
}

impl Wanted<'_> {
    /// Where it is. It is fetched if it is not of this list; `is_whole` tells whether what there is can be used.
    pub(crate) fn kept(
        &self,
        is_whole: impl Fn(&Path) -> bool,
        fetch: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Result<PathBuf>> {
        let Self { directory, name, part, list } = *self;
        let wanted = fs::read(list).with_context(|| format!("cannot read {}", list.display()))?;
        let of_list = list.file_name().context("the list has no name")?;
        let [kept, partial] = [name, "partial"].map(|it| directory.join(it));
        let made_from = directory.join(of_list);
        if is_whole(&kept) && fs::read(&made_from).is_ok_and(|made_from| made_from == wanted) {
            return Ok(Ok(kept));
        }
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        // What an earlier run has left half done, or another list.
        let _ = fs::remove_dir_all(&partial);
        let _ = fs::remove_dir_all(&kept);
        let fetched = fetch(&partial);
        if fetched.is_ok() {
            fs::rename(partial.join(part), &kept).with_context(|| format!("there is no {name} in it"))?;
            fs::write(&made_from, wanted)?;
        }
        let _ = fs::remove_dir_all(&partial);
        Ok(fetched.map(|()| kept))
    }
}

/// Has pip put these requirements into a directory.
pub(crate) fn by_pip(requirements: &Path, into: &Path) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile"]);
    // From where is a matter of pip's own settings.
    pip.args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement"]).arg(requirements);
    pip.arg("--target").arg(into).env("PIP_ROOT_USER_ACTION", "ignore");
    Stoppable::default().run(&mut pip, &mut |line: &str| eprintln!("{line}"))
}

/// Has Maven put the archives of a project and all that they need into a directory.
pub(crate) fn by_maven(project: &Path, into: &Path) -> Result<()> {
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--file"]).arg(project);
    maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", into.display()));
    let output = maven.output().context("cannot start Maven")?;
    // It tells on stdout what is wrong, and then how to learn more.
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}", told.lines().next().unwrap_or("Maven fails"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn fetch(into: &Path) -> Result<()> {
        fs::create_dir_all(into.join("a/b"))?;
        Ok(fs::write(into.join("a/b/c"), "")?)
    }

    #[test]
    fn it_is_fetched_once_for_each_state_of_the_list() {
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("wanted.txt");
        for (name, part) in [("all", ""), ("file", "a/b/c")] {
            let mut times = 0;
            for (text, expected) in [("one", 1), ("one", 1), ("two", 2)] {
                fs::write(&list, text).unwrap();
                let wanted = Wanted { directory: &directory.path().join(name), name, part, list: &list };
                let kept = wanted.kept(Path::exists, |into| {
                    times += 1;
                    fetch(into)
                });
                assert_eq!(kept.unwrap().unwrap(), directory.path().join(name).join(name));
                assert_eq!(times, expected);
            }
            assert!(!directory.path().join(name).join("partial").exists());
        }
    }

    #[test]
    fn what_cannot_be_had_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("wanted.txt");
        fs::write(&list, "").unwrap();
        let wanted = Wanted { directory: directory.path(), name: "it", part: "", list: &list };
        let none = wanted.kept(Path::exists, |_| bail!("no such package"));
        assert_eq!(none.unwrap().unwrap_err().to_string(), "no such package");
    }
}
