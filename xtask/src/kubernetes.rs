//! `cargo xtask build-kubernetes`: kube-apiserver and etcd, on which the cluster tests run.
//!
//! Both are Go modules; `tests/cluster/control-plane` says which. They take minutes, so each state of that folder is
//! built once, and while other things are done.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{command, stoppable::Stoppable, workspace};

/// Where the tests of controllers look for the two, as a rule. Whoever has them need not build them.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// By this the tests are told why they are skipped.
const WITHOUT: &str = "TCPROUTE_WITHOUT_KUBERNETES";

const PROGRAMS: [&str; 2] = ["kube-apiserver", "etcd"];

/// What decides of which version the API server is.
const KUBERNETES: &str = "k8s.io/kubernetes";

/// The two programs.
#[derive(Debug)]
pub(crate) enum Programs {
    /// In this directory.
    In(PathBuf),
    /// They cannot be had here, and why.
    None(String),
}

impl Programs {
    /// Why there are none, if there are none.
    pub(crate) fn why_not(&self) -> Option<&str> {
        match self {
            Self::In(_) => None,
            Self::None(why) => Some(why),
        }
    }

    /// Tells tests where they are, or why they are skipped.
    pub(crate) fn tell<'c>(&self, tests: &'c mut Command) -> &'c mut Command {
        match self {
            Self::In(directory) => tests.env(ASSETS, directory),
            Self::None(why) => tests.env(WITHOUT, why),
        }
    }
}

/// Builds them if they are not there yet, and shows how it goes on.
pub(crate) fn run() -> Result<()> {
    if let Programs::In(directory) = provided()? {
        println!("{}", directory.display());
    }
    Ok(())
}

/// As [`run`], for who needs them.
pub(crate) fn provided() -> Result<Programs> {
    let programs = provide(&Stoppable::default(), |line| eprintln!("{line}"))?;
    match programs.why_not() {
        None => Ok(programs),
        Some(why) => bail!("{why}"),
    }
}

/// A build that goes on beside other work. It ends when this is dropped.
pub(crate) struct Build {
    work: Arc<Stoppable>,
    thread: Option<JoinHandle<Result<Programs>>>,
    log: PathBuf,
}

impl Build {
    /// What it says goes to a file.
    pub(crate) fn begin(log: PathBuf) -> Result<Self> {
        let mut file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let work = Arc::new(Stoppable::default());
        let shared = Arc::clone(&work);
        let say = move |line: &str| drop(writeln!(file, "{line}"));
        let thread = thread::spawn(move || provide(&shared, say));
        Ok(Self { work, thread: Some(thread), log })
    }

    /// Waits until it is done.
    pub(crate) fn finish(mut self) -> Result<Programs> {
        let thread = self.thread.take().context("it is waited for once")?;
        let built = thread.join().map_err(|_| anyhow!("the build has panicked"))?;
        built.with_context(|| format!("all of it: {}", self.log.display()))
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.work.stop();
        // It removes what is half done.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn provide(work: &Stoppable, mut say: impl FnMut(&str)) -> Result<Programs> {
    if let Some(assets) = env::var_os(ASSETS).filter(|assets| !assets.is_empty()) {
        let assets = PathBuf::from(assets);
        if let Some(missing) = PROGRAMS.iter().find(|program| !command::is_program(&assets.join(program))) {
            bail!("{ASSETS} is {}, where there is no {missing}", assets.display());
        }
        return Ok(Programs::In(assets));
    }
    let Ok(go) = command::capture(Command::new("go").args(["env", "GOVERSION"]).current_dir(module())) else {
        return Ok(Programs::None("there is no Go, which builds kube-apiserver and etcd".to_owned()));
    };
    let sources = sources()?;
    let version = version(&sources).with_context(|| format!("go.mod does not require {KUBERNETES}"))?;
    let all = workspace::kubernetes();
    let directory = all.join(key(version, go.trim(), &sources));
    if !PROGRAMS.iter().all(|program| command::is_program(&directory.join(program))) {
        say(&format!("building kube-apiserver {version} and etcd (once, about 10 minutes)"));
        if let Err(error) = work.run(go_command().args(["mod", "download"]), &mut say) {
            return Ok(Programs::None(format!(
                "the Go modules of kube-apiserver and etcd cannot be had: {error:#}"
            )));
        }
        build(work, version, &directory, &mut say).context("kube-apiserver and etcd cannot be built")?;
    }
    keep_only(&all, &directory)?;
    Ok(Programs::In(directory))
}

/// Into a directory that gets its name when it is whole.
fn build(work: &Stoppable, version: &str, directory: &Path, say: &mut impl FnMut(&str)) -> Result<()> {
    // Go leaves its own behind when it is stopped.
    let [partial, scratch] = ["partial", "scratch"].map(|name| directory.with_file_name(name));
    for directory in [&partial, &scratch] {
        let _ = fs::remove_dir_all(directory);
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let mut go = go_command();
    go.env("GOTMPDIR", &scratch);
    go.args(["build", "-v", "-trimpath", "-ldflags"]);
    go.arg(format!("-s -w -X k8s.io/component-base/version.gitVersion={version}"));
    // A slash at the end makes it a directory.
    go.arg("-o").arg(partial.join("")).args(PROGRAMS.map(|program| format!("./{program}")));
    let built = work.run(&mut go, say);
    let _ = fs::remove_dir_all(&scratch);
    built?;
    fs::rename(&partial, directory).with_context(|| format!("cannot create {}", directory.display()))
}

/// Go in the folder of the module, with less of a claim to the processors than whoever waits for a test.
fn go_command() -> Command {
    let mut go = Command::new("nice");
    // Without C it is the same wherever it is built.
    go.args(["-n", "10", "go"]).current_dir(module()).env("CGO_ENABLED", "0");
    go
}

fn module() -> PathBuf {
    workspace::root().join("tests/cluster/control-plane")
}

/// Each file of the module by its name.
fn sources() -> Result<BTreeMap<String, Vec<u8>>> {
    let module = module();
    let names = ["go.mod", "go.sum"].map(str::to_owned).into_iter();
    let mut sources = BTreeMap::new();
    for name in names.chain(PROGRAMS.map(|program| format!("{program}/main.go"))) {
        let path = module.join(&name);
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        sources.insert(name, content);
    }
    Ok(sources)
}

/// The version of Kubernetes that go.mod requires.
fn version(sources: &BTreeMap<String, Vec<u8>>) -> Option<&str> {
    let go_mod = str::from_utf8(sources.get("go.mod")?).ok()?;
    go_mod.lines().find_map(|line| line.trim().strip_prefix(KUBERNETES)?.strip_prefix(' '))
}

/// What the programs are made from and by.
fn key(version: &str, go: &str, sources: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hasher = DefaultHasher::new();
    sources.hash(&mut hasher);
    format!("{version}-{go}-{:016x}", hasher.finish())
}

/// Makes this directory the one where the tests look, and removes those that were so before.
fn keep_only(all: &Path, directory: &Path) -> Result<()> {
    let link = all.join(".bin");
    let _ = fs::remove_file(&link);
    symlink(directory.file_name().context("a directory has a name")?, &link)?;
    fs::rename(&link, all.join("bin"))?;
    for entry in fs::read_dir(all)? {
        let path = entry?.path();
        if path != directory && path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_what_they_are_made_from() {
        let sources = sources().unwrap();
        let version = version(&sources).unwrap();
        assert!(version.starts_with("v1."), "{version}");
        let key_of = |sources| key(version, "go1.26.8", sources);
        assert!(key_of(&sources).starts_with(&format!("{version}-go1.26.8-")));
        assert_eq!(key_of(&sources), key_of(&sources));
        let mut changed = sources.clone();
        changed.insert("go.sum".to_owned(), Vec::new());
        assert_ne!(key_of(&sources), key_of(&changed));
    }

    #[test]
    fn the_last_programs_are_kept_where_tests_look() {
        let all = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| all.path().join(name));
        for directory in [&old, &new] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("etcd"), directory.to_str().unwrap()).unwrap();
            keep_only(all.path(), directory).unwrap();
        }
        assert!(!old.exists());
        assert_eq!(fs::read_to_string(all.path().join("bin/etcd")).unwrap(), new.to_str().unwrap());
    }
}
