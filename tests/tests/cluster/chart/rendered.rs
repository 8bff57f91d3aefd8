//! What comes of values.

use std::fs;

use serde_json::{Value, json};
use tcproute_tests::{
    cluster::{
        Helm,
        helm::{deploy, documents, of_kind},
    },
    container::words,
};

use super::{container, daemon_set};

/// What is set comes to the daemon as it was set, also where Helm has read another type.
#[test]
fn settings_come_to_the_daemon_as_they_are_set() {
    let Some(helm) = Helm::find("settings_come_to_the_daemon_as_they_are_set") else { return };
    let text = |config: Value| {
        let objects = helm.objects(&json!({"config": config}));
        of_kind(&objects, "ConfigMap")["data"]["config.yaml"].as_str().unwrap().to_owned()
    };
    assert_eq!(text(json!({"sidecar": false, "events": true})), "events: \"on\"\nsidecar: \"off\"\n");
    assert_eq!(text(json!({"max-remembered-sockets": 40_000_000})), "max-remembered-sockets: 40000000\n");
    assert_eq!(text(json!({"drain": 0.5, "strict": true})), "drain: 0.5\nstrict: true\n");
}

#[test]
fn capabilities_are_those_that_the_settings_need() {
    let Some(helm) = Helm::find("capabilities_are_those_that_the_settings_need") else { return };
    let few = ["BPF", "NET_ADMIN", "PERFMON"];
    let all = [&few[..], &["SYS_ADMIN", "SYS_PTRACE"]].concat();
    for (values, expected) in [
        (json!({}), &all[..]),
        (json!({"config": {"sidecar": "bypass"}}), &all),
        (json!({"config": {"sidecar": "off"}}), &few),
        (json!({"config": {"sidecar": false}}), &few),
        (json!({"config": {"sidecar": "off", "drain": 1}}), &all),
        (json!({"config": {"sidecar": "off"}, "detach": true}), &all),
        (json!({"existingConfigMap": "settings"}), &all),
    ] {
        let objects = helm.objects(&values);
        let context = &container(&objects)["securityContext"];
        assert_eq!(words(&context["capabilities"]["add"]), expected, "{values}");
        assert_eq!(words(&context["capabilities"]["drop"]), ["ALL"], "{values}");
        assert_eq!(context["privileged"], Value::Null, "{values}");
    }
}

#[test]
fn a_start_may_take_as_long_as_its_sources() {
    let Some(helm) = Helm::find("a_start_may_take_as_long_as_its_sources") else { return };
    for (timeout, seconds) in [(json!(30), 90), (json!("300s"), 360), (json!(0.5), 61)] {
        let objects = helm.objects(&json!({"config": {"start-timeout": timeout}}));
        let probe = &container(&objects)["startupProbe"];
        let most = probe["periodSeconds"].as_u64().unwrap() * probe["failureThreshold"].as_u64().unwrap();
        assert!((seconds..=seconds + 1).contains(&most), "{timeout}: {most}");
    }
}

/// The rules of the chart for a cluster, and none where no API server is asked.
#[test]
fn the_rules_are_those_that_the_code_asks_for() {
    let Some(helm) = Helm::find("the_rules_are_those_that_the_code_asks_for") else { return };
    let generated = documents(&fs::read_to_string(deploy("kubernetes/rbac.yaml")).unwrap());
    let objects = helm.objects(&json!({}));
    for kind in ["ClusterRole", "Role"] {
        assert_eq!(of_kind(&objects, kind)["rules"], of_kind(&generated, kind)["rules"], "{kind}");
    }
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for field in ["roleRef", "subjects"] {
            assert_eq!(of_kind(&objects, kind)[field], of_kind(&generated, kind)[field], "{kind}");
        }
    }
    let mute = helm.objects(&json!({"config": {"events": "off"}}));
    let rules = of_kind(&mute, "ClusterRole")["rules"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["apiGroups"][0] != "events.k8s.io"), "{rules:?}");
    let other = helm.objects(&json!({"config": {"system-namespace": "mesh-system"}}));
    assert_eq!(of_kind(&other, "Role")["metadata"]["namespace"], "mesh-system");
    for (config, is_read) in [
        (json!({"url": "http://cp"}), false),
        (json!({"source": "control-plane", "url": "http://cp"}), false),
        (json!({"source": "kubernetes", "url": "http://cp"}), true),
        (json!({"source": ["control-plane", "kubernetes"], "url": "http://cp"}), true),
    ] {
        let objects = helm.objects(&json!({"config": config}));
        assert_eq!(objects.iter().any(|it| it["kind"] == "ClusterRole"), is_read, "{config}");
        let spec = &daemon_set(&objects)["spec"]["template"]["spec"];
        assert_eq!(spec["automountServiceAccountToken"], is_read, "{config}");
    }
}

/// Another configuration replaces the pods.
#[test]
fn the_pods_are_of_one_configuration() {
    let Some(helm) = Helm::find("the_pods_are_of_one_configuration") else { return };
    let annotation = |config: Value| {
        let objects = helm.objects(&json!({"config": config}));
        daemon_set(&objects)["spec"]["template"]["metadata"]["annotations"]["checksum/config"].clone()
    };
    assert_eq!(annotation(json!({"drain": 1})), annotation(json!({"drain": 1})));
    assert_ne!(annotation(json!({"drain": 1})), annotation(json!({"drain": 2})));
}

/// Before 1.30 AppArmor is told by annotations, and by a field from then on.
#[test]
fn older_clusters_are_told_of_apparmor_in_their_way() {
    let Some(helm) = Helm::find("older_clusters_are_told_of_apparmor_in_their_way") else { return };
    for (version, by_field) in
        [("1.21.0", false), ("v1.29.5-eks-1", false), ("1.30.0", true), ("v1.37.2", true)]
    {
        let objects = documents(&helm.render_for(version, &json!({})).unwrap());
        let annotations = &daemon_set(&objects)["spec"]["template"]["metadata"]["annotations"];
        let annotation = &annotations["container.apparmor.security.beta.kubernetes.io/tcproute"];
        let field = &container(&objects)["securityContext"]["appArmorProfile"]["type"];
        let expected = (json!("Unconfined"), Value::Null);
        assert_eq!(
            (field.clone(), annotation.clone()),
            if by_field { expected } else { (Value::Null, json!("unconfined")) }
        );
    }
    assert!(helm.render_for("1.20.0", &json!({})).unwrap_err().contains("1.21.0"));
}

/// The listener has what is set, and the PodMonitor brings what the listener asks for.
#[test]
fn metrics_are_scraped_as_they_are_served() {
    let Some(helm) = Helm::find("metrics_are_scraped_as_they_are_served") else { return };
    let set = json!({
        "metrics": {"enabled": true, "tls": {"secretName": "tls"}, "token": {"secretName": "t", "key": "k"},
                    "clientCA": {"secretName": "ca"}},
        "podMonitor": {"enabled": true, "interval": "30s",
                       "tlsConfig": {"cert": {"secret": {"name": "p", "key": "tls.crt"}}}},
    });
    let objects = helm.objects(&set);
    let daemon = container(&objects);
    assert_eq!(daemon["ports"], json!([{"name": "metrics", "containerPort": 9902}]));
    assert_eq!(
        words(&daemon["args"]),
        [
            "--metrics-listen=0.0.0.0:9902",
            "--metrics-tls-cert=/etc/tcproute-metrics/tls.crt",
            "--metrics-tls-key=/etc/tcproute-metrics/tls.key",
            "--metrics-client-ca=/etc/tcproute-metrics/client-ca.crt",
            "--metrics-token-file=/etc/tcproute-metrics/token",
        ]
    );
    let volumes = daemon_set(&objects)["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "metrics").unwrap();
    assert_eq!(volume["projected"]["defaultMode"], 0o400);
    let files = volume["projected"]["sources"].as_array().unwrap().iter().flat_map(|source| {
        let (name, items) = (&source["secret"]["name"], source["secret"]["items"].as_array().unwrap());
        items
            .iter()
            .map(move |item| [name, &item["key"], &item["path"]].map(|it| it.as_str().unwrap().to_owned()))
    });
    assert_eq!(
        files.collect::<Vec<_>>(),
        [
            ["tls", "tls.crt", "tls.crt"],
            ["tls", "tls.key", "tls.key"],
            ["ca", "ca.crt", "client-ca.crt"],
            ["t", "k", "token"],
        ]
    );
    let monitor = &of_kind(&objects, "PodMonitor")["spec"];
    assert_eq!(monitor["selector"], daemon_set(&objects)["spec"]["selector"]);
    let endpoint = &monitor["podMetricsEndpoints"][0];
    assert_eq!((&endpoint["port"], &endpoint["scheme"]), (&json!("metrics"), &json!("https")));
    assert_eq!(endpoint["authorization"]["credentials"], json!({"name": "t", "key": "k"}));
    let tls = json!({
        "serverName": "tcproute.tcproute.svc",
        "ca": {"secret": {"name": "tls", "key": "ca.crt"}},
        "cert": {"secret": {"name": "p", "key": "tls.crt"}},
    });
    assert_eq!((&endpoint["tlsConfig"], &endpoint["interval"]), (&tls, &json!("30s")));

    let mut plain = json!({"metrics": {"enabled": true, "insecure": true}, "podMonitor": {"enabled": true}});
    let objects = helm.objects(&plain);
    assert_eq!(words(&container(&objects)["args"]), ["--metrics-listen=0.0.0.0:9902", "--metrics-insecure"]);
    let endpoint = &of_kind(&objects, "PodMonitor")["spec"]["podMetricsEndpoints"][0];
    assert_eq!(
        (&endpoint["scheme"], &endpoint["tlsConfig"], &endpoint["authorization"]),
        (&json!("http"), &Value::Null, &Value::Null)
    );
    // Who detaches serves nothing.
    plain["detach"] = json!(true);
    let objects = helm.objects(&plain);
    assert_eq!((&container(&objects)["ports"], &container(&objects)["args"]), (&Value::Null, &Value::Null));
    assert!(objects.iter().all(|object| object["kind"] != "PodMonitor"));
}

/// Rules and dashboard come as they are in `deploy/dashboards`, but for where runbooks are.
#[test]
fn rules_and_the_dashboard_come_as_they_are() {
    let Some(helm) = Helm::find("rules_and_the_dashboard_come_as_they_are") else { return };
    let file = |name: &str| fs::read_to_string(deploy("dashboards").join(name)).unwrap();
    let mut values = json!({"alerts": {"enabled": true}, "dashboards": {"enabled": true}});
    let rules = |objects: &[Value]| of_kind(objects, "PrometheusRule")["spec"].clone();
    let objects = helm.objects(&values);
    assert_eq!(rules(&objects), documents(&file("tcproute.rules.yaml"))[0]);
    let is_dashboard = |object: &&Value| object["metadata"]["labels"]["grafana_dashboard"] == "1";
    let dashboard = objects.iter().find(is_dashboard).unwrap();
    assert_eq!(dashboard["data"]["tcproute.json"].as_str().unwrap().trim(), file("tcproute.json").trim());
    values["alerts"]["documentation"] = json!("https://docs.example/");
    let told = rules(&helm.objects(&values))["groups"][0]["rules"][0]["annotations"]["runbook_url"].clone();
    assert!(
        told.as_str().unwrap().starts_with("https://docs.example/docs/guide/troubleshooting.md#"),
        "{told}"
    );
    values["detach"] = json!(true);
    let detaching = helm.objects(&values);
    assert!(detaching.iter().all(|it| it["kind"] != "PrometheusRule" && !is_dashboard(&it)));
}
