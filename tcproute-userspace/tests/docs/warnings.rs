//! The page of warnings: each code of the binary is there and no other, and its example has just that warning.

use std::{fs, path::Path};

use tcproute::{
    lint::{Code, IGNORE_LABEL, Scope, lint},
    routing::Options,
    sources,
};

use crate::pages::root;

const PAGE: &str = "docs/reference/warnings.md";

fn page() -> String {
    fs::read_to_string(root().join(PAGE)).unwrap()
}

/// Heading and text of each section about a code.
fn sections(page: &str) -> Vec<(&str, &str)> {
    page.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap()).collect()
}

#[test]
fn the_codes_of_the_page_are_those_of_the_code() {
    let page = page();
    let headings: Vec<&str> = sections(&page).into_iter().map(|(heading, _)| heading).collect();
    let codes: Vec<String> = Code::ALL.iter().map(|code| format!("{code}: {}", code.title())).collect();
    assert_eq!(headings, codes);
    for (heading, text) in sections(&page) {
        for part in ["- **Seen:** ", "- **Not meant:** ", "- **Do:** ", "- **Silent:** "] {
            assert!(text.contains(part), "{heading} does not say {part}");
        }
    }
    assert!(page.contains(&format!("`{IGNORE_LABEL}: TCP004.TCP008`")));
}

#[test]
fn each_example_has_the_warning_that_it_is_of() {
    let page = page();
    for (code, (heading, text)) in Code::ALL.into_iter().zip(sections(&page)) {
        let (_, example) = text.split_once("```yaml\n").unwrap_or_else(|| panic!("{heading} has no example"));
        let (example, _) = example.split_once("```").unwrap();
        let resources = sources::parse(Path::new(heading), example.as_bytes()).unwrap();
        let warnings = lint(&resources, &Options::default(), Scope::Part);
        let codes: Vec<Code> = warnings.iter().map(|warning| warning.code).collect();
        assert_eq!(codes, [code], "{heading}: {warnings:#?}");
    }
}
