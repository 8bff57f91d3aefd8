//! Of which version a sidecar is: Kuma's control plane writes that into the configuration that kuma-dp starts Envoy
//! with, below `node.metadata.version`.
//!
//! Kuma: `pkg/xds/bootstrap/template_v3.go` and `app/kuma-dp/pkg/dataplane/envoy/bootstrap_file.go`.

use serde::Serialize;

use crate::sources::scalars;

/// The versions of a sidecar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::doctor) struct Versions {
    /// That of kuma-dp.
    pub(in crate::doctor) kuma_dp: String,
    /// That of Envoy, if it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::doctor) envoy: Option<String>,
}

/// Where the configuration of a running Envoy is, by its arguments.
pub(super) fn path(arguments: &[u8]) -> Option<&str> {
    let mut arguments = arguments.split(|&byte| byte == 0);
    arguments.find(|argument| matches!(*argument, b"--config-path" | b"-c"))?;
    str::from_utf8(arguments.next()?).ok().filter(|path| !path.is_empty())
}

/// The versions in it. It has secrets, too, such as the token of the Dataplane: of those nothing is told.
pub(super) fn versions(text: &str) -> Result<Versions, String> {
    let scalars = scalars(text)?;
    let of = |name: &str| {
        let path = format!("node.metadata.version.{name}.version");
        scalars
            .iter()
            .find(|scalar| scalar.path == path)
            .map(|scalar| scalar.text.clone())
            .filter(|it| is_version(it))
    };
    let kuma_dp = of("kumaDp").ok_or("it has no version of kuma-dp")?;
    Ok(Versions { kuma_dp, envoy: of("envoy") })
}

/// Whoever has written the file may have written anything.
fn is_version(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Kuma writes it.
    const BOOTSTRAP: &str = "\
dynamicResources:
  adsConfig:
    grpcServices:
    - initialMetadata:
      - key: authorization
        value: 3.14-secret-token
node:
  cluster: backend
  metadata:
    dataplane.token: 3.14-secret-token
    version:
      envoy:
        build: hash/1.22.7/RELEASE
        version: 1.22.7
      kumaDp:
        buildDate: \"2023-08-07T11:26:06Z\"
        version: 2.4.10
";

    #[test]
    fn both_versions_are_told() {
        let versions = versions(BOOTSTRAP).unwrap();
        assert_eq!(versions, Versions { kuma_dp: "2.4.10".to_owned(), envoy: Some("1.22.7".to_owned()) });
    }

    #[test]
    fn what_is_no_version_is_not_told() {
        for kuma_dp in ["secret-token", "\"2.4 \\e[2J\"", "{a: 2}", ""] {
            let text = format!("node: {{metadata: {{version: {{kumaDp: {{version: {kuma_dp}}}}}}}}}\n");
            assert_eq!(versions(&text), Err("it has no version of kuma-dp".to_owned()), "{kuma_dp}");
        }
        assert!(versions("- [").unwrap_err().contains("no YAML"));
    }

    #[test]
    fn the_configuration_is_found_by_the_arguments() {
        assert_eq!(path(b"envoy\0--config-path\0/tmp/b.yaml\0--log-level\0info\0"), Some("/tmp/b.yaml"));
        assert_eq!(path(b"envoy\0-c\0/e.json\0"), Some("/e.json"));
        for other in
            [&b"envoy\0--config-yaml\0a: 1\0"[..], b"envoy\0--config-path\0", b"envoy\0-c\0\xff\0", b""]
        {
            assert_eq!(path(other), None);
        }
    }
}
