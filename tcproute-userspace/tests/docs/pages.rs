//! The pages: all Markdown files of the project, with their links and what links may lead to.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// A file, named by its path from the root.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All of them, in the order of their paths.
pub(crate) fn pages() -> Vec<Page> {
    files("md")
}

/// All files of the project with this extension, in the order of their paths.
pub(crate) fn files(extension: &str) -> Vec<Page> {
    let (root, mut paths) = (root(), Vec::new());
    find(&root, extension, &mut paths);
    paths.sort();
    let page = |path: PathBuf| Page {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(&root).unwrap().to_owned(),
    };
    paths.into_iter().map(page).collect()
}

fn find(directory: &Path, extension: &str, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if entry.file_type().unwrap().is_dir() {
            // What is built is nobody's page, and a fuzzer's corpus has whatever it likes.
            if name != "target" && name != "corpus" && (!is_hidden(&path) || name == ".github") {
                find(&path, extension, paths);
            }
        } else if path.extension().is_some_and(|its| its == extension) {
            paths.push(path);
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

impl Page {
    fn events(&self) -> impl Iterator<Item = Event<'_>> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES)
    }

    /// Where its links lead, as they are written.
    pub(crate) fn links(&self) -> Vec<String> {
        let link = |event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.to_string())
            }
            _ => None,
        };
        self.events().filter_map(link).collect()
    }

    /// What may stand behind `#` in a link to it: its headings, as hosting sites name them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let (mut anchors, mut seen) = (Vec::new(), BTreeMap::<String, u32>::new());
        let mut heading: Option<String> = None;
        for event in self.events() {
            match (event, &mut heading) {
                (Event::Start(Tag::Heading { .. }), _) => heading = Some(String::new()),
                (Event::Text(text) | Event::Code(text), Some(heading)) => heading.push_str(&text),
                (Event::End(TagEnd::Heading(_)), Some(text)) => {
                    let anchor = anchor(text);
                    let before = seen.entry(anchor.clone()).or_default();
                    anchors.push(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
                    *before += 1;
                    heading = None;
                }
                _ => {}
            }
        }
        anchors
    }

    /// The path from the root to what a relative path in it leads to.
    pub(crate) fn beside(&self, relative: &str) -> PathBuf {
        let mut path = self.path.parent().unwrap().to_owned();
        for component in Path::new(relative).components() {
            match component {
                Component::ParentDir => {
                    assert!(path.pop(), "{relative} in {} leads out", self.path.display());
                }
                Component::CurDir => {}
                component => path.push(component),
            }
        }
        path
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn headings_are_named_as_hosting_sites_do() {
    let text = "# What `run` does: 1.0, now\n\n## Again\n\n## Again\n\nText\n".to_owned();
    let page = Page { path: "page.md".into(), text };
    assert_eq!(page.anchors(), ["what-run-does-10-now", "again", "again-1"]);
}
