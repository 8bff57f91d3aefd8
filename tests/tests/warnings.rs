//! `tcproute validate`: what is valid and surely not meant, in each format, and what CI and pre-commit make of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tcproute_tests::tcproute::binary;

/// Runs in a directory that has these files in `mesh`.
fn validate(files: &[(&str, &str)], arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mesh = directory.path().join("mesh");
    fs::create_dir(&mesh).unwrap();
    for (name, text) in files {
        fs::write(mesh.join(name), text).unwrap();
    }
    let mut command = Command::new(binary());
    command.arg("validate").args(arguments).current_dir(directory.path()).stdin(Stdio::null());
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

const SPLIT: &str = "\
type: MeshTCPRoute
name: split
spec:
  targetRef: {kind: Mesh}
  to:
    - targetRef: {kind: MeshService, name: backend}
      rules:
        - default:
            backendRefs:
              - {kind: MeshService, name: backend, weight: 90}
              - kind: MeshService
                name: other
                weight: 1
";

/// In a list, as a tool prints it.
const LIST: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "kuma.io/v1alpha1", "kind": "MeshTCPRoute", "metadata": {"name": "listed", "namespace": "shop"},
   "spec": {"targetRef": {"kind": "Mesh"}, "to": [{
     "targetRef": {"kind": "MeshService", "name": "cache"},
     "rules": [{"default": {"backendRefs": [{"kind": "MeshService", "name": "cache", "weight": 0}]}}]}]}}
]}"#;

const DATAPLANE: &str = "\
apiVersion: kuma.io/v1alpha1
kind: Dataplane
metadata: {name: web, namespace: shop}
mesh: default
spec:
  networking:
    address: 10.0.0.1
    inbound:
      - {port: 80, tags: {kuma.io/service: web}}
    outbound:
      - port: 1000
        tags: {kuma.io/service: databsae}
---
type: Dataplane
name: database-1
networking:
  address: 10.0.0.2
  inbound: [{port: 5432, tags: {kuma.io/service: database}}]
";

const ALL: [(&str, &str); 3] = [("a.yaml", SPLIT), ("b.json", LIST), ("c.yaml", DATAPLANE)];

#[test]
fn each_has_its_code_and_its_place() {
    let output = validate(&ALL, &["mesh"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let refs = "spec.to[0].rules[0].default.backendRefs";
    assert_eq!(
        stdout(&output).lines().collect::<Vec<_>>(),
        [
            format!(
                "warning: mesh/a.yaml:10:15: {refs}: 90 + 1 is 91: it looks like percent, and is not 100; \
                 let the weights come to 100 (TCP008)"
            ),
            format!(
                "warning: mesh/b.json:5:44: items[0].{refs}: all weights are 0: every connection to cache is refused; \
                 give one backendRef a weight (TCP001)"
            ),
            "warning: mesh/c.yaml:12:15: spec.networking.outbound[0].tags: nobody serves databsae, which differs by \
             a letter from database; mend the name (TCP009)"
                .to_owned(),
            "3 files, 4 resources: valid, 3 warnings".to_owned(),
        ]
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn warnings_may_count_as_errors() {
    for format in ["text", "json", "sarif", "github"] {
        let output = validate(&ALL, &["mesh", "--warnings-as-errors", "--output", format]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "error: 3 warnings\n");
        let output = validate(&ALL, &["mesh", "--output", format]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let good = SPLIT.replace("weight: 1\n", "weight: 10\n");
        let output = validate(&[("a.yaml", &good)], &["mesh", "--warnings-as-errors", "--output", format]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn json_has_the_parts_of_each_warning() {
    let report = json(&validate(&ALL[..1], &["mesh", "--output", "json"]));
    assert_eq!(report["valid"], true);
    assert_eq!(
        report["warnings"],
        json!([{
            "code": "TCP008",
            "kind": "MeshTCPRoute",
            "mesh": "default",
            "name": "split",
            "file": "mesh/a.yaml",
            "line": 10,
            "column": 15,
            "path": "spec.to[0].rules[0].default.backendRefs",
            "message": "90 + 1 is 91: it looks like percent, and is not 100",
            "remedy": "let the weights come to 100",
        }])
    );
}

/// What the schema of SARIF 2.1.0 demands of what is written here.
fn check_sarif(log: &Value) {
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().ends_with("sarif-schema-2.1.0.json"));
    for run in log["runs"].as_array().unwrap() {
        assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&run["columnKind"].as_str().unwrap()));
        let driver = &run["tool"]["driver"];
        assert!(driver["name"].is_string() && driver["version"].is_string());
        let rules = driver["rules"].as_array().unwrap();
        for rule in rules {
            assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string(), "{rule}");
        }
        for result in run["results"].as_array().unwrap() {
            assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[rule]["id"], result["ruleId"]);
            for location in result["locations"].as_array().unwrap() {
                let Some(physical) = location.get("physicalLocation") else { continue };
                let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
                assert!(!uri.contains([' ', '\\']), "{uri}");
                if let Some(region) = physical.get("region") {
                    assert!(
                        region["startLine"].as_u64() >= Some(1) && region["startColumn"].as_u64() >= Some(1)
                    );
                }
            }
        }
    }
}

#[test]
fn sarif_has_violations_and_warnings() {
    let bad = SPLIT.replace("name: split", "name: bad").replace("weight: 1\n", "wieght: 1\n");
    let files = [("a b.yaml", SPLIT), ("bad.yaml", &bad), ("other.yaml", "type: MeshUDPRoute\nname: x\n")];
    let output = validate(&files, &["mesh", "--output", "sarif"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let log = json(&output);
    check_sarif(&log);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let outline: Vec<_> = results
        .iter()
        .map(|result| {
            let place = &result["locations"][0]["physicalLocation"];
            let [uri, line] =
                ["/artifactLocation/uri", "/region/startLine"].map(|at| place.pointer(at).unwrap());
            format!("{} {} {uri} {line}", result["ruleId"], result["level"]).replace('"', "")
        })
        .collect();
    assert_eq!(
        outline,
        [
            "violation error mesh/bad.yaml 13",
            "TCP008 warning mesh/a%20b.yaml 10",
            "note note mesh/other.yaml 1"
        ]
    );
    let object = &results[1]["locations"][0]["logicalLocations"][0]["fullyQualifiedName"];
    assert_eq!(object, "MeshTCPRoute split of mesh default");
    let strict = json(&validate(&files, &["mesh", "--output", "sarif", "--warnings-as-errors"]));
    assert_eq!(strict["runs"][0]["results"][1]["level"], "error");
}

#[test]
fn github_is_told_by_commands() {
    let bad = SPLIT.replace("name: split", "name: bad").replace("weight: 1\n", "weight: '%0A'\n");
    let output = validate(&[("a.yaml", SPLIT), ("b,c.yaml", &bad)], &["mesh", "--output", "github"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let refs = "spec.to[0].rules[0].default.backendRefs";
    let told = stdout(&output);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    let violation =
        format!("::error file=mesh/b%2Cc.yaml,line=13,col=25,title=violation::{refs}[1].weight: ");
    assert!(lines[0].starts_with(&violation), "{told}");
    assert_eq!(
        lines[1],
        format!(
            "::warning file=mesh/a.yaml,line=10,col=15,title=TCP008::{refs}: 90 + 1 is 91: it looks like percent, \
             and is not 100; let the weights come to 100"
        )
    );
    let good = validate(&ALL[1..2], &["mesh", "--output", "github", "--warnings-as-errors"]);
    assert!(stdout(&good).starts_with("::error file=mesh/b.json,line=5,"), "{good:?}");
}

#[test]
fn what_is_refused_is_not_missed() {
    let of_backend = "type: Dataplane\nname: NAME\nnetworking:\n  address: 10.0.0.1\n  inbound: \
                      [{port: 80, tags: {kuma.io/service: backend}}]\n";
    let warnings = |other: &str| {
        let files = [("a.yaml", SPLIT), ("b.yaml", &of_backend.replace("NAME", "b")), ("c.yaml", other)];
        let report = json(&validate(&files, &["mesh", "--output", "json"]));
        let codes =
            report["warnings"].as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap().to_owned());
        codes.collect::<Vec<_>>()
    };
    assert_eq!(warnings("type: Mesh\nname: default\n"), ["TCP008", "TCP002"]);
    let refused = of_backend.replace("NAME", "c").replace("address: 10.0.0.1", "address: 0.0.0.0");
    assert_eq!(warnings(&refused), ["TCP008"], "the Dataplane that is refused might be the other");
}

#[test]
fn files_beside_a_source_of_files_are_judged_with_it() {
    let known = "type: Dataplane\nname: web\nnetworking:\n  address: 10.0.0.1\n  inbound: [{port: 80, tags: \
                 {kuma.io/service: web}}]\n  outbound: [{port: 1000, tags: {kuma.io/service: backend}}]\n";
    let route =
        SPLIT.replace("{kind: Mesh}", "{kind: MeshService, name: wbe-1}").replace("weight: 90", "weight: 99");
    let files = [("known.yaml", known), ("mesh.yaml", "type: Mesh\nname: default\n"), ("new.yaml", &route)];
    let source = ["--source", "files", "--resources", "mesh/known.yaml", "mesh/mesh.yaml"];
    let alone = validate(&files, &["mesh/new.yaml", "--output", "json"]);
    assert_eq!(json(&alone).get("warnings"), None, "{alone:?}");
    let applied = validate(&files, &[&["mesh/new.yaml", "--output", "json"][..], &source].concat());
    let report = json(&applied);
    assert_eq!(report["warnings"][0]["code"], "TCP003", "{report}");
    assert_eq!(report["warnings"][0]["file"], "mesh/new.yaml");
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn yaml(file: &str) -> serde_yaml::Value {
    serde_yaml::from_str(&fs::read_to_string(root().join(file)).unwrap()).unwrap()
}

/// Commands of CI and of pre-commit, of which those that a list does not say end with the directory `mesh`.
fn commands() -> Vec<String> {
    let workflow = yaml("examples/ci/github-workflow.yaml");
    let steps = workflow["jobs"]["validate"]["steps"].as_sequence().unwrap();
    let runs = steps.iter().filter_map(|step| step["run"].as_str());
    let mut commands: Vec<String> =
        runs.filter(|run| run.starts_with("tcproute ")).map(str::to_owned).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for hook in yaml(".pre-commit-hooks.yaml").as_sequence().unwrap() {
        assert_eq!(hook["language"], "system");
        assert_eq!(hook["pass_filenames"], false, "what belongs together is judged together");
        commands.push(format!("{} mesh", hook["entry"].as_str().unwrap()));
    }
    let page = fs::read_to_string(root().join("docs/guide/check-files.md")).unwrap();
    let own = page.lines().filter_map(|line| line.trim().strip_prefix("entry: "));
    commands.extend(own.map(str::to_owned));
    assert_eq!(commands.len(), 4, "{commands:?}");
    commands
}

/// The files of each example that are valid together.
const EXAMPLES: [&[&str]; 10] = [
    &["split-universal.yaml"],
    &["split-kubernetes.yaml"],
    &["redirect-universal.yaml"],
    &["redirect-kubernetes.yaml"],
    &["canary/universal.yaml"],
    &["redirect-to-external-service/universal.yaml"],
    &["by-zone/universal.yaml"],
    &["per-client/universal.yaml"],
    &["blue-green/mesh.yaml", "blue-green/green.yaml"],
    &["database-failover/mesh.yaml", "database-failover/standby.yaml"],
];

#[test]
fn what_ci_and_pre_commit_run_takes_the_examples_without_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let bin = directory.path().join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(fs::canonicalize(binary()).unwrap(), bin.join("tcproute")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mesh = directory.path().join("mesh");
    for files in EXAMPLES {
        fs::create_dir(&mesh).unwrap();
        for (i, file) in files.iter().enumerate() {
            fs::copy(root().join("examples").join(file), mesh.join(format!("{i}.yaml"))).unwrap();
        }
        for command in commands() {
            let mut shell = Command::new("sh");
            shell.args(["-c", &command]).env("PATH", &path).current_dir(directory.path());
            let output = shell.output().unwrap();
            assert!(output.status.success(), "{files:?}: {command}: {output:?}");
        }
        let log: Value =
            serde_json::from_slice(&fs::read(directory.path().join("tcproute.sarif")).unwrap()).unwrap();
        check_sarif(&log);
        assert_eq!(log["runs"][0]["results"], json!([]), "{files:?}");
        fs::remove_dir_all(&mesh).unwrap();
    }
    // And they fail where there is something to tell.
    fs::create_dir(&mesh).unwrap();
    fs::write(mesh.join("a.yaml"), SPLIT).unwrap();
    for command in commands() {
        let mut shell = Command::new("sh");
        let output =
            shell.args(["-c", &command]).env("PATH", &path).current_dir(directory.path()).output().unwrap();
        let expected = if command.contains("--warnings-as-errors") { 2 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{command}: {output:?}");
    }
}
