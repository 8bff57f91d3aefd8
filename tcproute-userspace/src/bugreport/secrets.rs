//! What must not be in a bundle: secrets that are known to be on this node, wherever they stand, and whatever looks
//! like one.

use std::{borrow::Cow, collections::BTreeSet, sync::LazyLock};

use regex::{Captures, Regex};
use serde_json::Value;

use super::Content;

/// What stands in the place of a secret.
const LEFT_OUT: &str = "[left out]";

/// Shorter ones would be found everywhere.
const SHORTEST: usize = 6;

/// Words by which a name says that what it is the name of is secret.
const WORDS: &str = r"(?:pass(?:word|wd|phrase)|secret|token|credential|api[_-]?key|(?:access|private|client)[_-]?key(?:[_-]data)?|authorization|cookie|signature)s?";

/// Secrets that are on this node. They are read to be left out, and told nobody.
#[derive(Default)]
pub struct Known(BTreeSet<String>);

impl Known {
    /// Adds a secret: as it is, by lines, and as it is written in JSON and in a URL.
    pub fn add(&mut self, secret: &str) {
        for line in secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST) {
            self.0.insert(line.to_owned());
            let json = Value::from(line).to_string();
            self.0.insert(json.trim_matches('"').to_owned());
            self.0.insert(form_urlencoded::byte_serialize(line.as_bytes()).collect());
        }
    }
}

/// Whether what has such a name is secret.
pub fn looks_secret(name: &str) -> bool {
    static NAME: LazyLock<Regex> = LazyLock::new(|| regex(&format!("(?i){WORDS}$")));
    NAME.is_match(name)
}

/// What is looked for, and what comes in its place.
struct Pattern {
    looks: Regex,
    /// As `Regex::replace_all` has it.
    becomes: &'static str,
}

/// In this order.
static PATTERNS: LazyLock<[Pattern; 6]> = LazyLock::new(|| {
    let pattern = |looks: &str, becomes| Pattern { looks: regex(looks), becomes };
    [
        // PEM: keys, and certificates with them.
        pattern(r"(?s)-----BEGIN [^-]*-----.*?(?:-----END [^-]*-----|\z)", "[left out]"),
        // Tokens of JWT.
        pattern(r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?", "[left out]"),
        // What is asked for in a URL, and who asks.
        pattern(r#"(?P<url>[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>?]*\?)[^\s"'<>]+"#, "${url}[left out]"),
        pattern(r#"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>]*@"#, "${scheme}[left out]@"),
        // Headers.
        pattern(
            r"(?i)\b(?P<scheme>bearer|basic|digest|negotiate)[ \t]+[A-Za-z0-9+/=._~:-]{6,}",
            "${scheme} [left out]",
        ),
        // Anything with such a name.
        pattern(
            &format!(
                r#"(?i)(?P<name>{WORDS})(?P<is>["']?\s*[:=]\s*)(?:"[^"\n]*"?|'[^'\n]*'?|[^\s,;&}}\]]+(?:[ \t]+\[left out\])?)"#
            ),
            "${name}${is}[left out]",
        ),
    ]
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("it is tested")
}

/// Leaves secrets out.
pub struct Secrets {
    /// The longest first, since one may be a part of another.
    known: Vec<String>,
    left_out: usize,
}

impl Secrets {
    /// These, and whatever looks like one.
    pub fn new(known: Known) -> Self {
        let mut known: Vec<String> = known.0.into_iter().collect();
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { known, left_out: 0 }
    }

    /// How many were left out so far.
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// What is left.
    pub fn without(&mut self, content: Content) -> Content {
        let content = match content {
            Content::Json(value) => Content::Json(self.without_named(value)),
            text @ Content::Text(_) => text,
        };
        content.map(&mut |text| self.without_any(text))
    }

    /// The values of names in JSON that say so.
    fn without_named(&mut self, value: Value) -> Value {
        match value {
            Value::Array(all) => all.into_iter().map(|value| self.without_named(value)).collect(),
            Value::Object(all) => {
                let all = all.into_iter().map(|(name, value)| {
                    let is_told = value.is_null() || value.is_boolean() || value == "";
                    if looks_secret(&name) && !is_told {
                        self.left_out += 1;
                        return (name, LEFT_OUT.into());
                    }
                    let value = self.without_named(value);
                    (name, value)
                });
                all.collect()
            }
            other => other,
        }
    }

    pub(super) fn without_any(&mut self, text: &str) -> String {
        let mut left = Cow::Borrowed(text);
        for secret in &self.known {
            let count = left.matches(secret.as_str()).count();
            if count > 0 {
                self.left_out += count;
                left = left.replace(secret.as_str(), LEFT_OUT).into();
            }
        }
        for Pattern { looks, becomes } in PATTERNS.iter() {
            let mut count = 0;
            let replaced = looks.replace_all(&left, |found: &Captures<'_>| {
                count += 1;
                let mut text = String::new();
                found.expand(becomes, &mut text);
                text
            });
            if count > 0 {
                self.left_out += count;
                left = replaced.into_owned().into();
            }
        }
        left.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is left of a text, and how much was left out.
    fn left(text: &str) -> String {
        Secrets::new(Known::default()).without_any(text)
    }

    #[test]
    fn what_looks_like_a_secret_is_left_out() {
        for (text, expected) in [
            ("asking https://user:hunter2@cp:5682/meshes", "asking https://[left out]@cp:5682/meshes"),
            ("asking https://cp:5682/meshes?sig=abcdef now", "asking https://cp:5682/meshes?[left out] now"),
            ("https://user:hunter2@cp/?sig=abcdef@x", "https://[left out]@cp/?[left out]"),
            ("Authorization: Bearer abc.def-123", "Authorization: [left out]"),
            ("sent bearer abcdef0123", "sent bearer [left out]"),
            ("password=hunter2, next", "password=[left out], next"),
            ("KUMA_API_TOKEN='a b c' more", "KUMA_API_TOKEN=[left out] more"),
            ("{\"client-key-data\": \"aGVsbG8=\"}", "{\"client-key-data\": [left out]}"),
            ("is eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln ok", "is [left out] ok"),
            ("a\n-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nb", "a\n[left out]\nb"),
            ("-----BEGIN EC PRIVATE KEY-----\nMIIE", "[left out]"),
        ] {
            assert_eq!(left(text), expected);
        }
    }

    #[test]
    fn what_is_none_stays() {
        for text in [
            "tcproute 0.1.0: 3 routes at 10.0.0.1:8080",
            "--token-file /etc/tcproute/file",
            "the token was read again",
            "kuma.io/service: backend_default_svc_80",
            "https://cp:5682 answers",
        ] {
            assert_eq!(left(text), text);
        }
    }

    #[test]
    fn known_secrets_are_left_out_wherever_they_stand() {
        let mut known = Known::default();
        known.add("s3cr\"et-value\nsecond&line\nabc");
        let mut secrets = Secrets::new(known);
        let text = "a s3cr\"et-value b s3cr\\\"et-value c second&line d second%26line e abc";
        assert_eq!(
            secrets.without_any(text),
            "a [left out] b [left out] c [left out] d [left out] e abc",
            "three letters would be found everywhere"
        );
        assert_eq!(secrets.left_out(), 4);
    }

    #[test]
    fn values_are_left_out_by_their_names_and_names_by_what_they_are() {
        let mut known = Known::default();
        known.add("planted-value");
        let mut secrets = Secrets::new(known);
        let value = json!({
            "token": {"a": ["b"]},
            "clientSecret": 12,
            "planted-value": ["x planted-value"],
            "tokenOverHttp": true,
            "password": null,
            "name": "web",
        });
        let left = secrets.without(Content::Json(value));
        let expected = json!({
            "token": LEFT_OUT,
            "clientSecret": LEFT_OUT,
            LEFT_OUT: [format!("x {LEFT_OUT}")],
            "tokenOverHttp": true,
            "password": null,
            "name": "web",
        });
        assert_eq!(left, Content::Json(expected));
        assert_eq!(secrets.left_out(), 4);
    }
}
