//! Resources as tests write them.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};

/// A file of resources for the Dataplane `web`.
pub struct Mesh {
    directory: tempfile::TempDir,
    text: String,
    outbounds: Vec<(String, SocketAddr)>,
    count: usize,
}

impl Default for Mesh {
    fn default() -> Self {
        Self::new()
    }
}

impl Mesh {
    /// Without anything.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        Self { directory, text: String::new(), outbounds: Vec::new(), count: 0 }
    }

    /// An endpoint of a service, with a tag `v`.
    pub fn endpoint(&mut self, service: &str, version: &str, address: SocketAddr) -> &mut Self {
        self.count += 1;
        let (number, ip, port) = (self.count, address.ip(), address.port());
        self.document(&format!(
            "type: Dataplane\nname: endpoint-{number}\nnetworking:\n  address: '{ip}'\n  inbound:\n  \
             - {{port: {port}, tags: {{kuma.io/service: {service}, kuma.io/protocol: tcp, v: '{version}'}}}}\n"
        ))
    }

    /// Another Dataplane, of a service of its own, that dials another one.
    pub fn dataplane(&mut self, name: &str, own: &str, service: &str, dialled: SocketAddr) -> &mut Self {
        let (ip, port) = (dialled.ip(), dialled.port());
        self.document(&format!(
            "type: Dataplane\nname: {name}\nnetworking:\n  address: 127.0.0.1\n  inbound:\n  \
             - {{port: 81, tags: {{kuma.io/service: {own}}}}}\n  outbound:\n  \
             - {{address: '{ip}', port: {port}, tags: {{kuma.io/service: {service}}}}}\n"
        ))
    }

    /// What `web` dials to reach a service.
    pub fn outbound(&mut self, service: &str, address: SocketAddr) -> &mut Self {
        self.outbounds.push((service.to_owned(), address));
        self
    }

    /// A MeshTCPRoute of `web` to a service, by `(version, weight)`.
    pub fn split(&mut self, service: &str, weights: &[(&str, u32)]) -> &mut Self {
        let refs: Vec<String> = weights
            .iter()
            .map(|(version, weight)| {
                format!(
                    "{{kind: MeshServiceSubset, name: {service}, tags: {{v: '{version}'}}, weight: {weight}}}"
                )
            })
            .collect();
        self.document(&format!(
            "type: MeshTCPRoute\nname: split-{service}\nspec:\n  targetRef: {{kind: MeshService, name: web}}\n  \
             to:\n  - targetRef: {{kind: MeshService, name: {service}}}\n    \
             rules: [{{default: {{backendRefs: [{}]}}}}]\n",
            refs.join(", ")
        ))
    }

    /// Any document.
    pub fn document(&mut self, text: &str) -> &mut Self {
        let _ = write!(self.text, "---\n{text}");
        self
    }

    /// Writes the file.
    pub fn file(&self) -> PathBuf {
        let path = self.file_path();
        std::fs::write(&path, self.text()).expect("the file can be written");
        path
    }

    /// Where it is.
    pub fn file_path(&self) -> PathBuf {
        self.directory.path().join("mesh.yaml")
    }

    /// What is in the file.
    pub fn text(&self) -> String {
        let mut web = "---\ntype: Dataplane\nname: web\nnetworking:\n  address: 127.0.0.1\n  inbound:\n  \
                       - {port: 80, tags: {kuma.io/service: web, kuma.io/protocol: tcp}}\n"
            .to_owned();
        if !self.outbounds.is_empty() {
            web += "  outbound:\n";
        }
        for (service, address) in &self.outbounds {
            let (ip, port) = (address.ip(), address.port());
            let _ =
                writeln!(web, "  - {{address: '{ip}', port: {port}, tags: {{kuma.io/service: {service}}}}}");
        }
        format!("{}{web}", self.text)
    }
}
