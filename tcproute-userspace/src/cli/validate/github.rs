//! Workflow commands of GitHub Actions, which it shows beside the lines of a change
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>).

use super::finding::{Finding, Level, Rule, plain};
use crate::escaped::Escaped;

/// One command for each.
pub(super) fn commands(findings: impl Iterator<Item = Finding>) -> String {
    findings.map(|finding| command(&finding) + "\n").collect()
}

fn command(Finding { rule, level, file, at, subject, message }: &Finding) -> String {
    let name = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(file) = file {
        properties.push(format!("file={}", property(&plain(file).display().to_string())));
    }
    if let Some((line, column)) = at {
        properties.push(format!("line={line},col={column}"));
    }
    match rule {
        Rule::Lint(code) => properties.push(format!("title={code}")),
        Rule::Violation => properties.push("title=violation".to_owned()),
        Rule::Note => {}
    }
    let message = match (file, subject) {
        (None, Some(subject)) => format!("{subject}: {message}"),
        _ => message.clone(),
    };
    let space = if properties.is_empty() { "" } else { " " };
    format!("::{name}{space}{}::{}", properties.join(","), data(&message))
}

/// What stands behind the second `::`. What is hidden is shown, so that it cannot begin a line.
fn data(text: &str) -> String {
    Escaped(text).to_string().replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::Code;

    fn finding(file: Option<&str>, message: &str) -> Finding {
        Finding {
            rule: Rule::Lint(Code::NoWeight),
            level: Level::Warning,
            file: file.map(Into::into),
            at: file.map(|_| (3, 7)),
            subject: Some("MeshTCPRoute a of mesh default".to_owned()),
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_place_is_a_property() {
        assert_eq!(
            command(&finding(Some("./mesh/a.yaml"), "spec.to[0]: 50 % is not all")),
            "::warning file=mesh/a.yaml,line=3,col=7,title=TCP001::spec.to[0]: 50 %25 is not all"
        );
        assert_eq!(command(&finding(None, "x")), "::warning title=TCP001::MeshTCPRoute a of mesh default: x");
    }

    #[test]
    fn nothing_that_others_wrote_is_a_command() {
        let shown = command(&finding(Some("a,line=9:b%.yaml"), "x\n::error::forged\r\x1b[2J"));
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(
            shown.starts_with("::warning file=a%2Cline=9%3Ab%25.yaml,line=3,col=7,title=TCP001::x"),
            "{shown}"
        );
        assert!(!shown.contains(['\x1b', '\r']), "{shown}");
    }
}
