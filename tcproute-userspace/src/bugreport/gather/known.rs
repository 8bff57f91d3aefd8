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
    /// Environments of processes: names and values.
    pub environment: Vec<(String, String)>,
}

/// The account of a pod.
const TOKEN_OF_POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// More is not read of a file, in bytes.
const MOST: u64 = 1 << 20;

/// What in a kubeconfig names a file with a secret.
const FILES: [&str; 2] = ["tokenFile", "client-key"];

impl Places {
    /// What is there. What cannot be read can be in no part either, but for what is read by somebody else.
    pub fn known(&self) -> Known {
        let mut known = Known::default();
        for path in self.files.iter().map(PathBuf::as_path).chain([Path::new(TOKEN_OF_POD)]) {
            add_file(path, &mut known);
        }
        for path in &self.kubeconfigs {
            let Ok(text) = files::beginning(path, MOST) else { continue };
            for scalar in scalars(&text).unwrap_or_default() {
                let name = scalar.path.rsplit('.').next().unwrap_or_default();
                if FILES.contains(&name) {
                    let beside = path.parent().unwrap_or(Path::new("/"));
                    add_file(&beside.join(&scalar.text), &mut known);
                } else if looks_secret(name) {
                    known.add(&scalar.text);
                }
            }
        }
        for (_, value) in self.environment.iter().filter(|(name, _)| looks_secret(name)) {
            known.add(value);
        }
        known
    }
}

fn add_file(path: &Path, known: &mut Known) {
    if let Ok(text) = files::beginning(path, MOST) {
        known.add(&text);
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
        let places = Places {
            files: vec![at("token"), at("gone")],
            kubeconfigs: vec![at("kubeconfig"), at("gone")],
            environment: vec![
                ("A_TOKEN".to_owned(), "of-env".to_owned()),
                ("HOME".to_owned(), "/root/home".to_owned()),
            ],
        };
        let mut secrets = Secrets::new(places.known());
        let text = "of-the-file of-kubeconfig pass-of-it of-the-key of-env some-user /root/home";
        let left = secrets.without_any(text);
        let out = "[left out] ".repeat(5);
        assert_eq!(left, format!("{out}some-user /root/home"));
    }
}
