//! Images as the Open Container Initiative lays them out, in a tar archive.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use std::{fs::File, io::BufWriter, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{
    checksums,
    tree::{Tree, gzip},
};

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Files of the layout.
#[derive(Default)]
pub(super) struct Layout(Tree);

impl Layout {
    /// Adds a blob, and describes it.
    fn blob(&mut self, kind: &str, content: &[u8]) -> Value {
        let sum = checksums::sha256(content);
        self.0.file(format!("blobs/sha256/{sum}"), content);
        json!({"mediaType": kind, "digest": format!("sha256:{sum}"), "size": content.len()})
    }

    /// The same, of a value.
    pub(super) fn json(&mut self, kind: &str, value: &Value) -> Result<Value> {
        Ok(self.blob(kind, &serde_json::to_vec(value)?))
    }

    /// The same, of the files of an image. Its digest before it was compressed is told as well.
    pub(super) fn layer(&mut self, content: &Tree, time: u64) -> Result<(Value, String)> {
        let mut archive = Vec::new();
        content.tar(&mut archive, time)?;
        let layer = self.blob(LAYER, &gzip(&archive)?);
        Ok((layer, format!("sha256:{}", checksums::sha256(&archive))))
    }

    /// Writes all of it, which begins with what is described here.
    pub(super) fn write(mut self, first: &Value, path: &Path, time: u64) -> Result<()> {
        self.0.file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [first]});
        self.0.file("index.json", serde_json::to_vec(&index)?);
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        self.0.tar(BufWriter::new(file), time)
    }
}

/// Writes an image of these programs that nobody is given, for this machine's runtime alone.
pub(crate) fn write(name: &str, command: (&[&str], &[&str]), content: &Tree, path: &Path) -> Result<()> {
    let mut layout = Layout::default();
    let (layer, diff_id) = layout.layer(content, 0)?;
    let (entrypoint, arguments) = command;
    let config = layout.json(
        CONFIG,
        &json!({
            "os": "linux",
            "architecture": "amd64",
            "config": {"Entrypoint": entrypoint, "Cmd": arguments},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }),
    )?;
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    let mut first = layout.json(MANIFEST, &manifest)?;
    first["annotations"] = json!({"io.containerd.image.name": name});
    layout.write(&first, path, 0)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use super::*;

    #[test]
    fn an_image_is_known_by_its_name_and_has_its_programs() {
        let directory = tempfile::tempdir().unwrap();
        let mut content = Tree::default();
        content.program("usr/bin/test", "program");
        let path = directory.path().join("image.tar");
        write("localhost/test:1", (&["/usr/bin/test"], &["one"]), &content, &path).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(File::open(path).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let (path, mut content) = (entry.path().unwrap().to_str().unwrap().to_owned(), Vec::new());
            entry.read_to_end(&mut content).unwrap();
            files.insert(path, content);
        }
        let described = |value: &Value| {
            let sum = value["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            files[&format!("blobs/sha256/{sum}")].clone()
        };
        let parsed = |content: &[u8]| -> Value { serde_json::from_slice(content).unwrap() };
        let first = parsed(&files["index.json"])["manifests"][0].clone();
        assert_eq!(first["annotations"]["io.containerd.image.name"], "localhost/test:1");
        let manifest = parsed(&described(&first));
        let config = parsed(&described(&manifest["config"]));
        assert_eq!(config["config"], json!({"Entrypoint": ["/usr/bin/test"], "Cmd": ["one"]}));
        let (compressed, mut layer) = (described(&manifest["layers"][0]), Vec::new());
        flate2::read::GzDecoder::new(compressed.as_slice()).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", checksums::sha256(&layer)));
        assert_eq!(tar::Archive::new(layer.as_slice()).entries().unwrap().count(), 3);
    }
}
