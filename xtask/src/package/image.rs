//! The image of the daemonset: `ctr images import`, `podman load`, `skopeo copy oci-archive:…`. It has the one binary
//! in it, and no shell. One manifest for each platform.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    Packing, VERSION,
    layout::{CONFIG, INDEX, Layout, MANIFEST},
    tree::{Tree, read},
};
use crate::{commit::Commit, platform::Platform};

/// Under which containerd finds it by the plain name `tcproute:VERSION`.
const NAME: &str = "docker.io/library/tcproute";

pub(super) fn pack(packing: &Packing, binaries: &[(Platform, PathBuf)], sbom: &Path) -> Result<PathBuf> {
    let created = time(packing.time)?;
    let mut layout = Layout::default();
    let mut manifests = Vec::new();
    for (platform, binary) in binaries {
        let mut manifest = image(&mut layout, *platform, &content(binary, sbom)?, packing.time, &created)?;
        manifest["platform"] = json!({"os": "linux", "architecture": platform.debian()});
        manifests.push(manifest);
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let mut all = layout.json(INDEX, &index)?;
    all["annotations"] = json!({
        "io.containerd.image.name": format!("{NAME}:{VERSION}"),
        "org.opencontainers.image.ref.name": VERSION,
    });
    let path = packing.file("tcproute", "oci.tar");
    layout.write(&all, &path, packing.time)?;
    Ok(path)
}

/// What is in the image.
fn content(binary: &Path, sbom: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.program_of("usr/bin/tcproute", binary)?;
    // Where scanners of images look.
    tree.file("usr/share/doc/tcproute/tcproute.cdx.json", read(sbom)?);
    Ok(tree)
}

fn image(layout: &mut Layout, platform: Platform, content: &Tree, time: u64, created: &str) -> Result<Value> {
    let (layer, diff_id) = layout.layer(content, time)?;
    let mut labels = json!({
        "org.opencontainers.image.title": "tcproute",
        "org.opencontainers.image.description": "MeshTCPRoute weights applied in the kernel at connect()",
        "org.opencontainers.image.version": VERSION,
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.licenses": "Apache-2.0 AND (MIT OR GPL-2.0-only)",
    });
    if let Some(commit) = Commit::of_checkout() {
        labels["org.opencontainers.image.revision"] = commit.to_string().into();
    }
    let config = json!({
        "created": created,
        "os": "linux",
        "architecture": platform.debian(),
        "config": {
            "Entrypoint": ["/usr/bin/tcproute"],
            "Cmd": ["run"],
            "Env": ["PATH=/usr/bin"],
            "Labels": labels.clone(),
            "StopSignal": "SIGTERM",
            // Pins are root's, in a directory for nobody else; capabilities do not stand in for that.
            "User": "0:0",
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "cargo xtask package"}],
    });
    let config = layout.json(CONFIG, &config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
        "annotations": labels,
    });
    layout.json(MANIFEST, &manifest)
}

/// As RFC 3339 has it.
pub(super) fn time(seconds: u64) -> Result<String> {
    let time = jiff::Timestamp::from_second(seconds.try_into()?)?;
    Ok(time.to_string())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, fs::File, io::Read as _};

    use super::*;
    use crate::package::checksums;

    /// Everything in the archive leads to something that is there, by its digest and of its size.
    #[test]
    fn an_image_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let [binary, sbom] = ["binary", "sbom"].map(|name| directory.path().join(name));
        fs::write(&binary, "program").unwrap();
        fs::write(&sbom, "{}").unwrap();
        let packing = Packing { directory: directory.path().to_owned(), time: 1_700_000_000 };
        let binaries = Platform::ALL.map(|platform| (platform, binary.clone()));
        let path = pack(&packing, &binaries, &sbom).unwrap();
        let mut archive = tar::Archive::new(File::open(path).unwrap());
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let (path, mut content) = (entry.path().unwrap().to_str().unwrap().to_owned(), Vec::new());
            entry.read_to_end(&mut content).unwrap();
            files.insert(path, content);
        }
        let described = |value: &Value| {
            let digest = value["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let content = &files[&format!("blobs/sha256/{digest}")];
            assert_eq!(checksums::sha256(content), digest);
            assert_eq!(value["size"], content.len());
            content.clone()
        };
        let parsed = |content: &[u8]| -> Value { serde_json::from_slice(content).unwrap() };
        let index = parsed(&files["index.json"]);
        let platforms = parsed(&described(&index["manifests"][0]));
        let manifests = platforms["manifests"].as_array().unwrap();
        assert_eq!(manifests.len(), 2);
        for (manifest, platform) in manifests.iter().zip(Platform::ALL) {
            assert_eq!(manifest["platform"]["architecture"], platform.debian());
            let manifest = parsed(&described(manifest));
            let config = parsed(&described(&manifest["config"]));
            assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/tcproute"]));
            assert_eq!(config["created"], "2023-11-14T22:13:20Z");
            let mut layer = Vec::new();
            let compressed = described(&manifest["layers"][0]);
            flate2::read::GzDecoder::new(compressed.as_slice()).read_to_end(&mut layer).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", checksums::sha256(&layer)));
            assert_eq!(tar::Archive::new(layer.as_slice()).entries().unwrap().count(), 7);
        }
    }
}
