//! The rules and the dashboard in `deploy/dashboards`: they speak of metrics and pages that there are, and the chart
//! has them as they are.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use crate::{
    chart::is_current,
    pages::{pages, root},
};

const RULES: &str = "tcproute.rules.yaml";
const DASHBOARD: &str = "tcproute.json";

fn read(file: &str) -> String {
    fs::read_to_string(root().join("deploy/dashboards").join(file)).unwrap()
}

#[test]
fn the_chart_has_the_rules_and_the_dashboard() {
    for file in [RULES, DASHBOARD] {
        is_current(&format!("files/{file}"), &read(file));
    }
}

/// Words that begin with the prefix of our metrics.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("tcproute_")).collect()
}

#[test]
fn they_speak_of_metrics_that_there_are() {
    let page = fs::read_to_string(root().join("docs/reference/metrics.md")).unwrap();
    let known = metrics(&page);
    for file in [RULES, DASHBOARD] {
        let text = read(file);
        let asked = metrics(&text);
        // Samples of a histogram have names of their own.
        let unknown: Vec<_> =
            asked.iter().filter(|name| !known.contains(name.trim_end_matches("_bucket"))).collect();
        assert!(unknown.is_empty() && asked.len() > 10, "{file}: {unknown:?}");
    }
}

#[test]
fn each_alert_has_a_runbook_that_is_there() {
    let rules: Value = serde_yaml::from_str(&read(RULES)).unwrap();
    let (mut count, pages) = (0, pages());
    let groups = rules["groups"].as_array().unwrap();
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let runbook = rule["annotations"]["runbook_url"].as_str().unwrap_or_default();
        let (path, anchor) = runbook.split_once('#').unwrap_or_else(|| panic!("{rule}: no runbook"));
        let page = pages.iter().find(|page| page.path == Path::new(path));
        let page = page.unwrap_or_else(|| panic!("{rule}: there is no {path}"));
        assert!(page.anchors().iter().any(|it| it == anchor), "{rule}: {path} has no {anchor}");
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{rule}");
        count += 1;
    }
    assert!(count > 10, "{count}");
}
