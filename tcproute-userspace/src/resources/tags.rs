//! Which tags a Dataplane or an ExternalService may have: Kuma's rules.

use super::{
    names::{ServiceName, Tags},
    violation::Violations,
};

/// The tag that names the service of an inbound or outbound.
pub const SERVICE_TAG: &str = "kuma.io/service";
/// The tag that names the protocol of an inbound or ExternalService.
pub const PROTOCOL_TAG: &str = "kuma.io/protocol";

/// Protocols that some version of Kuma knows, in any case.
const PROTOCOLS: [&str; 7] = ["grpc", "http", "http2", "kafka", "mysql", "tcp", "tls"];

/// Checks names and values.
pub(super) fn check(tags: &Tags, path: &str, found: &mut Violations) {
    for (name, value) in tags {
        let at = || format!("{path}[\"{name}\"]");
        if name.is_empty() {
            found.add(path, "tag name must be non-empty");
        } else if !name.chars().all(|c| is_of_value(c) || c == '/') {
            let allowed = "alphanumeric characters, dots, dashes, slashes, colons and underscores";
            found.add(at(), format!("tag name must consist of {allowed}"));
        }
        if value.is_empty() {
            found.add(at(), "tag value must be non-empty");
        } else if !value.chars().all(is_of_value) {
            let allowed = "alphanumeric characters, dots, dashes, colons and underscores";
            found.add(at(), format!("tag value must consist of {allowed}"));
        }
    }
}

fn is_of_value(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':')
}

/// Checks the protocol, if there is one.
pub(super) fn check_protocol(protocol: Option<&str>, path: &str, found: &mut Violations) {
    let known = |protocol: &str| PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol));
    if let Some(protocol) = protocol.filter(|protocol| !known(protocol)) {
        let allowed = PROTOCOLS.join(", ");
        found.add(path, format!("has an invalid value {protocol:?}; allowed values: {allowed}"));
    }
}

/// Checks the protocol that tags name.
pub(super) fn check_protocol_tag(tags: &Tags, path: &str, found: &mut Violations) {
    let protocol = tags.get(PROTOCOL_TAG);
    check_protocol(protocol, &format!("{path}[\"{PROTOCOL_TAG}\"]"), found);
}

/// The service that the tags at `path` must name.
pub(super) fn require_service(tags: &Tags, path: &str, found: &mut Violations) -> Option<ServiceName> {
    let Some(service) = tags.get(SERVICE_TAG) else {
        found.add(path, format!("must have the tag {SERVICE_TAG}"));
        return None;
    };
    // That an empty one is wrong has been told of all tags.
    service.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(tags: &[(&str, &str)]) -> Vec<String> {
        let mut found = Violations::default();
        let tags = tags.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        check(&tags, "tags", &mut found);
        check_protocol_tag(&tags, "tags", &mut found);
        let violations = found.finish(None::<()>).unwrap_err();
        violations.into_iter().map(|violation| violation.path).collect()
    }

    #[test]
    fn tags_have_allowed_characters_and_a_value() {
        assert!(wrong(&[("Team_1/a.b-c:d", "V1.0-rc:2_x"), ("kuma.io/protocol", "HTTP2")]).is_empty());
        assert_eq!(
            wrong(&[("", "a"), ("te am", "a"), ("t@", "a")]),
            ["tags", "tags[\"t@\"]", "tags[\"te am\"]"]
        );
        let values = [("a", ""), ("b", "x y"), ("c", "x/y"), ("d", "*"), ("e", "ü")];
        assert_eq!(wrong(&values).len(), 5);
        assert_eq!(wrong(&[("kuma.io/protocol", "smtp")]), ["tags[\"kuma.io/protocol\"]"]);
    }
}
