//! The parts as one file: a tar archive, compressed, with a manifest that says what each is and what was left out.

use std::io::{self, Write as _};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use serde::Serialize;
use tar::{Builder, Header};

use super::{Content, Part, Secrets, pseudonyms::Pseudonyms};
use crate::escaped;

/// More of a part is not kept, in bytes.
const MOST: usize = 16 << 20;

/// What is never gathered.
const LEFT_OUT: [&str; 5] = [
    "the environment of processes, but for what TCPROUTE_ variables set of the configuration",
    "kubeconfigs, tokens, certificates and their keys, and the credentials and queries of URLs",
    "resources: what is in policies, Dataplanes, Services and Secrets",
    "what connections carry",
    "fields of the daemon's answers that this version does not know",
];

/// All parts as one file.
#[derive(Debug)]
pub struct Bundle {
    /// What is in the file.
    pub bytes: Vec<u8>,
    /// How many parts could not be had.
    pub missing: usize,
}

/// What is in a bundle, as programs and people read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    tcproute: &'static str,
    made: Timestamp,
    /// Whether names and addresses are pseudonyms.
    redacted: bool,
    files: Vec<Entry>,
    left_out: [&'static str; 5],
}

/// A file in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    file: String,
    about: &'static str,
    bytes: usize,
    /// How much in it looked like a secret.
    secrets_left_out: usize,
    /// Whether it was longer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut_off: bool,
    /// Why it could not be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

/// Puts them together, without secrets.
pub fn bundle(parts: Vec<Part>, secrets: &mut Secrets, redact: bool, made: Timestamp) -> io::Result<Bundle> {
    let mut pseudonyms =
        redact.then(|| Pseudonyms::of(parts.iter().filter_map(|part| part.content.as_ref().ok())));
    let mut files = Vec::new();
    for Part { name, about, content } in parts {
        let before = secrets.left_out();
        let (file, content, missing) = match content {
            Ok(content) => {
                let mut content = secrets.without(content);
                if let Some(pseudonyms) = &mut pseudonyms {
                    content = pseudonyms.put(content);
                }
                (name.to_owned(), content, None)
            }
            Err(why) => {
                let mut why = secrets.without_any(&why);
                if let Some(pseudonyms) = &mut pseudonyms {
                    why = pseudonyms.put_text(&why);
                }
                (format!("{name}.missing"), Content::Text(format!("{why}\n")), Some(why))
            }
        };
        let (text, cut_off) = text(&content)?;
        let secrets_left_out = secrets.left_out() - before;
        files.push((Entry { file, about, bytes: text.len(), secrets_left_out, cut_off, missing }, text));
    }
    let mut archive = Archive::new(made);
    let missing = files.iter().filter(|(entry, _)| entry.missing.is_some()).count();
    let (entries, texts): (Vec<Entry>, Vec<String>) = files.into_iter().unzip();
    let names: Vec<String> = entries.iter().map(|entry| entry.file.clone()).collect();
    let manifest = Manifest {
        tcproute: env!("CARGO_PKG_VERSION"),
        made,
        redacted: redact,
        files: entries,
        left_out: LEFT_OUT,
    };
    archive.add("manifest.json", &(escaped::pretty_json(&manifest)? + "\n"))?;
    for (name, text) in names.iter().zip(&texts) {
        archive.add(name, text)?;
    }
    Ok(Bundle { bytes: archive.finish()?, missing })
}

/// As it is written, and whether that is not all of it.
fn text(content: &Content) -> io::Result<(String, bool)> {
    let mut text = match content {
        Content::Json(value) => escaped::pretty_json(value)? + "\n",
        Content::Text(text) => text.clone(),
    };
    let is_too_long = text.len() > MOST;
    if is_too_long {
        text.truncate(text.floor_char_boundary(MOST));
    }
    Ok((text, is_too_long))
}

/// Files in a directory of their own.
struct Archive {
    tar: Builder<GzEncoder<Vec<u8>>>,
    made: Timestamp,
}

impl Archive {
    fn new(made: Timestamp) -> Self {
        Self { tar: Builder::new(GzEncoder::new(Vec::new(), Compression::default())), made }
    }

    fn add(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.made.as_second().try_into().unwrap_or_default());
        self.tar.append_data(&mut header, format!("tcproute-bugreport/{name}"), text.as_bytes())
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        let mut encoder = self.tar.into_inner()?;
        encoder.flush()?;
        encoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use flate2::read::GzDecoder;
    use serde_json::{Value, json};

    use super::*;
    use crate::bugreport::Known;

    fn unpacked(bytes: &[u8]) -> BTreeMap<String, String> {
        let mut archive = tar::Archive::new(GzDecoder::new(bytes));
        let read = |entry: io::Result<tar::Entry<'_, _>>| {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mode().unwrap(), 0o600);
            let name =
                entry.path().unwrap().strip_prefix("tcproute-bugreport").unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (name, text)
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn each_part_is_a_file_and_in_the_manifest() {
        let mut known = Known::default();
        known.add("planted-secret");
        let part = |name, content| Part { name, about: "it", content };
        let parts = vec![
            part("a.json", Ok(Content::Json(json!({"dataplane": "shop", "why": "planted-secret"})))),
            part("b.txt", Err("no shop: planted-secret".to_owned())),
            part("c.txt", Ok(Content::Text("x".repeat(MOST + 1)))),
        ];
        let mut secrets = Secrets::new(known);
        let made = Timestamp::UNIX_EPOCH;
        let bundle = bundle(parts, &mut secrets, true, made).unwrap();
        assert_eq!(bundle.missing, 1);
        let files = unpacked(&bundle.bytes);
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.json", "b.txt.missing", "c.txt", "manifest.json"]);
        assert_eq!(files["b.txt.missing"], "no name-1: [left out]\n");
        assert_eq!(files["c.txt"].len(), MOST);
        let manifest: Value = serde_json::from_str(&files["manifest.json"]).unwrap();
        assert_eq!(
            (&manifest["redacted"], &manifest["made"]),
            (&json!(true), &json!("1970-01-01T00:00:00Z"))
        );
        let entries = manifest["files"].as_array().unwrap();
        assert_eq!(entries[0]["secretsLeftOut"], 1);
        assert_eq!(
            (&entries[1]["file"], &entries[1]["missing"]),
            (&json!("b.txt.missing"), &json!("no name-1: [left out]"))
        );
        assert_eq!(entries[2]["cutOff"], true);
        assert!(
            files.values().all(|text| !text.contains("planted-secret") && !text.contains("shop")),
            "{files:?}"
        );
    }
}
