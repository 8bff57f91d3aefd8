//! The secrets that are known to be on this node: where the daemon is told to look for its own, and what is in the
//! environment. They are read to be left out.

use std::path::{Path, PathBuf};

use super::{
    super::{Known, looks_secret},
    files,
};
use crate::sources::scalars;

/// Where they are.
#[derive(Debug, Default)]
pub struct Places {
    /// Files that are secrets as a whole.
    pub files: Vec<PathBuf>,
    /// Kubeconfigs.
    pub kubeconfigs: Vec<PathBuf>,
    /// Configuration files of the daemon, also such as cannot be used.
    pub configs: Vec<PathBuf>,
    /// Environments of processes: names and values.
    pub environment: Vec<(String, String)>,
}

/// The account of a pod.
const TOKEN_OF_POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// More is not read of a file, in bytes.
const MOST: u64 = 1 << 20;

/// What names a file with a secret, in a kubeconfig and in a configuration.
const FILES: [&str; 8] = [
    "tokenFile",
    "client-key",
    "token-file",
    "metrics-token-file",
    "metrics-tls-key",
    "otlp-token-file",
    "otlp-client-key",
    "otlp-headers-file",
];

/// What names a kubeconfig in a configuration.
const KUBECONFIG: &str = "kubeconfig";

impl Places {
    /// What is there. What cannot be read can be in no part either, but for what is read by somebody else.
    pub fn known(&self) -> Known {
        let mut known = Known::default();
        for path in self.files.iter().map(PathBuf::as_path).chain([Path::new(TOKEN_OF_POD)]) {
            add_file(path, &mut known);
        }
        let kubeconfigs = self.configs.iter().flat_map(|path| add_named(path, &mut known));
        let kubeconfigs: Vec<PathBuf> = kubeconfigs.collect();
        for path in kubeconfigs.iter().chain(&self.kubeconfigs) {
            add_named(path, &mut known);
        }
        for (_, value) in self.environment.iter().filter(|(name, _)| looks_secret(name)) {
            known.add(value);
        }
        known
    }
}

/// Adds what the values of a file are by their names. The kubeconfigs that it names.
fn add_named(path: &Path, known: &mut Known) -> Vec<PathBuf> {
    let mut kubeconfigs = Vec::new();
    let Ok(text) = files::beginning(path, MOST) else { return kubeconfigs };
    for scalar in scalars(&text).unwrap_or_default() {
        let name = scalar.path.rsplit('.').next().unwrap_or_default();
        if FILES.contains(&name) {
            // One from where the file is, the other from where the daemon was started.
            let beside = path.parent().unwrap_or(Path::new("/"));
            for path in [beside.join(&scalar.text), PathBuf::from(&scalar.text)] {
                add_file(&path, known);
            }
        } else if name == KUBECONFIG {
            kubeconfigs.push(scalar.text.into());
        } else if looks_secret(name) {
            known.add(&scalar.text);
        }
    }
    kubeconfigs
}

fn add_file(path: &Path, known: &mut Known) {
    if let Ok(text) = files::beginning(path, MOST) {
        known.add(&text);
        // Of headers, what stands behind their names.
        text.lines().filter_map(|line| line.split_once(':')).for_each(|(_, value)| known.add(value));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::super::Secrets, *};

    #[test]
    fn secrets_are_found_where_they_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("token"), "of-the-file\n").unwrap();
        fs::write(at("key"), "-----BEGIN KEY-----\nof-the-key\n").unwrap();
        let user = "{token: of-kubeconfig, password: pass-of-it, client-key: key, exec: {env: [{name: A, value: b}]}}";
        fs::write(at("kubeconfig"), format!("users:\n- name: some-user\n  user: {user}\n")).unwrap();
        fs::write(at("other"), "of-the-other\n").unwrap();
        fs::write(at("headers"), "x-team: of-the-headers\n").unwrap();
        let config = format!(
            "kubeconfig: {}\ntoken-file: other\notlp-headers-file: headers\nunknown-token: of-config\n",
            at("kubeconfig").display()
        );
        fs::write(at("config.yaml"), config).unwrap();
        let places = Places {
            files: vec![at("token"), at("gone")],
            kubeconfigs: vec![at("gone")],
            configs: vec![at("config.yaml")],
            environment: vec![
                ("A_TOKEN".to_owned(), "of-env".to_owned()),
                ("HOME".to_owned(), "/root/home".to_owned()),
            ],
        };
        let mut secrets = Secrets::new(places.known());
        let text = "of-config of-the-other of-the-file of-kubeconfig pass-of-it of-the-key of-env of-the-headers some-user \
                    /root/home";
        let left = secrets.without_any(text);
        let out = "[left out] ".repeat(8);
        assert_eq!(left, format!("{out}some-user /root/home"));
    }
}
