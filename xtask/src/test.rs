//! `cargo xtask test`: everything that is checked before a change goes in, the quick before the slow.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::{
    build_ebpf, cluster, command, demo, envoy, faults, go_programs, lint,
    matrix::{self, Column},
    package, provision,
    release::build_release,
    report::Report,
    spelling, supply_chain,
    test_results::TestResults,
    test_targets, upgrade,
    vm_test::{self, Matrix},
    workspace,
};

/// How to test.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out the virtual machines
    #[arg(long)]
    local: bool,
}

/// What the kernel tests came to.
#[derive(Default)]
struct KernelTests {
    here: TestResults,
    machines: Option<Matrix>,
    /// What the API server of the cluster tests has told of itself.
    api_server: Option<String>,
}

/// Runs the steps up to the first that fails, and prints the tables of what was done, failures last.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = Report::new(workspace::target().join("test"))?;
    let mut kernel_tests = KernelTests::default();
    let result = steps(options, &mut report, &mut kernel_tests);
    println!("\n{report}");
    print!("{}", kernel_tests.report());
    if result.is_err() {
        print!("{}", report.complaint());
        print!("{}", kernel_tests.machines.as_ref().map(Matrix::complaints).unwrap_or_default());
    }
    result
}

/// Runs the steps that need no kernel and run none of the code, and prints the table of them.
pub(crate) fn lint() -> Result<()> {
    let mut report = Report::new(workspace::target().join("test"))?;
    let result = lints(&mut report);
    print!("\n{report}{}", report.complaint());
    result
}

fn lints(report: &mut Report) -> Result<()> {
    report.step("format", || {
        require_component("fmt", "rustfmt")?;
        command::run(command::cargo().args(["fmt", "--all", "--check"])).context("run `cargo fmt --all`")
    })?;
    report.optional_step("spelling", spelling::check)?;
    report.optional_step("dependencies", supply_chain::check)?;
    report.optional_step("advisories", supply_chain::advisories)?;
    report.step("eBPF build", || build_ebpf::run(&build_ebpf::Options::default()).map(drop))?;
    report.step("lints", || {
        require_component("clippy", "clippy")?;
        lint::host()
    })?;
    report.optional_step("lints (eBPF)", lint::ebpf)?;
    report.step("documentation", lint::documentation)
}

fn steps(options: &Options, report: &mut Report, kernel_tests: &mut KernelTests) -> Result<()> {
    // It takes minutes of whatever processors the steps leave idle, so it is begun first and waited for last.
    let go_programs = go_programs::Build::begin(report.log("Go programs"))?;
    lints(report)?;
    report.step("unit tests", || {
        let excluded = ["--exclude", "tcproute-ebpf", "--exclude", "tcproute-tests"];
        command::run(command::cargo().args(["test", "--workspace"]).args(excluded))
    })?;
    report.step("release build", || build_release().map(drop))?;
    report.optional_step("packages", package::step)?;

    // With the PATH, since sudo's own seldom has cargo.
    let no_root = (!provision::is_root())
        .then(|| "needs root; run: sudo -E env \"PATH=$PATH\" cargo xtask test".to_owned());
    report.optional_step("examples", || {
        if no_root.is_some() {
            return Ok(no_root.clone());
        }
        demo::step().map(|()| None)
    })?;
    let name = "kernel tests";
    let log = report.log(name);
    let here = report.optional_step(name, || {
        if no_root.is_some() {
            return Ok(no_root.clone());
        }
        provision::ensure(&provision::KERNEL_TESTS)?;
        // The tests of these say that they are skipped.
        for packages in [&[provision::PROMETHEUS][..], &provision::BROWSER] {
            if let Err(error) = provision::ensure(packages) {
                eprintln!("warning: {error:#}");
            }
        }
        let binary = build_release()?;
        let mut tests = command::cargo();
        // All of them, and with what those say that passed: a test that was skipped is one of these.
        tests.args(["test", "--package", "tcproute-tests", "--no-fail-fast"]).args(test_targets::here()?);
        tests.args(["--", "--show-output"]).env("TCPROUTE_BIN", &binary);
        command::run(package::tell(envoy::tell(&mut tests)?))?;
        Ok(None)
    });
    let mut printed = fs::read_to_string(log).unwrap_or_default();
    kernel_tests.here = TestResults::read(&printed);
    here?;
    report
        .optional_step("upgrade", || if no_root.is_some() { Ok(no_root.clone()) } else { upgrade::step() })?;
    report
        .optional_step("faults", || if no_root.is_some() { Ok(no_root.clone()) } else { faults::step() })?;
    report.optional_step("virtual machines", || {
        if options.local {
            return Ok(Some("--local".to_owned()));
        }
        if no_root.is_some() {
            return Ok(no_root.clone());
        }
        let matrix = kernel_tests.machines.insert(vm_test::whole_matrix()?);
        matrix.check()?;
        Ok(matrix.runs.is_empty().then(|| matrix.unreachable.join("; ")))
    })?;
    let mut programs = None;
    report.optional_step("Kubernetes and Helm build", || {
        let programs = programs.insert(go_programs.finish()?);
        Ok(programs.why_not().map(str::to_owned))
    })?;
    let Some(programs) = programs else { return Ok(()) };
    let name = "cluster tests";
    let log = report.log(name);
    let result = report.optional_step(name, || cluster_tests(&programs));
    printed += &fs::read_to_string(log).unwrap_or_default();
    kernel_tests.here = TestResults::read(&printed);
    kernel_tests.api_server =
        printed.lines().find_map(|line| line.strip_prefix("CLUSTER ")).map(str::to_owned);
    result?;
    if programs.kubernetes.why_not().is_none() && kernel_tests.api_server.is_none() {
        bail!("the cluster tests have passed without an API server");
    }
    report.optional_step("cluster with a node", cluster::step)
}

/// Also without the programs: then each test says that it is skipped.
fn cluster_tests(programs: &go_programs::All) -> Result<Option<String>> {
    let mut tests = command::cargo();
    tests.args(["test", "--package", "tcproute-tests", "--no-fail-fast", "--test", test_targets::CLUSTER]);
    // Most of them wait most of the time.
    tests.args(["--", "--show-output", "--test-threads=4"]).env("TCPROUTE_BIN", build_release()?);
    command::run(programs.tell(&mut tests))?;
    Ok(programs.why_not().map(str::to_owned))
}

impl KernelTests {
    /// Nothing if they were not come to.
    fn report(&self) -> String {
        let mut columns = vec![Column { name: "here", results: &self.here }];
        columns.extend(self.machines.iter().flat_map(Matrix::columns));
        columns.retain(|column| column.results.passed() + column.results.failed() > 0);
        if columns.is_empty() {
            return String::new();
        }
        let mut lines = vec![matrix::by_file(&columns)];
        lines.extend(matrix::skipped(&columns));
        lines.extend(self.machines.iter().flat_map(Matrix::remarks));
        lines.extend(self.api_server.iter().map(|told| format!("cluster tests: {told}")));
        lines.join("\n") + "\n"
    }
}

/// Some installations of Rust come without rustfmt and clippy.
fn require_component(subcommand: &str, component: &str) -> Result<()> {
    if command::capture(command::cargo().args([subcommand, "--version"])).is_err() {
        bail!("cargo {subcommand} does not work here: run `rustup component add {component}`");
    }
    Ok(())
}
