//! What a collector's answer means for the spans that were sent (OTLP over HTTP, "Response").

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

/// What becomes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are there, but for some.
    Taken {
        /// How many the collector has left out.
        rejected: u64,
        /// What it says of that or, where it has taken all, of whatever it likes.
        remark: String,
    },
    /// They may be sent again.
    Again {
        /// Not before, if the collector has said so.
        after: Option<Duration>,
        why: String,
    },
    /// They must not be sent again.
    Refused { why: String },
}

/// What is wrong, as servers of gRPC and OTLP tell it (`google.rpc.Status`).
#[derive(Clone, PartialEq, Eq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
}

/// More of a message is not told.
const TOLD: usize = 300;

const PROTOBUF: &str = "application/x-protobuf";

impl Verdict {
    /// By an answer; `now` is the wall clock's.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Self {
        if status.is_success() {
            return taken(body);
        }
        let (code, message) = (status.as_u16(), message(headers, body));
        let hint = match code {
            401 | 403 => ": it wants another --otlp-token-file or --otlp-headers-file",
            404 => ": is it OTLP over HTTP, at this path?",
            _ => "",
        };
        let message = if message.is_empty() { message } else { format!(": {message}") };
        let why = format!("it says {code}{hint}{message}");
        match code {
            429 | 502..=504 => Self::Again { after: retry_after(headers, now), why },
            300..=399 => Self::Refused { why: format!("it leads elsewhere ({code}), where nothing is sent") },
            _ => Self::Refused { why },
        }
    }
}

/// What cannot be read of a success makes it no failure.
fn taken(body: &[u8]) -> Verdict {
    let partial = ExportTraceServiceResponse::decode(body).ok().and_then(|answer| answer.partial_success);
    let partial = partial.unwrap_or_default();
    let rejected = u64::try_from(partial.rejected_spans).unwrap_or_default();
    Verdict::Taken { rejected, remark: beginning(&partial.error_message) }
}

fn message(headers: &HeaderMap, body: &[u8]) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with(PROTOBUF) {
        return beginning(&Status::decode(body).unwrap_or_default().message);
    }
    if kind.starts_with("text/plain") {
        return beginning(&String::from_utf8_lossy(body));
    }
    String::new()
}

fn beginning(text: &str) -> String {
    text.trim().chars().take(TOLD).collect()
}

/// As seconds, or as the time until which to wait.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(until.duration_since(now).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn of(code: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Verdict {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Verdict::of(StatusCode::from_u16(code).unwrap(), &headers.collect(), body, NOW.parse().unwrap())
    }

    #[test]
    fn only_what_may_be_over_soon_is_tried_again() {
        for code in [429, 502, 503, 504] {
            assert!(matches!(of(code, &[], b""), Verdict::Again { after: None, .. }), "{code}");
        }
        for code in [300, 307, 400, 401, 403, 404, 408, 413, 415, 500, 501, 505] {
            assert!(matches!(of(code, &[], b""), Verdict::Refused { .. }), "{code}");
        }
        let taken = Verdict::Taken { rejected: 0, remark: String::new() };
        // Some answer with JSON, or nothing.
        for body in [&b""[..], b"{}", b"ok"] {
            assert_eq!(of(200, &[], body), taken);
        }
    }

    #[test]
    fn a_collector_says_how_long_to_wait() {
        let after = |text: &str| match of(503, &[("retry-after", text)], b"") {
            Verdict::Again { after, .. } => after.map(|after| after.as_secs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(after("7"), Some(7));
        assert_eq!(after("Fri, 02 Jan 2026 03:04:35 GMT"), Some(30));
        assert_eq!(after("Fri, 02 Jan 2026 03:04:00 GMT"), Some(0), "that is over");
        for nonsense in ["soon", "-1", ""] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn what_it_has_left_out_is_counted() {
        let partial = ExportTracePartialSuccess { rejected_spans: 3, error_message: "too old".to_owned() };
        let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        let found = of(200, &[], &answer);
        assert_eq!(found, Verdict::Taken { rejected: 3, remark: "too old".to_owned() });
    }

    #[test]
    fn why_is_told_in_its_words_and_not_at_length() {
        let status = Status { message: "no such tenant ".repeat(100) }.encode_to_vec();
        let Verdict::Refused { why } = of(400, &[("content-type", PROTOBUF)], &status) else { panic!() };
        assert!(why.starts_with("it says 400: no such tenant") && why.len() < 400, "{why}");
        let Verdict::Refused { why } = of(401, &[("content-type", "text/plain; charset=utf-8")], b"no\n")
        else {
            panic!()
        };
        assert!(why.contains("--otlp-token-file") && why.ends_with(": no"), "{why}");
        let Verdict::Refused { why } = of(404, &[("content-type", "text/html")], b"<html>") else { panic!() };
        assert!(!why.contains("html"), "{why}");
    }
}
