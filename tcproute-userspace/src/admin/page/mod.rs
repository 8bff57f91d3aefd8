//! The page at `/`: each route with its split as it is drawn and as it is seen, what is refused and why, live. One
//! document that is part of the binary, and one stream of events (`/v1/view`) that says what it draws.
//!
//! It shows what others wrote, in a browser that may hold more than this page. So nothing of theirs is in the document;
//! its script makes text of what the stream says, and the browser is told to run no other script, to ask nobody else,
//! and to make no markup out of strings.

mod events;
mod reading;
mod view;

use std::sync::LazyLock;

use axum::{
    http::{
        HeaderName, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

pub(super) use events::{Looking, view};

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Where the document has its style and its script.
const STYLE_HERE: &str = "/* page.css */";
const SCRIPT_HERE: &str = "/* page.js */";

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The page as it is sent.
struct Document {
    text: String,
    /// What a browser may do with it.
    policy: String,
}

impl Document {
    fn new() -> Self {
        let source = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
        let rules = [
            "default-src 'none'".to_owned(),
            format!("script-src {}", source(SCRIPT)),
            format!("style-src {}", source(STYLE)),
            "connect-src 'self'".to_owned(),
            // The icon, which is in the document.
            "img-src data:".to_owned(),
            "base-uri 'none'".to_owned(),
            "form-action 'none'".to_owned(),
            "frame-ancestors 'none'".to_owned(),
            "require-trusted-types-for 'script'".to_owned(),
            "trusted-types 'none'".to_owned(),
        ];
        let text = HTML.replacen(STYLE_HERE, STYLE, 1).replacen(SCRIPT_HERE, SCRIPT, 1);
        Self { text, policy: rules.join("; ") }
    }
}

pub(super) async fn document() -> Response {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::new);
    let mut response = DOCUMENT.text.as_str().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::from_str(&DOCUMENT.policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    guarded(response)
}

/// Not to be kept, guessed about, told on or used by other pages.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CORP, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_its_style_and_script_once_and_no_others() {
        let Document { text, policy } = Document::new();
        assert!(text.contains(STYLE) && text.contains(SCRIPT));
        assert!(!text.contains(STYLE_HERE) && !text.contains(SCRIPT_HERE));
        for (tag, count) in [("<script", 1), ("<style", 1), ("<link", 1), ("</script", 1), ("</style", 1)] {
            assert_eq!(text.matches(tag).count(), count, "{tag}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(HeaderValue::from_str(&policy).is_ok());
        // Nothing is fetched, and nothing of others becomes markup.
        for wrong in ["http:", "https:", "innerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!text.replace("http://www.w3.org/2000/svg", "").contains(wrong), "{wrong}");
        }
        let mut attributes = HTML.split_whitespace().filter_map(|word| word.split_once('=')).map(|it| it.0);
        assert!(!attributes.any(|name| name == "style" || name.starts_with("on")), "the policy forbids them");
    }
}
