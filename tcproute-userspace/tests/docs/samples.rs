//! Pages that show commands with what they print are among those whose commands are run.

use std::fs;

use crate::pages::{pages, root};

#[test]
fn pages_with_samples_are_run_by_a_test() {
    let guide = fs::read_to_string(root().join("tests/tests/guide.rs")).unwrap();
    let forgotten: Vec<_> = pages()
        .into_iter()
        .filter(|page| page.text.lines().any(|line| line.trim_start().starts_with("```console")))
        .filter(|page| !guide.contains(&format!("include_str!(\"../../{}\")", page.path.display())))
        .map(|page| page.path)
        .collect();
    assert!(forgotten.is_empty(), "tests/tests/guide.rs does not run what {forgotten:?} show");
}
