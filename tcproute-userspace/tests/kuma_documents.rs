//! Single documents, and whether real control planes took them. Their record is kept beside the checkout.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

use serde_json::Value;
use tcproute::sources::parse;

/// Documents on which this program is not of Kuma's mind, with why.
const DIFFERENT: [(&str, &str); 0] = [];

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
        let ours = parse(Path::new("-"), document.as_bytes());
        let case = record["case"].as_str().unwrap();
        let known = DIFFERENT.iter().any(|(name, _)| *name == case);
        if ours.is_ok() == said.iter().all(accepted) {
            if known {
                wrong.push(format!("{case}: does not differ any more"));
            }
        } else if !known {
            let said = said.last().unwrap();
            let ours = ours.err().map(|errors| errors.to_string());
            wrong.push(format!("{case}: Kuma: {said}; tcproute: {ours:?}\n    {document}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
