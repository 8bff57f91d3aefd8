//! `tcproute validate`: every violation of every file in one run, for people and for programs. Needs no root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs::{self, File},
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tcproute_tests::tcproute::binary;

/// Files in a directory of their own, in which the binary is run.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("validate").args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn validate(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The lines of standard output, and standard error, of input that is invalid.
    fn violations(&self, arguments: &[&str]) -> (Vec<String>, String) {
        let output = self.validate(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let lines = text(&output.stdout).lines().map(str::to_owned).collect();
        (lines, text(&output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.validate(&[arguments, &["--output", "json"]].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(if report["valid"] == true { 0 } else { 2 }), "{output:?}");
        report
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const ROUTE: &str = "\
type: MeshTCPRoute
name: split
mesh: default
spec:
  targetRef: {kind: Mesh}
  to:
    - targetRef: {kind: MeshService, name: backend}
      rules:
        - default:
            backendRefs:
              - kind: MeshService
                name: backend
                weight: 1
";

const MESH: &str = "type: Mesh\nname: default\n";

#[test]
fn valid_files_are_counted() {
    let files = Files::new(&[("a.yaml", &format!("{ROUTE}---\n{MESH}")), ("b.yaml", "# nothing\n")]);
    let output = files.validate(&["a.yaml", "b.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "2 files, 2 resources: valid\n");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(files.json(&["."]), json!({"valid": true, "files": 2, "resources": 2, "violations": []}));
}

#[test]
fn every_violation_of_every_file_is_told_in_one_run() {
    let route = ROUTE.replace("weight", "wieght").replace("name: split", "name: [1]\nmesh: a");
    let broken = "type: Mehs\n---\ntype: Mesh\nname: [a\n";
    let files = Files::new(&[("a.yaml", &route), ("b.yaml", MESH), ("c.yaml", broken)]);
    let (lines, summary) = files.violations(&["a.yaml", "b.yaml", "c.yaml", "no.yaml"]);
    let reference = "spec.to[0].rules[0].default.backendRefs[0]";
    assert_eq!(
        lines,
        [
            "no.yaml: cannot read: No such file or directory (os error 2)",
            "a.yaml:2:7: name: invalid type: sequence, expected a string",
            "a.yaml:4:1: the key `mesh` is there twice",
            &format!("a.yaml:14:17: {reference}: unknown field `wieght`, did you mean `weight`?"),
            "c.yaml:1:7: type: unknown kind \"Mehs\", did you mean \"Mesh\"?",
            "c.yaml:5:1: while parsing a flow sequence, expected ',' or ']'",
        ]
    );
    assert_eq!(summary, "error: 6 violations in 3 of 4 files\n");
}

#[test]
fn json_has_the_parts_of_each_violation() {
    let route = ROUTE.replace("weight: 1", "weight: -1\n                wieght: 1");
    let files = Files::new(&[("a.yaml", &route), ("b.yaml", "apiVersion: kuma.io/v1alpha1\nkind: Mehs\n")]);
    File::create(files.0.path().join("c.yaml")).unwrap().set_len(100 << 20).unwrap();
    let reference = "spec.to[0].rules[0].default.backendRefs[0]";
    assert_eq!(
        files.json(&["."]),
        json!({
            "valid": false,
            "files": 3,
            "resources": 1,
            "violations": [
                {
                    "file": "./a.yaml",
                    "line": 13,
                    "column": 25,
                    "path": format!("{reference}.weight"),
                    "message": "must be an integer from 0 to 4294967295",
                },
                {
                    "file": "./a.yaml",
                    "line": 14,
                    "column": 17,
                    "path": reference,
                    "message": "unknown field `wieght`, did you mean `weight`?",
                    "suggestion": "weight",
                },
                {
                    "file": "./b.yaml",
                    "line": 2,
                    "column": 7,
                    "path": "kind",
                    "message": "unknown kind \"Mehs\", did you mean \"Mesh\"?",
                    "suggestion": "Mesh",
                },
                {
                    "file": "./c.yaml",
                    "line": null,
                    "column": null,
                    "path": "",
                    "message": "is larger than 64 MiB",
                },
            ],
        })
    );
}

#[test]
fn resources_are_checked_in_lists_and_in_json() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}},
  {"apiVersion": "kuma.io/v1alpha1", "kind": "MeshTCPRoute", "metadata": {"name": "r"},
   "spec": {"targetRef": {"kind": "Mesh", "name": "x"}}}
]}"#;
    let files = Files::new(&[("list.json", list)]);
    assert_eq!(
        files.violations(&["list.json"]),
        (
            vec!["list.json:4:51: items[1].spec.targetRef.name: must not be set with kind Mesh".to_owned()],
            "error: 1 violation in 1 of 1 file\n".to_owned()
        )
    );
}

#[test]
fn anchors_and_comments_and_line_ends_of_other_systems_are_no_violations() {
    let aliased = ROUTE.replace("{kind: Mesh}", "&top {kind: Mesh} # all of them");
    let other = "---\ntype: MeshTCPRoute\nname: other\nspec: {targetRef: &top {kind: Mesh}}\n# end\n";
    let windows = format!("\u{feff}{aliased}{other}").replace('\n', "\r\n");
    let files = Files::new(&[("a.yaml", &windows)]);
    assert_eq!(files.json(&["a.yaml"])["resources"], 2);
    let wrong = windows.replace("weight: 1", "weight: x");
    let files = Files::new(&[("a.yaml", &wrong)]);
    let (lines, _) = files.violations(&["a.yaml"]);
    assert!(lines[0].starts_with("a.yaml:13:25: ") && lines.len() == 1, "{lines:?}");
}

#[test]
fn a_resource_in_two_files_names_both_places() {
    let files = Files::new(&[("a.yaml", MESH), ("b.yaml", &format!("{ROUTE}---\n{MESH}"))]);
    let (lines, _) = files.violations(&["a.yaml", "b.yaml"]);
    assert_eq!(lines, ["b.yaml:16:7: Mesh default is already defined at a.yaml:2:7"]);
}

#[test]
fn an_alias_bomb_is_refused() {
    let levels: Vec<String> = (1..30)
        .map(|i| format!("a{i}: &a{i} [{}]\n", [format!("*a{}", i - 1).as_str(); 9].join(",")))
        .collect();
    let files = Files::new(&[("a.yaml", &format!("a0: &a0 [x]\n{}", levels.concat()))]);
    let (lines, _) = files.violations(&["a.yaml"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("aliases of the document stand for more than 500000 values"), "{lines:?}");
}

#[test]
fn standard_input_is_a_file() {
    let files = Files::new(&[]);
    let mut child = files
        .command(&["-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"type: Mesh\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "/dev/stdin:1:1: name: must be set\n");
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let files =
        Files::new(&[("a.yaml", &format!("type: Mehs\n# {}\n---\n", "long".repeat(30)).repeat(10_000))]);
    for format in ["text", "json"] {
        let mut child = files
            .command(&["a.yaml", "--output", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(text(&output.stderr), "error: 10000 violations in 1 of 1 file\n");
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let files = Files::new(&[("a.yaml", MESH)]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = files.command(&["a.yaml"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("No space left"), "{output:?}");
}

#[test]
fn paths_must_be_named() {
    assert_eq!(Files::new(&[]).validate(&[]).status.code(), Some(2));
}
