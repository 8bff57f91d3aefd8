//! A connection as a span. Names of attributes are those of the semantic conventions, where these have one.

use std::net::SocketAddr;

use clap::ValueEnum as _;
use jiff::Timestamp;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value},
    trace::v1::{Span, Status, span::SpanKind, status::StatusCode},
};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT, NETWORK_TRANSPORT, NETWORK_TYPE, PROCESS_PID,
    SERVER_ADDRESS, SERVER_PORT, THREAD_NAME,
};

use super::sampling::Ratio;
use crate::trace::{Connection, Decision, Outcome};

/// The mesh of the workload's Dataplane.
const MESH: &str = "tcproute.mesh";
/// The Dataplane itself.
const DATAPLANE: &str = "tcproute.dataplane";
/// The destination service.
const SERVICE: &str = "tcproute.service";
/// The target of the backendRef that was chosen.
const BACKEND_REF: &str = "tcproute.backend_ref";
/// The policies that contributed, from weak to strong.
const POLICIES: &str = "tcproute.policies";
/// What was decided: `routed`, `refused` or `left`.
const DECISION: &str = "tcproute.decision";
/// What came of it, by the names that `tcproute trace` has.
const OUTCOME: &str = "tcproute.outcome";

/// Sampled, and its number is random (W3C Trace Context).
const FLAGS: u32 = 0b11;

/// The numbers of a span, both random.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id {
    pub(super) trace: u128,
    pub(super) span: u64,
}

/// A trace of its own: the kernel knows nothing of those of the application.
pub(super) fn span(connection: &Connection, id: Id, ratio: Ratio) -> Span {
    let Connection { decision, outcome, ended, .. } = connection;
    let mut name = "connect".to_owned();
    if !decision.service.is_empty() {
        name = format!("{name} {}", decision.service);
    }
    let begin = nanoseconds(decision.time);
    Span {
        trace_id: id.trace.to_be_bytes().to_vec(),
        span_id: id.span.to_be_bytes().to_vec(),
        trace_state: ratio.state(),
        flags: FLAGS,
        name,
        kind: SpanKind::Client.into(),
        start_time_unix_nano: begin,
        end_time_unix_nano: nanoseconds(*ended).max(begin),
        attributes: attributes(decision, *outcome),
        status: has_failed(*outcome)
            .then(|| Status { code: StatusCode::Error.into(), message: outcome.name().to_owned() }),
        ..Span::default()
    }
}

fn attributes(decision: &Decision, outcome: Outcome) -> Vec<KeyValue> {
    let Decision { dialled, endpoint, left, .. } = decision;
    // Where it goes is not known of what is left to others, and of what others have led away.
    let peer = endpoint.filter(|_| left.is_none() && outcome != Outcome::Elsewhere);
    let mut all = vec![
        text(NETWORK_TRANSPORT, "tcp"),
        text(NETWORK_TYPE, if peer.unwrap_or(*dialled).is_ipv4() { "ipv4" } else { "ipv6" }),
    ];
    all.extend(place(*dialled, SERVER_ADDRESS, SERVER_PORT));
    all.extend(peer.into_iter().flat_map(|peer| place(peer, NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT)));
    all.extend(decision.pid.map(|pid| number(PROCESS_PID, pid.into())));
    let named = [
        (THREAD_NAME, decision.command.as_str()),
        (MESH, &decision.mesh),
        (DATAPLANE, &decision.dataplane),
        (SERVICE, &decision.service),
        (BACKEND_REF, decision.backend.as_deref().unwrap_or_default()),
    ];
    all.extend(named.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| text(key, value)));
    if !decision.policies.is_empty() {
        let values = decision.policies.iter().map(|policy| any(Value::StringValue(policy.clone()))).collect();
        all.push(attribute(POLICIES, Value::ArrayValue(ArrayValue { values })));
    }
    let decided = match (left, endpoint) {
        (Some(_), _) => "left",
        (None, None) => "refused",
        (None, Some(_)) => "routed",
    };
    let key = key(outcome);
    all.extend([text(DECISION, decided), text(OUTCOME, &key)]);
    all.extend(has_failed(outcome).then(|| text(ERROR_TYPE, &key)));
    all
}

/// Whether connect() has given no connection.
const fn has_failed(outcome: Outcome) -> bool {
    match outcome {
        Outcome::NoEndpoint
        | Outcome::Refused
        | Outcome::Unreachable
        | Outcome::TimedOut
        | Outcome::Aborted
        | Outcome::Unsent
        | Outcome::Failed => true,
        Outcome::Pending
        | Outcome::Established
        | Outcome::SourceBound
        | Outcome::Held
        | Outcome::MarkTaken
        | Outcome::Elsewhere => false,
    }
}

/// As programs read it.
fn key(outcome: Outcome) -> String {
    outcome.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn place(place: SocketAddr, address: &str, port: &str) -> [KeyValue; 2] {
    [text(address, &place.ip().to_string()), number(port, place.port().into())]
}

/// An attribute that is a text.
pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

const fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::trace::Left;

    /// Of web to 127.0.0.2, dialled at 127.0.0.1; it took 250 µs.
    pub(in super::super) fn connection(outcome: Outcome) -> Connection {
        let time = Timestamp::from_microsecond(1_700_000_000_000_000).unwrap();
        let decision = Decision {
            cookie: 1,
            time,
            pid: Some(7),
            command: "psql".to_owned(),
            mesh: "default".to_owned(),
            dataplane: "web".to_owned(),
            service: "db".to_owned(),
            dialled: ([127, 0, 0, 1], 5432).into(),
            policies: vec!["weak".to_owned(), "strong".to_owned()],
            backend: Some("MeshServiceSubset db v=a".to_owned()),
            endpoint: Some(([127, 0, 0, 2], 5433).into()),
            left: None,
        };
        let ended = Timestamp::from_microsecond(1_700_000_000_000_250).unwrap();
        Connection { decision, outcome, microseconds: Some(250), ended }
    }

    fn of(connection: &Connection) -> Span {
        span(connection, Id { trace: 1 << 120, span: 2 }, Ratio::ALL)
    }

    fn shown(span: &Span) -> Vec<(&str, String)> {
        fn value(of: &AnyValue) -> String {
            match &of.value {
                Some(Value::StringValue(text)) => text.clone(),
                Some(Value::IntValue(number)) => number.to_string(),
                Some(Value::ArrayValue(all)) => all.values.iter().map(value).collect::<Vec<_>>().join(","),
                other => panic!("{other:?}"),
            }
        }
        span.attributes.iter().map(|it| (it.key.as_str(), value(it.value.as_ref().unwrap()))).collect()
    }

    #[test]
    fn a_connection_is_a_span_by_the_conventions() {
        let span = of(&connection(Outcome::Established));
        assert_eq!((&*span.name, span.kind()), ("connect db", SpanKind::Client));
        assert_eq!((span.trace_id[0], span.trace_id.len(), span.span_id.len()), (1, 16, 8));
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 250_000);
        assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_000_000);
        assert_eq!(span.status, None, "that it is well is not for an exporter to say");
        let all = [
            ("network.transport", "tcp"),
            ("network.type", "ipv4"),
            ("server.address", "127.0.0.1"),
            ("server.port", "5432"),
            ("network.peer.address", "127.0.0.2"),
            ("network.peer.port", "5433"),
            ("process.pid", "7"),
            ("thread.name", "psql"),
            ("tcproute.mesh", "default"),
            ("tcproute.dataplane", "web"),
            ("tcproute.service", "db"),
            ("tcproute.backend_ref", "MeshServiceSubset db v=a"),
            ("tcproute.policies", "weak,strong"),
            ("tcproute.decision", "routed"),
            ("tcproute.outcome", "established"),
        ];
        assert_eq!(shown(&span), all.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn failures_are_errors_with_a_type() {
        for (outcome, error) in [
            (Outcome::Refused, Some("refused")),
            (Outcome::TimedOut, Some("timed-out")),
            (Outcome::Aborted, Some("aborted")),
            (Outcome::Pending, None),
            (Outcome::Elsewhere, None),
        ] {
            let span = of(&connection(outcome));
            let attributes = shown(&span);
            let found =
                attributes.iter().find(|(key, _)| *key == ERROR_TYPE).map(|(_, value)| value.as_str());
            assert_eq!(found, error);
            let code = span.status.as_ref().map(Status::code);
            assert_eq!(code, error.map(|_| StatusCode::Error));
        }
    }

    #[test]
    fn where_it_goes_is_told_only_of_what_is_known() {
        let decided = |connection: &Connection| {
            let span = of(connection);
            let has_peer = span.attributes.iter().any(|it| it.key == NETWORK_PEER_ADDRESS);
            let decision = shown(&span).into_iter().find(|(key, _)| *key == DECISION).unwrap().1;
            (decision, has_peer)
        };
        assert_eq!(decided(&connection(Outcome::Pending)), ("routed".to_owned(), true));
        assert_eq!(decided(&connection(Outcome::Elsewhere)), ("routed".to_owned(), false));
        let mut left = connection(Outcome::Held);
        left.decision.left = Some(Left::Held);
        assert_eq!(decided(&left), ("left".to_owned(), false));
        let mut refused = connection(Outcome::NoEndpoint);
        refused.decision.endpoint = None;
        assert_eq!(decided(&refused), ("refused".to_owned(), false));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut unknown = connection(Outcome::Established);
        unknown.decision = Decision {
            pid: None,
            command: String::new(),
            mesh: String::new(),
            dataplane: String::new(),
            service: String::new(),
            policies: Vec::new(),
            backend: None,
            endpoint: Some("[2001:db8::1]:1".parse().unwrap()),
            ..unknown.decision
        };
        // A clock that was set meanwhile makes no time run backwards.
        unknown.ended = Timestamp::UNIX_EPOCH;
        let span = of(&unknown);
        assert_eq!(span.name, "connect");
        assert_eq!(span.end_time_unix_nano, span.start_time_unix_nano);
        let shown = shown(&span);
        let keys: Vec<&str> = shown.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys.len(), 8, "{keys:?}");
        assert!(shown.contains(&("network.type", "ipv6".to_owned())));
    }
}
