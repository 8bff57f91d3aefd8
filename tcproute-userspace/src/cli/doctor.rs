//! `tcproute doctor`: whether this node has what is needed.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::{
    output::{self, Format},
    text::Text,
};
use crate::doctor::{self, Check, Report, Status};

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Where bpffs is to be mounted.
    #[arg(long, default_value = "/sys/fs/bpf", value_name = "DIR")]
    bpffs: PathBuf,
    /// How the findings are printed.
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    output: Format,
}

impl Doctor {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let report = doctor::examine(&self.bpffs)?;
        output::print(self.output, &report, table)?;
        Ok(if report.ready { ExitCode::SUCCESS } else { ExitCode::from(super::FAILED) })
    }
}

/// What is to be done comes last, where a person looks.
fn table(report: &Report) -> Text {
    let rows = report
        .checks
        .iter()
        .map(|check| vec![word(check.status).to_owned(), check.id.to_owned(), check.found.clone()]);
    let mut text = Text::default();
    text.table(&["", "CHECK", "FOUND"], &[], rows);
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

const fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Fallback => "fallback",
        Status::Warning => "WARNING",
        Status::Missing => "MISSING",
        Status::Unknown => "unknown",
    }
}
