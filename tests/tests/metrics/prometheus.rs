//! What Prometheus makes of it: a real one scrapes a real daemon, and each panel of the dashboard has something to
//! show.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tcproute_tests::{
    client::ask,
    is_root,
    prometheus::{Prometheus, is_there, promtool},
    replace, wait_for,
};

use super::fixture::{Setup, bearer};

fn dashboards(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/dashboards").join(file)
}

#[test]
fn the_rules_tell_what_is_wrong_and_only_that() {
    if !is_there("the_rules_tell_what_is_wrong_and_only_that") {
        return;
    }
    for (what, file) in [("check", "tcproute.rules.yaml"), ("test", "tcproute.rules.test.yaml")] {
        let path = dashboards(file).display().to_string();
        let said = promtool(&[what, "rules", &path], Stdio::null());
        assert!(said.as_ref().is_ok_and(|said| said.contains("SUCCESS")), "{said:?}");
    }
}

/// The queries of the dashboard, as Grafana would send them.
fn queries() -> Vec<String> {
    let text = fs::read_to_string(dashboards("tcproute.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let mut queries: Vec<String> =
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<&Value> = variables.iter().filter(|it| it["type"] == "query").collect();
    for variable in &variables {
        let series = variable["definition"].as_str().unwrap().trim_start_matches("label_values(");
        queries.push(series.rsplit_once(',').unwrap().0.to_owned());
    }
    let names: Vec<String> =
        variables.iter().map(|variable| format!("${}", variable["name"].as_str().unwrap())).collect();
    let asked = |query: String| {
        let query = query.replace("$__rate_interval", "30s");
        names.iter().fold(query, |query, name| query.replace(name, ".*"))
    };
    let queries: Vec<String> = queries.into_iter().map(asked).collect();
    assert!(queries.iter().all(|query| !query.contains('$')), "{queries:#?}");
    queries
}

#[test]
fn a_real_prometheus_scrapes_and_each_query_of_the_dashboard_has_data() {
    const TEST: &str = "a_real_prometheus_scrapes_and_each_query_of_the_dashboard_has_data";
    if !is_root(TEST) || !is_there(TEST) {
        return;
    }
    let setup = Setup::new();
    let token = setup.write("token", "secret").display().to_string();
    let more = ["--metrics-token-file", &token, "--eject-after", "3", "--drain", "5"].map(str::to_owned);
    let daemon = setup.daemon(&[&setup.tls()[..], &more].concat());
    let scraped = setup.address;
    let config = setup.write(
        "prometheus.yaml",
        &format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n\
             - job_name: tcproute\n  scheme: https\n  tls_config: {{ca_file: '{}'}}\n  \
             authorization: {{credentials_file: '{token}'}}\n  static_configs: [{{targets: ['{scraped}']}}]\n",
            dashboards("tcproute.rules.yaml").display(),
            setup.at("ca.pem").display(),
        ),
    );
    let prometheus = Prometheus::start(SocketAddr::new(scraped.ip(), 9090), &config);

    // One resource that cannot be used, and another one that changes until all is there.
    let wrong = "---\ntype: MeshTCPRoute\nmesh: default\nname: wrong\nspec: 1\n---\ntype: Mesh\nname: other-";
    let (file, text) = (setup.route.mesh.file(), setup.route.mesh.text() + wrong);
    let mut made = 0;
    for query in queries() {
        let mut answered = Vec::new();
        wait_for(&format!("{query} has data"), || {
            answered = prometheus.values(&query);
            let has_data = answered.iter().any(|value| value.is_finite());
            if !has_data {
                replace(&file, &format!("{text}{made}\n"));
                made += ask(&setup.cgroup, setup.route.dialled, 5).values().sum::<u64>();
            }
            has_data
        });
        println!("{} values, such as {:?}, of {query}", answered.len(), answered.first());
    }
    let routed = "tcproute_decisions_total{decision=\"routed\"}";
    #[expect(clippy::cast_precision_loss, reason = "they are few")]
    let made = made as f64;
    wait_for("all connections are counted", || prometheus.values(routed) == [made]);
    assert_eq!(prometheus.values("up"), [1.0]);

    let rules = prometheus.api("rules", None);
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 10 && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:#?}");
    let rejected = rules.iter().find(|rule| rule["name"] == "TcprouteResourcesRejected").unwrap();
    assert_eq!(rejected["state"], "pending", "{rejected}");

    // All names and types are as the conventions of Prometheus want them.
    let (_, text) = setup.https("/metrics", &["--header", &bearer("secret")]).unwrap();
    let said = promtool(&["check", "metrics"], File::open(setup.write("metrics", &text)).unwrap().into());
    assert_eq!(said, Ok(String::new()));
    drop(daemon);
    wait_for("that it is gone is seen", || prometheus.values("up") == [0.0]);
}
