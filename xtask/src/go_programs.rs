//! `cargo xtask build-kubernetes` and `build-helm`: programs on which the cluster tests run.
//!
//! All are Go modules; folders in `tests/cluster` say which. They take minutes, so each state of such a folder is built
//! once, and while other things are done.

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

/// Programs of one Go module.
pub(crate) struct Module {
    /// The programs in words.
    name: &'static str,
    /// How long it takes to build them, in words.
    takes: &'static str,
    /// Where the module is, in `tests/cluster`.
    folder: &'static str,
    /// What they are made from, beside go.mod and go.sum.
    sources: &'static [&'static str],
    /// The names of their files.
    programs: &'static [&'static str],
    /// As Go knows what they are made from.
    packages: &'static [&'static str],
    /// Whose version counts as theirs.
    versioned: &'static str,
    /// The variable in the programs that is to be that version.
    version_variable: Option<&'static str>,
    /// Whoever has them says by this in which directory, and need not build them.
    given: &'static str,
    /// By this the tests are told why they are skipped.
    without: &'static str,
    /// Where they are put.
    place: fn() -> PathBuf,
}

/// A cluster without nodes.
pub(crate) const KUBERNETES: Module = Module {
    name: "kube-apiserver and etcd",
    takes: "about 10 minutes",
    folder: "control-plane",
    sources: &["kube-apiserver/main.go", "etcd/main.go"],
    programs: &["kube-apiserver", "etcd"],
    packages: &["./kube-apiserver", "./etcd"],
    versioned: "k8s.io/kubernetes",
    version_variable: Some("k8s.io/component-base/version.gitVersion"),
    // Where the tests of controllers look for the two, as a rule.
    given: "KUBEBUILDER_ASSETS",
    without: "TCPROUTE_WITHOUT_KUBERNETES",
    place: workspace::kubernetes,
};

/// What else a cluster with a node has. It is one program, which is one of five by the name that it is called by.
pub(crate) const NODE: Module = Module {
    name: "kubelet, kube-proxy, the controllers, the scheduler and kubectl",
    takes: "about 5 minutes after kube-apiserver",
    folder: "node",
    sources: &["kubernetes/main.go"],
    programs: &["kubernetes"],
    packages: &["./kubernetes"],
    versioned: KUBERNETES.versioned,
    version_variable: KUBERNETES.version_variable,
    given: "TCPROUTE_TEST_NODE",
    without: "TCPROUTE_WITHOUT_NODE",
    place: workspace::kubernetes_node,
};

/// What makes manifests of the chart and of the base.
pub(crate) const HELM: Module = Module {
    name: "helm and kustomize",
    takes: "about 2 minutes",
    folder: "helm",
    sources: &[],
    programs: &["helm", "kustomize"],
    packages: &["helm.sh/helm/v4/cmd/helm", "sigs.k8s.io/kustomize/kustomize/v5"],
    versioned: "helm.sh/helm/v4",
    version_variable: None,
    given: "TCPROUTE_TEST_HELM",
    without: "TCPROUTE_WITHOUT_HELM",
    place: workspace::helm,
};

/// The programs of a module.
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
}

/// Those of all modules.
#[derive(Debug)]
pub(crate) struct All {
    pub(crate) kubernetes: Programs,
    pub(crate) helm: Programs,
}

impl All {
    /// Why some cannot be had, if that is so.
    pub(crate) fn why_not(&self) -> Option<&str> {
        self.kubernetes.why_not().or(self.helm.why_not())
    }

    /// Tells tests where they are, or why they are skipped.
    pub(crate) fn tell<'c>(&self, tests: &'c mut Command) -> &'c mut Command {
        KUBERNETES.tell(&self.kubernetes, tests);
        HELM.tell(&self.helm, tests);
        tests
    }
}

impl Module {
    /// Builds them if they are not there yet, and shows how it goes on.
    pub(crate) fn run(&self) -> Result<()> {
        if let Programs::In(directory) = self.provided()? {
            println!("{}", directory.display());
        }
        Ok(())
    }

    /// As [`Self::run`], for who tells why there are none.
    pub(crate) fn now(&self) -> Result<Programs> {
        self.provide(&Stoppable::default(), Cache::OfUser, &mut |line: &str| eprintln!("{line}"))
    }

    /// As [`Self::run`], for who needs them.
    pub(crate) fn provided(&self) -> Result<Programs> {
        let programs = self.now()?;
        match programs.why_not() {
            None => Ok(programs),
            Some(why) => bail!("{why}"),
        }
    }

    /// Tells tests where they are, or why they are skipped.
    pub(crate) fn tell(&self, programs: &Programs, tests: &mut Command) {
        match programs {
            Programs::In(directory) => tests.env(self.given, directory),
            Programs::None(why) => tests.env(self.without, why),
        };
    }
}

/// Where Go keeps what it has compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cache {
    /// Where it always does.
    OfUser,
    /// Here, until all is built: it is 5 GB, and nobody builds these programs twice.
    Passing,
}

/// A build of all of them that goes on beside other work. It ends when this is dropped.
pub(crate) struct Build {
    work: Arc<Stoppable>,
    thread: Option<JoinHandle<Result<All>>>,
    log: PathBuf,
}

impl Build {
    /// What it says goes to a file.
    pub(crate) fn begin(log: PathBuf) -> Result<Self> {
        let mut file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let work = Arc::new(Stoppable::default());
        let shared = Arc::clone(&work);
        let mut say = move |line: &str| drop(writeln!(file, "{line}"));
        let thread = thread::spawn(move || {
            let kubernetes = KUBERNETES.provide(&shared, Cache::Passing, &mut say)?;
            // One after the other, since much of the first is in the second.
            let helm = HELM.provide(&shared, Cache::Passing, &mut say)?;
            let _ = fs::remove_dir_all(workspace::go_cache());
            Ok(All { kubernetes, helm })
        });
        Ok(Self { work, thread: Some(thread), log })
    }

    /// Waits until it is done.
    pub(crate) fn finish(mut self) -> Result<All> {
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

impl Module {
    fn provide(&self, work: &Stoppable, cache: Cache, say: &mut impl FnMut(&str)) -> Result<Programs> {
        let Self { name, given, programs, .. } = self;
        if let Some(directory) = env::var_os(given).filter(|given| !given.is_empty()) {
            let directory = PathBuf::from(directory);
            let missing = programs.iter().find(|program| !command::is_program(&directory.join(program)));
            if let Some(missing) = missing {
                bail!("{given} is {}, where there is no {missing}", directory.display());
            }
            return Ok(Programs::In(directory));
        }
        let mut go = Command::new("go");
        let Ok(go) = command::capture(go.args(["env", "GOVERSION"]).current_dir(self.path())) else {
            return Ok(Programs::None(format!("there is no Go, which builds {name}")));
        };
        let sources = self.sources()?;
        let version = self.version(&sources);
        let version = version.with_context(|| format!("go.mod does not require {}", self.versioned))?;
        let all = (self.place)();
        let directory = all.join(key(version, go.trim(), &sources));
        if !programs.iter().all(|program| command::is_program(&directory.join(program))) {
            say(&format!("building {name}, {version} (once, {})", self.takes));
            if let Err(error) = work.run(self.go(cache).args(["mod", "download"]), say) {
                return Ok(Programs::None(format!("the Go modules of {name} cannot be had: {error:#}")));
            }
            self.build(work, cache, version, &directory, say)
                .with_context(|| format!("{name} cannot be built"))?;
        }
        keep_only(&all, &directory)?;
        Ok(Programs::In(directory))
    }

    /// Into a directory that gets its name when it is whole.
    fn build(
        &self,
        work: &Stoppable,
        cache: Cache,
        version: &str,
        directory: &Path,
        say: &mut impl FnMut(&str),
    ) -> Result<()> {
        // Go leaves its own behind when it is stopped.
        let [partial, scratch] = ["partial", "scratch"].map(|name| directory.with_file_name(name));
        for directory in [&partial, &scratch] {
            let _ = fs::remove_dir_all(directory);
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        let mut go = self.go(cache);
        go.env("GOTMPDIR", &scratch);
        let variable = self.version_variable.map(|variable| format!(" -X {variable}={version}"));
        go.args(["build", "-v", "-trimpath", "-ldflags"]);
        go.arg(format!("-s -w{}", variable.unwrap_or_default()));
        // A slash at the end makes it a directory.
        go.arg("-o").arg(partial.join("")).args(self.packages);
        let built = work.run(&mut go, say);
        let _ = fs::remove_dir_all(&scratch);
        built?;
        fs::rename(&partial, directory).with_context(|| format!("cannot create {}", directory.display()))
    }

    /// Go in the folder of the module, with less of a claim to the processors than whoever waits for a test.
    fn go(&self, cache: Cache) -> Command {
        let mut go = Command::new("nice");
        // Without C it is the same wherever it is built.
        go.args(["-n", "10", "go"]).current_dir(self.path()).env("CGO_ENABLED", "0");
        if cache == Cache::Passing {
            go.env("GOCACHE", workspace::go_cache());
        }
        go
    }

    fn path(&self) -> PathBuf {
        workspace::root().join("tests/cluster").join(self.folder)
    }

    /// Each file of the module by its name.
    fn sources(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut sources = BTreeMap::new();
        for name in ["go.mod", "go.sum"].iter().chain(self.sources) {
            let path = self.path().join(name);
            let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            sources.insert((*name).to_owned(), content);
        }
        Ok(sources)
    }

    /// The version that go.mod requires.
    fn version<'s>(&self, sources: &'s BTreeMap<String, Vec<u8>>) -> Option<&'s str> {
        let go_mod = str::from_utf8(sources.get("go.mod")?).ok()?;
        let required = |line: &'s str| line.trim().strip_prefix(self.versioned)?.strip_prefix(' ');
        go_mod.lines().find_map(required)?.split_whitespace().next()
    }
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
        let sources = KUBERNETES.sources().unwrap();
        let version = KUBERNETES.version(&sources).unwrap();
        assert!(version.starts_with("v1."), "{version}");
        let key_of = |sources| key(version, "go1.26.8", sources);
        assert!(key_of(&sources).starts_with(&format!("{version}-go1.26.8-")));
        assert_eq!(key_of(&sources), key_of(&sources));
        let mut changed = sources.clone();
        changed.insert("go.sum".to_owned(), Vec::new());
        assert_ne!(key_of(&sources), key_of(&changed));
    }

    /// kubelet and its API server are tested together.
    #[test]
    fn a_cluster_is_of_one_release() {
        let version = |module: &Module| module.version(&module.sources().unwrap()).map(str::to_owned);
        assert!(version(&NODE).is_some());
        assert_eq!(version(&NODE), version(&KUBERNETES));
    }

    #[test]
    fn the_version_is_the_one_that_is_required() {
        let sources = HELM.sources().unwrap();
        let version = HELM.version(&sources).unwrap();
        assert!(version.starts_with("v4.") && !version.contains(' '), "{version}");
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
