//! Helm and kustomize, and what they make of `deploy/`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde::Deserialize as _;
use serde_json::Value;

/// The variable by which whoever has both tells where.
const VARIABLE: &str = "TCPROUTE_TEST_HELM";

/// By this xtask tells why it has not built them.
const WITHOUT: &str = "TCPROUTE_WITHOUT_HELM";

/// The version of Kubernetes for which is rendered unless a test says otherwise.
const KUBERNETES: &str = "1.33.0";

/// The two programs.
pub struct Helm {
    programs: PathBuf,
}

/// A place in `deploy/`.
pub fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

/// The documents in a text.
pub fn documents(text: &str) -> Vec<Value> {
    let all = serde_yaml::Deserializer::from_str(text);
    let all =
        all.map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{error}: {text}")));
    all.filter(|document| !document.is_null()).collect()
}

/// The object of this kind, of which there must be one.
pub fn of_kind<'d>(documents: &'d [Value], kind: &str) -> &'d Value {
    let mut found = documents.iter().filter(|document| document["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind} among {documents:#?}"));
    assert_eq!(found.next(), None, "one {kind}");
    first
}

impl Helm {
    /// Those that `TCPROUTE_TEST_HELM` names, or else those that xtask has built. If there are none, says why the test
    /// is skipped.
    pub fn find(test: &str) -> Option<Self> {
        if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            return Some(Self::within(Path::new(&named)).unwrap_or_else(|why| panic!("{VARIABLE}: {why}")));
        }
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target/helm/bin");
        let found = match env::var(WITHOUT) {
            Ok(why) => Err(why),
            Err(_) => Self::within(&built).map_err(|why| format!("{why}; build it: cargo xtask build-helm")),
        };
        found.map_err(|why| println!("SKIPPED {test}: {why}")).ok()
    }

    fn within(directory: &Path) -> Result<Self, String> {
        match ["helm", "kustomize"].into_iter().find(|name| !directory.join(name).is_file()) {
            Some(name) => Err(format!("no {name} in {}", directory.display())),
            None => Ok(Self { programs: directory.to_path_buf() }),
        }
    }

    /// A command of Helm, in a home of its own; for the chart with these values, if it is about the chart.
    pub fn run(&self, arguments: &[&str], values: Option<&Value>) -> Result<String, String> {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let mut helm = Command::new(self.programs.join("helm"));
        helm.env("HOME", home.path()).env_remove("KUBECONFIG").args(arguments);
        if let Some(values) = values {
            let file = home.path().join("values.yaml");
            fs::write(&file, values.to_string()).expect("a file can be written");
            helm.arg(deploy("helm/tcproute")).arg("--values").arg(&file);
        }
        printed(&helm.output().expect("helm can be started"))
    }

    /// What Helm says of the chart with these values; the error if they will not do.
    pub fn lint(&self, values: &Value) -> Result<String, String> {
        self.run(&["lint", "--strict", "--kube-version", KUBERNETES], Some(values))
    }

    /// What the chart makes of these values, or why it does not.
    pub fn render(&self, values: &Value) -> Result<String, String> {
        self.render_for(KUBERNETES, values)
    }

    /// The same, for a version of Kubernetes.
    pub fn render_for(&self, kubernetes: &str, values: &Value) -> Result<String, String> {
        let release = ["template", "tcproute", "--namespace", "tcproute"];
        self.run(&[&release[..], &["--kube-version", kubernetes]].concat(), Some(values))
    }

    /// The objects that the chart makes of values that will do.
    pub fn objects(&self, values: &Value) -> Vec<Value> {
        documents(&self.render(values).unwrap_or_else(|error| panic!("{values}: {error}")))
    }

    /// The objects that kustomize makes of a directory.
    pub fn kustomize(&self, directory: &Path) -> Vec<Value> {
        let mut kustomize = Command::new(self.programs.join("kustomize"));
        let output = kustomize.arg("build").arg(directory).output().expect("kustomize can be started");
        documents(&printed(&output).unwrap_or_else(|error| panic!("{}: {error}", directory.display())))
    }
}

fn printed(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
