//! Pages are read in editors and terminals, too: lines have an end.

use crate::pages::pages;

/// Characters of a line.
const WIDEST: usize = 120;

/// Lines of README.md.
const LONGEST: usize = 120;

#[test]
fn lines_are_not_too_long() {
    let mut long = Vec::new();
    for page in pages() {
        for (index, line) in page.text.lines().enumerate() {
            let width = line.chars().count();
            if width > WIDEST {
                long.push(format!("{}:{}: {width}", page.path.display(), index + 1));
            }
        }
    }
    assert!(long.is_empty(), "lines of more than {WIDEST} characters:\n{}", long.join("\n"));
}

#[test]
fn the_readme_is_read_to_its_end() {
    let pages = pages();
    let readme = pages.iter().find(|page| page.path.as_os_str() == "README.md").unwrap();
    let lines = readme.text.lines().count();
    assert!(lines <= LONGEST, "README.md has {lines} lines");
}
