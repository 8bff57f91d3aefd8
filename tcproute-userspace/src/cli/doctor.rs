//! `tcproute doctor`: whether this node has what is needed.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::{
    output::{self, Named, OutputArguments},
    text::{Row, Text},
};
use crate::{
    colours::Mark,
    doctor::{self, Check, Report, Status, Subject},
    sources::kubernetes::Access,
};

/// Wider lines would be broken by most terminals, where nothing stands in its column.
const WIDTH: u16 = 118;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    subject: SubjectArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// What is looked at.
#[derive(Debug, Clone, Args)]
pub(super) struct SubjectArguments {
    /// Where bpffs is to be mounted.
    #[arg(long, default_value = "/sys/fs/bpf", value_name = "DIR")]
    bpffs: PathBuf,
    /// Ask the API server of this kubeconfig what it allows tcproute [default: that of the pod that this runs in, if it
    /// runs in one]
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The namespace of Kuma's control plane.
    #[arg(long, default_value = "kuma-system", value_name = "NAME")]
    system_namespace: String,
}

impl SubjectArguments {
    /// Nobody's own kubeconfig is taken unasked, as `run` does.
    pub(super) fn subject(&self) -> Subject {
        let is_given = self.kubeconfig.is_some() || self.context.is_some();
        let is_in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let access = Access { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        let api = (is_given || is_in_pod).then(|| (access, self.system_namespace.clone()));
        Subject { bpffs: self.bpffs.clone(), api }
    }
}

impl Doctor {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        let report = doctor::examine(self.subject.subject()).await?;
        output::print(&self.output, &report, |report, _| table(report))?;
        Ok(if report.ready { ExitCode::SUCCESS } else { ExitCode::from(super::FAILED) })
    }
}

impl Named for Report {
    fn names(&self) -> Vec<String> {
        self.checks.iter().map(|check| format!("check/{}", check.id)).collect()
    }
}

/// What is to be done comes last, where a person looks.
fn table(report: &Report) -> Text {
    let rows = report.checks.iter().map(|check| {
        let cells = vec![word(check.status).to_owned(), check.id.to_owned(), check.found.clone()];
        Row::marked(mark(check.status), cells)
    });
    let mut text = Text::default();
    text.table_within(WIDTH, &["", "CHECK", "FOUND"], rows);
    let remedies: Vec<&Check> = report.checks.iter().filter(|check| check.remedy.is_some()).collect();
    if !remedies.is_empty() {
        text.gap();
    }
    for check in remedies {
        text.line(format_args!("{}: {}", check.id, check.remedy.as_deref().unwrap_or_default()));
    }
    text.gap();
    text.line(if report.ready { "tcproute can run on this node" } else { "tcproute cannot run here yet" });
    text
}

const fn mark(status: Status) -> Option<Mark> {
    match status {
        Status::Ok | Status::Fallback | Status::Unknown => None,
        Status::Warning => Some(Mark::Warning),
        Status::Missing => Some(Mark::Error),
    }
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Fallback => "fallback",
        Status::Warning => "WARNING",
        Status::Missing => "MISSING",
        Status::Unknown => "unknown",
    }
}
