//! The Helm chart in `deploy/`: what of it is made from the code, and what of it says the same twice.

use std::{any::TypeId, collections::BTreeMap, env, fs, time::Duration};

use clap::{Arg, ArgAction, Command, CommandFactory as _, error::ErrorKind};
use serde_json::{Map, Value, json};
use tcproute::{
    cli::Cli,
    sources::kubernetes::rbac::{EVENT_RULES, cluster_rules, system_rules},
};

use crate::{command_line::WRITE, pages::root};

const CHART: &str = "deploy/helm/tcproute";

/// What the templates set, by what they mount or by other values.
const OF_THE_CHART: [&str; 11] = [
    "admin-socket",
    "bpffs",
    "config",
    "metrics-client-ca",
    "metrics-insecure",
    "metrics-listen",
    "metrics-tls-cert",
    "metrics-tls-key",
    "metrics-token-file",
    "node-name",
    "state-dir",
];

fn read(file: &str) -> String {
    let path = root().join(CHART).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of the chart is this text. `cargo xtask docs` writes it anew.
pub(crate) fn is_current(file: &str, text: &str) {
    if env::var_os(WRITE).is_some() {
        fs::write(root().join(CHART).join(file), text).unwrap();
        return;
    }
    assert!(read(file) == text, "{CHART}/{file} is of another day: run `cargo xtask docs`");
}

#[test]
fn the_rules_of_the_chart_for_the_api_server_are_those_of_the_code() {
    is_current("files/cluster-rules.yaml", &cluster_rules());
    is_current("files/event-rules.yaml", EVENT_RULES);
    is_current("files/system-rules.yaml", &system_rules());
}

#[test]
fn the_settings_of_the_chart_are_the_flags_of_the_daemon() {
    let mut schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    schema["properties"]["config"]["properties"] = Value::Object(settings());
    is_current("values.schema.json", &(serde_json::to_string_pretty(&schema).unwrap() + "\n"));
}

/// What each flag of `run` may be in the configuration file.
fn settings() -> Map<String, Value> {
    let mut cli = Cli::command();
    cli.build();
    let run = cli.find_subcommand("run").unwrap();
    let flags = run.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    let flags = flags.filter(|(flag, _)| *flag != "help" && !OF_THE_CHART.contains(flag));
    flags.map(|(flag, arg)| (flag.to_owned(), setting(&cli, flag, arg))).collect()
}

fn setting(cli: &Command, flag: &str, arg: &Arg) -> Value {
    let mut schema = one(cli, flag, arg);
    if matches!(arg.get_action(), ArgAction::Append) {
        schema = json!({"anyOf": [schema, {"type": "array", "items": schema}]});
        if arg.get_value_names().is_some_and(|names| names.iter().any(|name| name.contains('='))) {
            let pairs = json!({"type": "object", "additionalProperties": {"type": "string"}});
            schema["anyOf"].as_array_mut().unwrap().push(pairs);
        }
    }
    let help = arg.get_long_help().or(arg.get_help()).unwrap().to_string();
    schema["description"] = json!(help.replace('\n', " "));
    schema
}

/// What one value of a flag may be.
fn one(cli: &Command, flag: &str, arg: &Arg) -> Value {
    let of = arg.get_value_parser().type_id();
    if !arg.get_action().takes_values() || of == TypeId::of::<bool>() {
        return json!({"type": "boolean"});
    }
    let names: Vec<_> = arg.get_possible_values().iter().map(|it| it.get_name().to_owned()).collect();
    if !names.is_empty() {
        let mut all: Vec<Value> = names.iter().map(|name| json!(name)).collect();
        // Helm reads these words as what they mean.
        let words = [("on", true), ("off", false)];
        let meant = words.iter().filter(|(word, _)| names.iter().any(|name| name == word));
        all.extend(meant.map(|(_, meant)| json!(meant)));
        return json!({"enum": all});
    }
    if of == TypeId::of::<u32>() || of == TypeId::of::<u64>() {
        assert!(is_taken(cli, flag, "1"), "--{flag}");
        let least = u32::from(!is_taken(cli, flag, "0"));
        return json!({"type": "integer", "minimum": least});
    }
    if of == TypeId::of::<Duration>() {
        return json!({"anyOf": [
            {"type": "number", "minimum": 0.1, "maximum": 86400},
            {"type": "string", "pattern": "^[0-9]+([.][0-9]+)?s?$"},
        ]});
    }
    json!({"type": "string", "minLength": 1})
}

/// Whether a flag may have this value, whatever else may be missing.
fn is_taken(cli: &Command, flag: &str, value: &str) -> bool {
    let given = cli.clone().try_get_matches_from(["tcproute", "run", &format!("--{flag}={value}")]);
    given
        .err()
        .is_none_or(|error| !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue))
}

/// Words that Helm takes for booleans are words again in the file.
#[test]
fn settings_that_are_on_or_off_are_known_to_the_templates() {
    let is_so =
        |schema: &Value| schema["enum"].as_array().is_some_and(|all| all.iter().any(Value::is_boolean));
    let names: Vec<String> =
        settings().iter().filter(|(_, schema)| is_so(schema)).map(|(name, _)| format!("{name:?}")).collect();
    assert!(!names.is_empty());
    let listed = format!("(has $flag (list {}))", names.join(" "));
    assert!(read("templates/_helpers.tpl").contains(&listed), "_helpers.tpl does not have {listed}");
}

#[test]
fn the_version_of_the_chart_is_that_of_the_binary() {
    let chart: Value = serde_yaml::from_str(&read("Chart.yaml")).unwrap();
    let version = json!(env!("CARGO_PKG_VERSION"));
    assert_eq!((&chart["version"], &chart["appVersion"]), (&version, &version));
}

/// The first two cells of each row of the README's table: a value's name and its default, as JSON.
fn table() -> BTreeMap<String, Value> {
    let readme = read("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | `"));
    let row = |(name, rest): (&str, &str)| {
        let default = rest.split_once("` |").unwrap_or_else(|| panic!("{name}: no default")).0;
        let default = serde_json::from_str(default).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name.to_owned(), default)
    };
    rows.map(row).collect()
}

#[test]
fn each_value_is_in_the_readme_and_in_the_schema() {
    let values: Value = serde_yaml::from_str(&read("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let mut missing = table();
    let at = |name: &str| name.split('.').fold(&values, |value, part| &value[part]).clone();
    for (name, default) in &missing {
        assert_eq!(at(name), *default, "the default of {name} is another one");
    }
    leaves("", &values, &schema, &mut missing);
    assert!(missing.is_empty(), "README.md of the chart explains what is no value: {missing:?}");
}

/// Takes each value away from what is explained, or what it is in.
fn leaves(name: &str, value: &Value, schema: &Value, explained: &mut BTreeMap<String, Value>) {
    if explained.remove(name).is_some() {
        return;
    }
    let fields = value.as_object().filter(|fields| !fields.is_empty());
    let fields = fields.unwrap_or_else(|| panic!("README.md of the chart does not explain {name}"));
    assert_eq!(schema["additionalProperties"], false, "{name}");
    let known = schema["properties"].as_object().unwrap();
    // What parents hand down has no default.
    let without = known.keys().filter(|key| !fields.contains_key(*key) && *key != "global");
    assert_eq!(without.collect::<Vec<_>>(), Vec::<&String>::new(), "values.yaml lacks them in {name:?}");
    for (key, value) in fields {
        let schema = known.get(key).unwrap_or_else(|| panic!("the schema does not know {name}.{key}"));
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        leaves(&name, value, schema, explained);
    }
}
