//! What the page of events says the log tells, the source says.

use std::fs;

use crate::pages::{files, root};

/// All of the library's source, with texts that are written on several lines put together.
fn source() -> String {
    let library = files("rs").into_iter().filter(|file| file.path.starts_with("tcproute-userspace/src"));
    let text: String = library.map(|file| file.text).collect();
    let mut joined = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        joined.push_str(line);
        if let Some(open) = joined.strip_suffix('\\') {
            joined.truncate(open.len());
            joined.push_str(lines.next().unwrap_or_default().trim_start());
        }
        joined.push('\n');
    }
    joined
}

/// The event of an item of the page: "- `text with <what differs>`: when".
fn event(line: &str) -> Option<&str> {
    let text = line.strip_prefix("- `")?;
    match text.strip_prefix('`') {
        // It has a backtick of its own.
        Some(text) => Some(text.split_once("``")?.0.trim()),
        None => Some(text.split_once('`')?.0),
    }
}

#[test]
fn the_events_of_the_page_are_those_of_the_source() {
    let page = fs::read_to_string(root().join("docs/reference/events.md")).unwrap();
    let source = source();
    let events: Vec<&str> = page.lines().filter_map(event).collect();
    assert!(events.len() > 40, "{events:?}");
    // What stands for something that differs is of no concern.
    let is_told = |event: &str| event.split(['<', '>']).step_by(2).all(|part| source.contains(part.trim()));
    let unknown: Vec<_> = events.iter().filter(|event| !is_told(event)).collect();
    assert!(unknown.is_empty(), "events that nothing tells: {unknown:#?}");
}
