//! Single documents, and whether real control planes took them. Their record is kept beside the checkout.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// Documents on which this program is not of Kuma's mind, with why.
const DIFFERENT: [(&str, &str); 1] =
    [("weight-over", "Kuma takes a weight of more than 32 bits, and Envoy gets what is left of it")];

/// What is wrong with a document, which comes through a pipe.
fn validate(document: &str) -> Option<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tcproute"))
        .args(["validate", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (!output.status.success()).then_some(said)
}

#[test]
fn documents_are_valid_where_kuma_takes_them() {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/oracle/documents.jsonl");
    let Ok(lines) = fs::read_to_string(&record) else {
        println!("SKIPPED documents_are_valid_where_kuma_takes_them: there is no record beside the checkout");
        return;
    };
    let mut wrong = Vec::new();
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let said: Vec<&Value> = ["2.4.10", "2.14.3"].map(|version| &record[version]).into();
        let said: Vec<&Value> = said.into_iter().filter(|said| !said.is_null()).collect();
        let accepted = |said: &&Value| *said == "accepted";
        if said.iter().any(accepted) && !said.iter().all(accepted) {
            // The versions differ.
            continue;
        }
        let document = record["document"].to_string();
        let ours = validate(&document);
        let case = record["case"].as_str().unwrap();
        let known = DIFFERENT.iter().any(|(name, _)| *name == case);
        if ours.is_none() == said.iter().all(accepted) {
            if known {
                wrong.push(format!("{case}: does not differ any more"));
            }
        } else if !known {
            let said = said.last().unwrap();
            wrong.push(format!("{case}: Kuma: {said}; tcproute: {ours:?}\n    {document}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
