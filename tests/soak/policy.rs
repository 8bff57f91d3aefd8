//! MeshTCPRoutes as values, and as they stand in files.

use crate::extent::{VERSIONS, workload_name};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) selects: Selects,
    pub(crate) to: usize,
    /// It is only tried out: no connection goes by it.
    pub(crate) shadow: bool,
    /// `None`: an entry without rules, which means the service itself.
    pub(crate) refs: Option<Vec<BackendRef>>,
}

/// In the order of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Selects {
    Mesh,
    Workload(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackendRef {
    pub(crate) service: usize,
    /// In [`VERSIONS`].
    pub(crate) version: Option<usize>,
    pub(crate) weight: u32,
}

impl Policy {
    /// As it stands in a file.
    pub(crate) fn text(&self, name: &str) -> String {
        let selects = match self.selects {
            Selects::Mesh => "{kind: Mesh}".to_owned(),
            Selects::Workload(workload) => {
                format!("{{kind: MeshService, name: {}}}", workload_name(workload))
            }
        };
        let rules = self.refs.as_ref().map_or_else(String::new, |refs| {
            let refs: Vec<String> = refs.iter().map(BackendRef::text).collect();
            format!("    rules: [{{default: {{backendRefs: [{}]}}}}]\n", refs.join(", "))
        });
        let labels = if self.shadow { "labels: {kuma.io/effect: shadow}\n" } else { "" };
        format!(
            "type: MeshTCPRoute\nname: {name}\n{labels}spec:\n  targetRef: {selects}\n  to:\n  - targetRef: {{kind: MeshService, \
             name: svc-{}}}\n{rules}",
            self.to
        )
    }
}

impl BackendRef {
    fn text(&self) -> String {
        let Self { service, version, weight } = self;
        match version {
            None => format!("{{kind: MeshService, name: svc-{service}, weight: {weight}}}"),
            Some(version) => format!(
                "{{kind: MeshServiceSubset, name: svc-{service}, tags: {{v: {}}}, weight: {weight}}}",
                VERSIONS[*version]
            ),
        }
    }
}
