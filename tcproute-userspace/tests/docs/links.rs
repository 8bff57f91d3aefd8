//! Links lead somewhere. Those to other sites are not followed.

use std::collections::{BTreeMap, BTreeSet};

use crate::pages::{pages, root};

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let pages = pages();
    let anchors: BTreeMap<_, _> = pages.iter().map(|page| (page.path.clone(), page.anchors())).collect();
    let mut broken = Vec::new();
    for page in &pages {
        for link in page.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.path.clone() } else { page.beside(file) };
            let is_there = root().join(&target).exists();
            let has_anchor =
                || anchors.get(&target).is_some_and(|anchors| anchors.iter().any(|it| it == anchor));
            if !is_there || !anchor.is_empty() && !has_anchor() {
                broken.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_page_of_the_documentation_is_found_from_the_readme() {
    let pages = pages();
    let page = |path: &std::path::Path| pages.iter().find(|page| page.path == path);
    let mut found = BTreeSet::from(["README.md".into()]);
    let mut next: Vec<std::path::PathBuf> = found.iter().cloned().collect();
    while let Some(path) = next.pop() {
        let Some(page) = page(&path) else { continue };
        for link in page.links().iter().filter(|link| !link.contains("://")) {
            let target = page.beside(link.split('#').next().unwrap());
            if found.insert(target.clone()) {
                next.push(target);
            }
        }
    }
    let lost: Vec<_> = pages
        .iter()
        .map(|page| &page.path)
        .filter(|path| path.starts_with("docs") && !found.contains(*path))
        .collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}
