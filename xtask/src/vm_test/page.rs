//! docs/kernels.md: the record of the kernels, for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::record::{KernelRecord, Record, json};
use crate::{verified::Verified, workspace};

const HEAD: &str = "\
# Kernels

Made by `cargo xtask vm-test --record` from what was seen on each kernel (`kernels.json`), not by hand.

Everything that tcproute promises holds from 5.10 on. What an older kernel lacks is found by trying when the programs
are loaded, and `tcproute doctor` tells it. The columns say:

- *Refuses*: the error with which connect() fails if a backendRef has no endpoint. ECONNREFUSED needs 6.0.
- *MPTCP*: what getpeername() shows of an MPTCP socket. The dialled address needs 5.19.
- *Causes*: whether it is told why connections fail. That needs BTF.
- *Processes*: whether `tcproute trace` tells which process connects.

";

const PROGRAMS: &str = "
## Programs

What the verifier made of each program: instructions verified / states / bytes of stack. The limits are a million
instructions and 512 bytes of stack. `cargo xtask vm-test` shows each number that has risen by more than 20 %.

";

const SIZES: &str = "
Bytes of each program as the kernel holds it / of machine code:

";

/// Writes the record and the page.
pub(super) fn save(record: &Record) -> Result<()> {
    let text = serde_json::to_string_pretty(record)? + "\n";
    for (path, text) in [(json(), text), (markdown(), render(record))] {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("recorded in {}", path.display());
    }
    Ok(())
}

fn markdown() -> PathBuf {
    workspace::root().join("docs/kernels.md")
}

fn render(record: &Record) -> String {
    let mut page = HEAD.to_owned();
    page += &row(&["Kernel", "Debian's version", "Kernel tests", "Refuses", "MPTCP", "Causes", "Processes"]);
    page += &row(&["---"; 7]);
    for (series, kernel) in &record.kernels {
        page += &row(&[
            series,
            &kernel.version,
            &format!("{} passed, {} skipped", kernel.passed, kernel.skipped.len()),
            kernel.features.get("refusal").and_then(Value::as_str).unwrap_or("unknown"),
            flag(kernel, "mptcpPeerNames", ["the endpoint", "the dialled address"]),
            flag(kernel, "failureCauses", ["not told", "told"]),
            flag(kernel, "traceProcesses", ["not told", "told"]),
        ]);
    }
    let skipped = skipped(record);
    if !skipped.is_empty() {
        page += "\nSkipped:\n\n";
    }
    for (skipped, kernels) in skipped {
        // What and why, each on its line.
        let _ = writeln!(page, "- {}: {}", kernels.join(", "), skipped.replacen(": ", ":\n  ", 1));
    }
    page += PROGRAMS;
    page += &programs(record, |v| format!("{} / {} / {}", v.instructions, v.states, v.stack));
    page += SIZES;
    page += &programs(record, |v| format!("{} / {}", v.translated, v.jited));
    page
}

/// A row for each program, with what there is to say of it on each kernel.
fn programs(record: &Record, say: impl Fn(&Verified) -> String) -> String {
    let mut head = vec!["Program"];
    head.extend(record.kernels.keys().map(String::as_str));
    let mut table = row(&head) + &row(&vec!["---"; head.len()]);
    let programs: BTreeSet<&String> =
        record.kernels.values().flat_map(|kernel| kernel.programs.keys()).collect();
    for program in programs {
        let mut cells = vec![format!("`{program}`")];
        let kernels = record.kernels.values();
        cells.extend(kernels.map(|kernel| kernel.programs.get(program).map_or_else(String::new, &say)));
        table += &row(&cells.iter().map(String::as_str).collect::<Vec<_>>());
    }
    table
}

fn row(cells: &[&str]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// What a feature comes to where it is missing and where it is there.
fn flag<'t>(kernel: &KernelRecord, feature: &str, [missing, there]: [&'t str; 2]) -> &'t str {
    match kernel.features.get(feature).and_then(Value::as_bool) {
        Some(true) => there,
        Some(false) => missing,
        None => "unknown",
    }
}

fn skipped(record: &Record) -> BTreeMap<&str, Vec<&str>> {
    let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (series, kernel) in &record.kernels {
        for reason in &kernel.skipped {
            skipped.entry(reason).or_default().push(series);
        }
    }
    skipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_made_from_the_record() {
        let record = Record::load().unwrap();
        assert!(record.kernels.contains_key("5.10"), "{record:?}");
        let page = fs::read_to_string(markdown()).unwrap();
        assert!(page == render(&record), "run `cargo xtask vm-test --record`");
    }
}
