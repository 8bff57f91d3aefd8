//! `tcproute doctor`: whether this node has what is needed.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::output::{self, Format, align};
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
fn table(report: &Report) -> String {
    let rows = report
        .checks
        .iter()
        .map(|check| vec![word(check.status).to_owned(), check.id.to_owned(), check.found.clone()]);
    let mut text = align(&["", "CHECK", "FOUND"], &[], rows.collect());
    let remedies: Vec<&Check> = report.checks.iter().filter(|check| check.remedy.is_some()).collect();
    if !remedies.is_empty() {
        text.push('\n');
    }
    for check in remedies {
        text.extend([check.id, ": ", check.remedy.as_deref().unwrap_or_default(), "\n"]);
    }
    text.push_str(if report.ready {
        "\ntcproute can run on this node\n"
    } else {
        "\ntcproute cannot run here yet\n"
    });
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
