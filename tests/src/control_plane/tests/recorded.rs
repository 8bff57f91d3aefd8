//! Answers held against those of real control planes, which are recorded beside the project.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::super::{Options, Request, Version, answer::answer, state::State};

/// What is asked while everything is there that was put.
const READING: &[&str] = &[
    "bad-token",
    "bad-token-index",
    "dataplane",
    "dataplane-404",
    "dataplanes-all-meshes",
    "dataplanes-host-header",
    "dataplanes-of-unknown-mesh",
    "dataplanes-offset-bad",
    "dataplanes-offset-past-end",
    "dataplanes-page-1",
    "dataplanes-page-2",
    "dataplanes-page-3",
    "dataplanes-size-0",
    "dataplanes-size-bad",
    "dataplanes-size-too-big",
    "external-services",
    "externalservices-wrong-path",
    "filter-by-name",
    "global-secrets-without-token",
    "head",
    "hostnamegenerators",
    "index",
    "mesh",
    "mesh-404",
    "meshes",
    "meshexternalservices",
    "meshhttproutes",
    "meshidentities",
    "meshmultizoneservices",
    "meshservices",
    "meshtcproute",
    "meshtcproutes",
    "meshtlses",
    "post",
    "put-name-mismatch",
    "put-no-json",
    "put-unknown-mesh",
    "secrets-without-token",
    "traffic-routes",
    "unknown-path",
    "versions",
    "who-am-i",
    "zone-egresses",
    "zone-ingresses",
    "zoneingresses-other-path",
    "zones",
];

/// Lists by which it is known what had been put.
const HELD: &[&str] = &[
    "meshes",
    "dataplanes-page-1",
    "dataplanes-page-2",
    "dataplanes-page-3",
    "external-services",
    "meshhttproutes",
    "meshservices",
    "meshexternalservices",
    "meshmultizoneservices",
    "hostnamegenerators",
];

#[test]
fn answers_are_as_recorded() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/oracle/rest");
    if !records.is_dir() {
        println!("SKIPPED answers_are_as_recorded: nothing is recorded in {}", records.display());
        return;
    }
    for version in Version::ALL {
        let recorded = Recorded { version, directory: records.join(version.number()) };
        let mut state = recorded.state();
        recorded.check(&mut state, "empty-list");
        for change in ["put-created", "put-updated"] {
            recorded.check(&mut state, change);
        }
        for name in READING {
            recorded.check(&mut state, name);
        }
        for change in ["delete", "delete-404"] {
            recorded.check(&mut state, change);
        }
    }
}

struct Recorded {
    version: Version,
    directory: PathBuf,
}

impl Recorded {
    fn read(&self, name: &str) -> Value {
        let file = self.directory.join(format!("{name}.json"));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_json::from_str(&text).expect("a record is JSON")
    }

    /// Holds what the recorded one held, in the order in which it had been put.
    fn state(&self) -> State {
        let lists = HELD.iter().map(|name| self.read(name));
        let mut items: Vec<Value> =
            lists.flat_map(|list| list["body"]["items"].as_array().cloned().unwrap_or_default()).collect();
        items.sort_by_key(|item| item["creationTime"].as_str().map(str::to_owned));
        let mut state = State::new(Options::of(self.version));
        for mut item in items {
            let labels = item.get_mut("labels").and_then(Value::as_object_mut);
            // What it writes itself it is to write again; a HostnameGenerator comes with its label.
            if let Some(labels) = labels {
                let own = ["env", "mesh", "zone", "proxy-type"].map(|name| format!("kuma.io/{name}"));
                labels.retain(|key, _| !own.contains(key));
            }
            state.put(&item);
        }
        state
    }

    fn check(&self, state: &mut State, name: &str) {
        let record = self.read(name);
        let (method, path) =
            record["request"].as_str().and_then(|it| it.split_once(' ')).expect("it is a request");
        let header = |name: &str| record["requestHeaders"][name].as_str().map(str::to_owned);
        let host = header("Host").unwrap_or_else(|| "127.0.0.1:5681".into());
        let authorization = header("Authorization");
        let request = Request { method: method.into(), authorization, ..Request::get(path, &host) };
        let body = match &record["requestBody"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            body => body.to_string(),
        };
        let answer = answer(&mut state.store, &state.options, &request, body.as_bytes());
        let place = format!("{} {name}", self.version.number());
        assert_eq!(json!(answer.status), record["status"], "{place}: {answer:?}");
        assert_eq!(json!(answer.content_type), record["headers"]["Content-Type"], "{place}");
        assert_eq!(json!(answer.allow), record["headers"]["Allow"], "{place}");
        let told = match answer.content_type {
            Some("application/json") => serde_json::from_str(&answer.body()).expect("it is JSON"),
            // Hyper sends no body where none may be.
            Some(_) if method != "HEAD" => json!({"text": answer.body()}),
            _ => Value::Null,
        };
        assert_eq!(timeless(told), timeless(record["body"].clone()), "{place}");
    }
}

/// Without what differs from run to run.
fn timeless(mut value: Value) -> Value {
    fn clear(fields: &mut Map<String, Value>) {
        fields.remove("creationTime");
        fields.remove("modificationTime");
    }
    value.as_object_mut().into_iter().for_each(clear);
    let items = value.get_mut("items").and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut).for_each(clear);
    value
}
