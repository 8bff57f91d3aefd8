//! The protocol of a service, from the tags of its endpoints.

/// What the tag `kuma.io/protocol` may say, with the protocols that each is carried by.
const STACKS: [(&str, &[&str]); 5] = [
    ("tcp", &["tcp"]),
    ("http", &["http", "tcp"]),
    ("http2", &["http2", "tcp"]),
    ("grpc", &["grpc", "http2", "tcp"]),
    ("kafka", &["kafka", "tcp"]),
];

/// The protocol that all endpoints share, `None` if there is none: equal tags stand, whatever they say;
/// different ones give the highest protocol common to their stacks; one that is missing or unknown beside
/// others gives none.
pub(crate) fn common<'a>(tags: impl Iterator<Item = Option<&'a str>>) -> Option<&'a str> {
    let mut tags = tags.map(|tag| tag.map(canonical));
    let first = tags.next()??;
    tags.try_fold(first, |so_far, tag| {
        let tag = tag?;
        if tag == so_far {
            return Some(so_far);
        }
        let other = stack(tag)?;
        stack(so_far)?.iter().copied().find(|protocol| other.contains(protocol))
    })
}

/// The protocol that a resource declares.
pub(super) fn declared(protocol: &str) -> Option<&str> {
    Some(canonical(protocol)).filter(|protocol| !protocol.is_empty())
}

/// Kuma takes known protocols in any case.
fn canonical(tag: &str) -> &str {
    STACKS.iter().find(|(name, _)| name.eq_ignore_ascii_case(tag)).map_or(tag, |(name, _)| name)
}

fn stack(protocol: &str) -> Option<&'static [&'static str]> {
    STACKS.iter().find(|(name, _)| *name == protocol).map(|(_, stack)| *stack)
}

/// Whether the proxy routes requests of this protocol, and not connections.
pub(crate) fn is_http(protocol: Option<&str>) -> bool {
    matches!(protocol, Some("http" | "http2" | "grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(tags: &[Option<&'a str>]) -> Option<&'a str> {
        common(tags.iter().copied())
    }

    #[test]
    fn equal_tags_stand() {
        assert_eq!(of(&[Some("kafka"), Some("kafka")]), Some("kafka"));
        assert_eq!(of(&[Some("mysql"), Some("mysql")]), Some("mysql"));
        assert_eq!(of(&[Some("HTTP"), Some("http")]), Some("http"));
    }

    #[test]
    fn different_tags_give_the_highest_common_protocol() {
        assert_eq!(of(&[Some("grpc"), Some("http2")]), Some("http2"));
        assert_eq!(of(&[Some("http2"), Some("grpc"), Some("grpc")]), Some("http2"));
        assert_eq!(of(&[Some("http"), Some("grpc")]), Some("tcp"));
        assert_eq!(of(&[Some("http"), Some("kafka")]), Some("tcp"));
    }

    #[test]
    fn a_missing_or_unknown_tag_gives_none() {
        assert_eq!(of(&[Some("http"), None]), None);
        assert_eq!(of(&[None, Some("http")]), None);
        assert_eq!(of(&[Some("http"), Some("mysql")]), None);
        assert_eq!(of(&[]), None);
    }
}
