//! The corpus of the fuzz target: what was interesting once stays a test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod check;

use std::{fs, path::Path};

#[test]
fn every_file_of_the_corpus_passes_the_check() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/resources");
    let mut count = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        // Shown if the test fails.
        println!("{}", path.display());
        check::check(&fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "the corpus is empty");
}
