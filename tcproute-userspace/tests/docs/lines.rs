//! Pages and comments are read in editors and terminals, too: lines have an end.

use crate::pages::{Page, files, pages};

/// Characters of a line.
const WIDEST: usize = 120;

/// Lines of README.md.
const LONGEST: usize = 120;

#[test]
fn lines_are_not_too_long() {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let (pages, comments) = (long(&pages(), |_| true), long(&files("rs"), is_comment));
    let all = [pages, comments].concat();
    assert!(all.is_empty(), "lines of more than {WIDEST} characters:\n{}", all.join("\n"));
}

/// Those of these lines that are too long.
fn long(pages: &[Page], is_meant: impl Fn(&str) -> bool) -> Vec<String> {
    let mut long = Vec::new();
    for page in pages {
        for (line, number) in page.text.lines().zip(1..).filter(|(line, _)| is_meant(line)) {
            let width = line.chars().count();
            if width > WIDEST {
                long.push(format!("{}:{number}: {width}", page.path.display()));
            }
        }
    }
    long
}

#[test]
fn the_readme_is_read_to_its_end() {
    let pages = pages();
    let readme = pages.iter().find(|page| page.path.as_os_str() == "README.md").unwrap();
    let lines = readme.text.lines().count();
    assert!(lines <= LONGEST, "README.md has {lines} lines");
}
