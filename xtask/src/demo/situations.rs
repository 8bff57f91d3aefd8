//! What the demo shows: each situation of `examples/`, and where connections go in it.

/// Files, and who dials then with what result.
pub(super) struct Situation {
    /// As one names it: a folder of `examples/` or one of the two files there.
    pub(super) name: &'static str,
    /// In a line.
    pub(super) what: &'static str,
    /// Below `examples/`.
    pub(super) files: &'static [&'static str],
    pub(super) clients: &'static [Client],
    /// What is done then, while connections flow.
    pub(super) change: Option<Change>,
}

/// A file takes the place of the last one.
pub(super) struct Change {
    pub(super) file: &'static str,
    /// Who dials afterwards.
    pub(super) client: Client,
}

/// One Dataplane that dials.
pub(super) struct Client {
    pub(super) dataplane: &'static str,
    pub(super) connections: u32,
    pub(super) leads_to: &'static [BackendRef],
}

/// Where a share of the connections goes.
pub(super) struct BackendRef {
    pub(super) label: &'static str,
    /// Its weight divided by the sum of all weights.
    pub(super) share: f64,
    /// Each as `host:port`.
    pub(super) endpoints: &'static [&'static str],
}

const fn client(dataplane: &'static str, connections: u32, leads_to: &'static [BackendRef]) -> Client {
    Client { dataplane, connections, leads_to }
}

const fn backend_ref(label: &'static str, share: f64, endpoints: &'static [&'static str]) -> BackendRef {
    BackendRef { label, share, endpoints }
}

impl Situation {
    /// Everybody who dials, also after the change.
    pub(super) fn all_clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().chain(self.change.iter().map(|change| &change.client))
    }
}

impl Client {
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &'static str> {
        self.leads_to.iter().flat_map(|to| to.endpoints).copied()
    }
}

/// What is shown if nothing is named: the first two.
pub(super) const USUAL: usize = 2;

/// All of them, in the order in which they are shown.
pub(super) const SITUATIONS: [Situation; 8] = [
    Situation {
        name: "split",
        what: "90 % to version 1.0, 10 % to version 2.0",
        files: &["split-universal.yaml"],
        clients: &[client(
            "frontend-1",
            10_000,
            &[
                backend_ref("version 1.0", 0.9, &["127.0.1.1:3001", "127.0.1.2:3001"]),
                backend_ref("version 2.0", 0.1, &["127.0.2.1:3001"]),
            ],
        )],
        change: None,
    },
    Situation {
        name: "redirect",
        what: "everything to an external service",
        files: &["redirect-universal.yaml"],
        clients: &[client("frontend-1", 1000, &[backend_ref("external-backend", 1.0, &["localhost:4001"])])],
        change: None,
    },
    Situation {
        name: "canary",
        what: "95 % to the stable version, 5 % to the new one",
        files: &["canary/universal.yaml"],
        clients: &[client(
            "frontend-1",
            5000,
            &[
                backend_ref("stable", 0.95, &["127.0.1.1:3001", "127.0.1.2:3001"]),
                backend_ref("canary", 0.05, &["127.0.2.1:3001"]),
            ],
        )],
        change: None,
    },
    Situation {
        name: "blue-green",
        what: "all to blue, then all to green, while connections flow",
        files: &["blue-green/mesh.yaml", "blue-green/blue.yaml"],
        clients: &[client(
            "frontend-1",
            2000,
            &[backend_ref("blue", 1.0, &["127.0.1.1:3001", "127.0.1.2:3001", "127.0.1.3:3001"])],
        )],
        change: Some(Change {
            file: "blue-green/green.yaml",
            client: client(
                "frontend-1",
                2000,
                &[backend_ref("green", 1.0, &["127.0.2.1:3001", "127.0.2.2:3001", "127.0.2.3:3001"])],
            ),
        }),
    },
    Situation {
        name: "redirect-to-external-service",
        what: "the service has moved out of the mesh, and its clients need not know",
        files: &["redirect-to-external-service/universal.yaml"],
        clients: &[client("frontend-1", 1000, &[backend_ref("backend-managed", 1.0, &["localhost:4001"])])],
        change: None,
    },
    Situation {
        name: "by-zone",
        what: "each client has the endpoints of its own zone; a new version is tried in one zone",
        files: &["by-zone/universal.yaml"],
        clients: &[
            client(
                "frontend-east",
                5000,
                &[
                    backend_ref("version 1.0 in east", 0.8, &["127.0.1.1:3001", "127.0.1.2:3001"]),
                    backend_ref("version 1.1 in east", 0.2, &["127.0.1.3:3001"]),
                ],
            ),
            client("frontend-west", 1000, &[backend_ref("version 1.0 in west", 1.0, &["127.0.2.1:3001"])]),
        ],
        change: None,
    },
    Situation {
        name: "per-client",
        what: "the same address leads one client to the primary, another one to the replicas",
        files: &["per-client/universal.yaml"],
        clients: &[
            client("shop-1", 1000, &[backend_ref("primary", 1.0, &["127.0.1.1:5432"])]),
            client(
                "reports-1",
                3000,
                &[backend_ref("replicas", 1.0, &["127.0.2.1:5432", "127.0.2.2:5432", "127.0.2.3:5432"])],
            ),
        ],
        change: None,
    },
    Situation {
        name: "database-failover",
        what: "all to the primary, then all to the standby, while connections flow",
        files: &["database-failover/mesh.yaml", "database-failover/primary.yaml"],
        clients: &[client("app-1", 1000, &[backend_ref("primary", 1.0, &["127.0.1.1:5432"])])],
        change: Some(Change {
            file: "database-failover/standby.yaml",
            client: client("app-1", 1000, &[backend_ref("standby", 1.0, &["localhost:4001"])]),
        }),
    },
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;
    use crate::workspace;

    #[test]
    fn every_folder_of_examples_is_shown_and_says_how() {
        let examples = workspace::root().join("examples");
        let entries = fs::read_dir(&examples).unwrap().map(|entry| entry.unwrap());
        let folders: BTreeSet<String> = entries
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            // Where files are checked there is nothing to be seen.
            .filter(|name| name != "ci")
            .collect();
        let shown = SITUATIONS.iter().skip(USUAL).map(|situation| situation.name.to_owned());
        assert_eq!(folders, shown.collect());
        for folder in folders {
            let readme = fs::read_to_string(examples.join(&folder).join("README.md")).unwrap();
            assert!(readme.contains(&format!("    cargo xtask demo {folder}\n")), "{readme}");
        }
    }

    /// The chi-square test knows no odd degrees of freedom.
    #[test]
    fn every_client_has_an_odd_number_of_endpoints_and_its_shares_are_whole() {
        for client in SITUATIONS.iter().flat_map(Situation::all_clients) {
            assert_eq!(client.endpoints().count() % 2, 1, "{}", client.dataplane);
            let sum: f64 = client.leads_to.iter().map(|to| to.share).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{}: {sum}", client.dataplane);
        }
    }
}
