//! A real collector: that of `TCPROUTE_TEST_OTELCOL`, with the receiver `otlp` and the exporter `debug`.

use std::{
    env, fs,
    fs::File,
    process::{Command, Stdio},
};

use tcproute_tests::{is_root, process::Process, wait_for};

use crate::fixture::{Setup, spans};

#[test]
fn a_real_collector_takes_connections() {
    if !is_root("a_real_collector_takes_connections") {
        return;
    }
    let Some(program) = env::var_os("TCPROUTE_TEST_OTELCOL") else {
        println!("SKIPPED a_real_collector_takes_connections: TCPROUTE_TEST_OTELCOL names no collector");
        return;
    };
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let (config, output) = (directory.path().join("config.yaml"), directory.path().join("output"));
    let text = format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: '{}'}}}}}}}}\n\
         exporters: {{debug: {{verbosity: detailed}}}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  \
         pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}\n",
        setup.collector
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(program);
    command.arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.stderr(File::create(&output).unwrap()).spawn().unwrap();
    let _collector = Process(child);

    let daemon = setup.daemon(&setup.url(), &["--otlp-sample", "1"]);
    setup.dial(&[setup.up, setup.closed, setup.nobody]);
    wait_for("it has them", || spans(&daemon, "delivered") == 3);
    let shown = || fs::read_to_string(&output).unwrap();
    wait_for("it shows them", || shown().matches("Trace ID").count() == 3);
    let shown = shown();
    for line in [
        "service.name: Str(tcproute)".to_owned(),
        "Name           : connect up".to_owned(),
        "Kind           : Client".to_owned(),
        "Status code    : Error".to_owned(),
        format!("server.address: Str({})", setup.up.ip()),
        format!("network.peer.address: Str({})", setup.backend.address().ip()),
        "error.type: Str(no-endpoint)".to_owned(),
        "tcproute.policies: Slice([\"split-up\"])".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line} is not in {shown}");
    }
}
