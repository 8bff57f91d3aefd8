//! On what figures were measured, and of what.

use std::{fs, process::Command, thread};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

/// As far as it can be told.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// What the processors call themselves.
    pub processor: Option<String>,
    /// How many of them this process may use.
    pub processors: Option<usize>,
    /// All of it.
    pub memory_bytes: Option<u64>,
    /// Its release.
    pub kernel: Option<String>,
    /// By its full name.
    pub distribution: Option<String>,
    /// Processes that want to run, over the last minute: what others do here.
    pub load: Option<f64>,
}

impl Machine {
    /// This one, now.
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory = value(&read("/proc/meminfo"), "MemTotal", ':')
            .and_then(|it| it.strip_suffix("kB")?.trim().parse().ok());
        let kernel = read("/proc/sys/kernel/osrelease");
        Self {
            processor: value(&read("/proc/cpuinfo"), "model name", ':'),
            processors: thread::available_parallelism().ok().map(usize::from),
            memory_bytes: memory.map(|kib: u64| kib * 1024),
            kernel: Some(kernel.trim().to_owned()).filter(|it| !it.is_empty()),
            distribution: value(&read("/etc/os-release"), "PRETTY_NAME", '='),
            load: read("/proc/loadavg").split(' ').next().and_then(|it| it.parse().ok()),
        }
    }

    /// In a sentence.
    pub fn text(&self) -> String {
        let or_unknown = |it: &Option<String>| it.clone().unwrap_or_else(|| "?".to_owned());
        let number = |it: Option<String>| it.unwrap_or_else(|| "?".to_owned());
        format!(
            "{} × {}, Linux {}, {}, load {}",
            number(self.processors.map(|it| it.to_string())),
            or_unknown(&self.processor),
            or_unknown(&self.kernel),
            or_unknown(&self.distribution),
            number(self.load.map(|it| it.to_string())),
        )
    }
}

/// The first line that a program says of its version.
pub fn version(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    ensure!(output.status.success(), "{program} {argument} failed");
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// What stands behind a name in a file of lines, without quotes.
fn value(text: &str, name: &str, separator: char) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let (_, value) = line.split_once(separator)?;
    Some(value.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_names() {
        let cpu = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nprocessor\t: 1\n";
        assert_eq!(value(cpu, "model name", ':').as_deref(), Some("A CPU @ 2 GHz"));
        assert_eq!(value("PRETTY_NAME=\"A B\"\n", "PRETTY_NAME", '=').as_deref(), Some("A B"));
        assert_eq!(value("", "x", ':'), None);
    }
}
