//! What a browser sends for a page of others is refused: a page may name an address of its own that leads to loopback
//! (DNS rebinding), or ask for loopback in the name of its reader. What is no browser names an address, and no page.

use axum::http::{
    HeaderMap, StatusCode, Uri,
    header::{HOST, ORIGIN},
    uri::Authority,
};

const SITE: &str = "sec-fetch-site";

/// Why a request is not answered.
pub(super) type Refusal = (StatusCode, &'static str);

/// Lets requests through that no page of others can send.
pub(super) fn admit(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let hosts = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    // HTTP/1.0 names no host; browsers always do.
    if !hosts.chain(uri.authority().map(Authority::as_str)).all(is_ours) {
        return Err((StatusCode::MISDIRECTED_REQUEST, "ask by an IP address, or as localhost\n"));
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let foreign = text(SITE).is_some_and(|site| !matches!(site, "same-origin" | "none"))
        || text(ORIGIN.as_str()).is_some_and(|origin| {
            text(HOST.as_str()).is_none_or(|host| origin.strip_prefix("http://") != Some(host))
        });
    if foreign {
        return Err((StatusCode::FORBIDDEN, "not for pages of others\n"));
    }
    Ok(())
}

/// An IP address or `localhost`, with or without a port. Others cannot make these lead elsewhere.
fn is_ours(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<std::net::IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn status(uri: &str, headers: &[(&'static str, &'static str)]) -> u16 {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        admit(&uri.parse().unwrap(), &headers).err().map_or(200, |(status, _)| status.as_u16())
    }

    #[test]
    fn only_addresses_and_localhost_are_hosts() {
        for host in ["127.0.0.1:9901", "127.0.0.1", "[::1]:9901", "localhost", "LOCALHOST:9901"] {
            assert_eq!(status("/metrics", &[("host", host)]), 200, "{host}");
        }
        for host in
            ["evil.example", "evil.example:9901", "localhost.evil.example", "127.0.0.1.evil.example", ""]
        {
            assert_eq!(status("/metrics", &[("host", host)]), 421, "{host}");
        }
        assert_eq!(status("/metrics", &[]), 200, "HTTP/1.0");
        assert_eq!(status("http://evil.example/metrics", &[("host", "127.0.0.1")]), 421);
    }

    #[test]
    fn pages_of_others_get_nothing() {
        let with = |name, value| status("/v1/routes", &[("host", "localhost:9901"), (name, value)]);
        for site in ["cross-site", "same-site", "what is to come"] {
            assert_eq!(with("sec-fetch-site", site), 403, "{site}");
        }
        assert_eq!(with("sec-fetch-site", "none"), 200);
        assert_eq!(with("origin", "http://evil.example"), 403);
        assert_eq!(with("origin", "null"), 403);
        assert_eq!(with("origin", "http://localhost:3000"), 403);
        assert_eq!(with("origin", "http://localhost:9901"), 200);
    }
}
