//! What files take in memory, however they are written: a few times their size while they are read and after.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};
use tcproute_tests::{cgroup::TestCgroup, is_root, tcproute::Daemon, wait_for};

/// How many times their size files may take.
const TIMES: f64 = 8.0;

/// The size of hostile files. Smaller ones may take as much as one of this.
const SIZE: usize = 6 << 20;

/// Text of this size.
fn repeated(text: &str) -> String {
    text.repeat(SIZE / text.len())
}

/// Text of this size, of parts with numbers.
fn numbered(part: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < SIZE {
        text.push_str(&part(number));
        number += 1;
    }
    text
}

/// A policy of this size.
fn to(text: &str) -> String {
    format!("type: MeshTCPRoute\nname: a\nspec:\n  to:\n{}", repeated(text))
}

/// What nobody writes by accident, each with a name for the report.
fn hostile() -> Vec<(&'static str, String)> {
    let mesh = "type: Mesh\nname: a\n";
    let dataplane = |inbound: &str| {
        format!("type: Dataplane\nname: a\nnetworking: {{address: 192.0.2.1, inbound: [{inbound}]}}\n")
    };
    vec![
        ("ones in brackets", format!("[{}1]\n", repeated("1,"))),
        ("ones in lines", repeated("- 1\n")),
        ("ones as items", format!("{{\"items\":[{}1],\"total\":1}}", repeated("1,"))),
        ("ones in an item", format!("{{\"items\":[{{\"a\":[{}1]}}],\"total\":1}}", repeated("1,"))),
        ("ones in a later document", format!("{mesh}---\n[{}1]\n", repeated("1,"))),
        ("ones in an entry", format!("- [{}1]\n", repeated("1,"))),
        ("empty maps", repeated("- {}\n")),
        ("empty maps as items", format!("kind: List\napiVersion: v1\nitems:\n{}", repeated("- {}\n"))),
        ("empty maps as documents", repeated("--- {}\n")),
        ("maps in maps", repeated(&format!("- {}{}\n", "{a: ".repeat(100), "}".repeat(100)))),
        ("a long key", format!("{mesh}{}: 1\n", repeated("k"))),
        ("a long text", format!("{mesh}labels: {{a: \"{}\"}}\n", repeated("x"))),
        ("long keys", format!("{mesh}{}", numbered(|i| format!("{i:0500}: 1\n")))),
        ("short keys", format!("{mesh}{}", numbered(|i| format!("k{i}: 1\n")))),
        ("inbounds", dataplane(&repeated("{port: 1},"))),
        ("violations", to("    - targetRef: {kind: Mesh}\n")),
        ("objects that are refused", numbered(|i| format!("{{type: Mesh, name: m{i}, x: 1}}\n---\n"))),
        ("objects without a kind", repeated("name: a\nmesh: m\nspec: {}\n---\n")),
        ("objects of other kinds", numbered(|i| format!("type: Xyz\nname: m{i}\n---\n"))),
        ("small objects", numbered(|i| format!("type: Mesh\nname: m{i}\n---\n"))),
        ("the same object", repeated(&format!("{mesh}---\n"))),
        ("anchors", numbered(|i| format!("- &a{i} 1\n"))),
        ("anchors in documents", numbered(|i| format!("--- &a{i} 1\n"))),
        ("aliases", format!("{mesh}x: &x {{a: b}}\ny: [{}]\n", repeated("*x,"))),
        (
            "no concern of ours",
            format!("apiVersion: v1\nkind: ConfigMap\ndata:\n{}", numbered(|i| format!("  k{i}: v\n"))),
        ),
        ("no YAML", format!("{mesh}---\n{}", repeated("- [a\n"))),
        ("comments", repeated("#\n")),
    ]
}

/// 2,000 services with 5 endpoints each, and 2,000 policies.
fn mesh() -> Vec<Value> {
    const SERVICES: usize = 2_000;
    let service = |s: usize| format!("service-{s}_demo_svc_80");
    let endpoint = |(s, e): (usize, usize)| {
        let tags = json!({"kuma.io/service": service(s), "kuma.io/protocol": "tcp", "version": format!("v{}", e % 2)});
        let address = format!("10.{}.{}.{}", s / 250, s % 250, e + 1);
        let networking =
            json!({"address": address, "inbound": [{"port": 8080, "servicePort": 8080, "tags": tags}]});
        json!({"type": "Dataplane", "mesh": "default", "name": format!("service-{s}-{e}"), "networking": networking})
    };
    let policy = |s: usize| {
        let backend = |version: &str, weight: u32| json!({"kind": "MeshServiceSubset", "name": service(s), "tags": {"version": version}, "weight": weight});
        let rules = json!([{"default": {"backendRefs": [backend("v0", 90), backend("v1", 10)]}}]);
        let to = json!([{"targetRef": {"kind": "MeshService", "name": service(s)}, "rules": rules}]);
        let spec = json!({"targetRef": {"kind": "Mesh"}, "to": to});
        json!({"type": "MeshTCPRoute", "mesh": "default", "name": format!("route-{s}"), "spec": spec})
    };
    let endpoints = (0..SERVICES).flat_map(|s| (0..5).map(move |e| (s, e))).map(endpoint);
    endpoints.chain((0..SERVICES).map(policy)).collect()
}

fn as_kubernetes(object: &Value) -> Value {
    let mut other = json!({
        "apiVersion": "kuma.io/v1alpha1", "kind": object["type"], "mesh": "default",
        "metadata": {"name": object["name"], "namespace": "demo", "labels": {"kuma.io/mesh": "default"}},
    });
    let spec = object.get("spec").cloned();
    other["spec"] = spec.unwrap_or_else(|| json!({"networking": object["networking"]}));
    other
}

/// As `kubectl` and `kumactl` write YAML, at this indentation.
fn yaml(value: &Value, indent: usize, text: &mut String) {
    let Value::Object(fields) = value else { panic!("{value}") };
    for (key, value) in fields {
        let _ = match value {
            Value::Object(_) | Value::Array(_) => writeln!(text, "{:indent$}{key}:", ""),
            value => writeln!(text, "{:indent$}{key}: {value}", ""),
        };
        match value {
            Value::Object(_) => yaml(value, indent + 2, text),
            Value::Array(items) => items.iter().for_each(|item| entry(item, indent, text)),
            _ => {}
        }
    }
}

fn entry(item: &Value, indent: usize, text: &mut String) {
    let start = text.len();
    yaml(item, indent + 2, text);
    text.replace_range(start + indent..=start + indent, "-");
}

/// A daemon with these files, and how much memory it takes.
struct Measured {
    _cgroup: TestCgroup,
    directory: tempfile::TempDir,
    daemon: Daemon,
}

impl Measured {
    fn start(files: &[(String, String)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let local = "type: Dataplane\nname: web\nnetworking: {address: 192.0.2.1, inbound: [{port: 1, tags: {kuma.io/service: web}}]}\n";
        fs::write(directory.path().join("local.yaml"), local).unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let cgroup = TestCgroup::create();
        let daemon = Daemon::start(directory.path(), &[("web", cgroup.path())]);
        Self { _cgroup: cgroup, directory, daemon }
    }

    /// In bytes, at present and at its most. Pages of the binary are not among them: there are more with each part of
    /// it that runs, and they are the kernel's to take away.
    fn memory(&self) -> Memory {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).unwrap();
        let bytes = |what: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
            let kilobytes: f64 = line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap();
            kilobytes * 1024.0
        };
        Memory { present: bytes("RssAnon"), most: bytes("VmHWM") - bytes("RssFile") }
    }

    /// How often there was a change. The status would tell as well, but takes memory to tell all that is wrong.
    fn changes(&self) -> u64 {
        let (_, text) = self.daemon.get("/metrics");
        let counts = text.lines().filter(|line| line.starts_with("tcproute_reconciles_total{"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// From now on the most is what is taken from now on.
    fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.daemon.pid()), "5").unwrap();
    }

    /// Writes a file anew and waits until it is read again.
    fn change(&self, (name, text): &(String, String)) {
        let before = self.changes();
        let path = self.directory.path();
        fs::write(path.join("new"), format!("{text}\n")).unwrap();
        fs::rename(path.join("new"), path.join(name)).unwrap();
        wait_for("it is read again", || self.changes() > before);
    }
}

/// What a daemon takes, in bytes.
struct Memory {
    present: f64,
    most: f64,
}

/// What a daemon takes more than without files, as often as its files are large: at the start, at a change, at rest.
fn times(base: &Memory, files: &[(String, String)]) -> [f64; 3] {
    let daemon = Measured::start(files);
    let start = daemon.memory().most - base.most;
    daemon.forget_peak();
    daemon.change(&files[0]);
    let Memory { present, most } = daemon.memory();
    let (change, rest) = (most - base.present, present - base.present);
    [start, change, rest].map(|taken| taken / f64::from(size(files)))
}

fn check(shapes: &[(&str, Vec<(String, String)>)]) {
    let base = Measured::start(&[]).memory();
    println!("{:28} {:>10} {:>8} {:>8} {:>8}", "SHAPE", "BYTES", "START", "CHANGE", "AT REST");
    let mut too_much = Vec::new();
    for (name, files) in shapes {
        let [start, change, rest] = times(&base, files);
        println!("{name:28} {:10} {start:8.1} {change:8.1} {rest:8.1}", size(files));
        if start.max(change) > TIMES {
            too_much.push(*name);
        }
    }
    assert!(too_much.is_empty(), "take more than {TIMES} times their size: {too_much:?}");
}

/// A small file counts as 1 KiB, as for the bound on all files: something is known of each.
fn size(files: &[(String, String)]) -> u32 {
    let size: usize = files.iter().map(|(_, text)| text.len().max(1 << 10)).sum();
    size.try_into().unwrap()
}

fn one(name: &str, text: String) -> Vec<(String, String)> {
    vec![(name.to_owned(), text)]
}

#[test]
fn hostile_files_take_a_few_times_their_size() {
    if is_root("hostile_files_take_a_few_times_their_size") {
        let shapes: Vec<_> = hostile().into_iter().map(|(name, text)| (name, one("a.yaml", text))).collect();
        check(&shapes);
    }
}

/// Just within what one object may have: what comes of it is there as a whole.
#[test]
fn large_objects_take_no_more_than_they_may() {
    if !is_root("large_objects_take_no_more_than_they_may") {
        return;
    }
    let dataplane_with = |field: &str, entries: &str| {
        let comment = "#\n".repeat(SIZE.saturating_sub(entries.len()) / 2);
        let start = format!("type: Dataplane\nname: a\nnetworking: {{address: 192.0.2.1, {field}: [");
        one("a.yaml", format!("{start}{entries}]}}\n{comment}"))
    };
    let dataplane = |inbounds: &str| dataplane_with("inbound", inbounds);
    let tags = (0..100_000).map(|i| format!("k{i}: v")).collect::<Vec<_>>().join(",");
    check(&[
        ("short violations", one("a.yaml", to("    - {}\n"))),
        (
            "a map of tags",
            dataplane(&format!(
                "{{port: 1, tags: {{kuma.io/service: s, {}}}}}",
                numbered(|i| format!("k{i}: v,"))
            )),
        ),
        ("inbounds with a tag", dataplane(&"{tags: {a: b}},".repeat(40_000))),
        ("outbounds with a backendRef", dataplane_with("outbound", &"{backendRef: {}},".repeat(40_000))),
        ("outbounds with a tag", dataplane_with("outbound", &"{tags: {a: b}},".repeat(65_536))),
        ("inbounds with a tag, refused", dataplane(&"{tags: {a: b}},".repeat(50_000))),
        (
            "tags",
            one(
                "a.yaml",
                format!(
                    "type: Dataplane\nname: a\nnetworking:\n  address: 192.0.2.1\n  inbound:\n  - port: 1\n    tags: {{kuma.io/service: s, {tags}}}\n"
                ),
            ),
        ),
    ]);
}

#[test]
fn large_meshes_take_a_few_times_their_size() {
    if !is_root("large_meshes_take_a_few_times_their_size") {
        return;
    }
    let objects = mesh();
    let document = |object: &Value| {
        let mut text = String::new();
        yaml(object, 0, &mut text);
        text
    };
    let list = |items: &[Value]| {
        let mut text = String::new();
        for item in items {
            entry(item, 0, &mut text);
        }
        text
    };
    let rest = json!({"items": objects, "next": null, "total": objects.len()});
    let kubernetes: Vec<Value> = objects.iter().map(as_kubernetes).collect();
    let json_list = json!({"apiVersion": "v1", "items": kubernetes, "kind": "List"});
    let many = objects.iter().enumerate().map(|(i, object)| (format!("{i:05}.yaml"), document(object)));
    check(&[
        ("YAML documents", one("a.yaml", objects.iter().map(|object| document(object) + "---\n").collect())),
        ("kumactl get -o json", one("a.json", serde_json::to_string_pretty(&rest).unwrap())),
        ("the same without spaces", one("a.json", rest.to_string())),
        ("kumactl get -o yaml", one("a.yaml", format!("items:\n{}next: null\ntotal: 1\n", list(&objects)))),
        ("kubectl get -o json", one("a.json", serde_json::to_string_pretty(&json_list).unwrap())),
        (
            "kubectl get -o yaml",
            one("a.yaml", format!("apiVersion: v1\nitems:\n{}kind: List\n", list(&kubernetes))),
        ),
        ("many files", many.collect()),
    ]);
}
