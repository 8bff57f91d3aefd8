//! A batch as it is sent.

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::InstrumentationScope,
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use opentelemetry_semantic_conventions::{
    SCHEMA_URL,
    attribute::{HOST_NAME, K8S_NODE_NAME, SERVICE_NAME, SERVICE_VERSION},
};
use prost::Message as _;

use super::span::text;
use crate::version::VERSION;

/// Whose connections these are, in the conventions' word and as the instrument.
const NAME: &str = "tcproute";

/// Where spans are from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The name of this host.
    pub host: Option<String>,
    /// As the cluster calls it.
    pub node: Option<String>,
}

/// The body of a request.
pub(super) fn body(spans: Vec<Span>, origin: &Origin) -> Bytes {
    let scope = InstrumentationScope {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        ..InstrumentationScope::default()
    };
    let spans = ScopeSpans { scope: Some(scope), spans, schema_url: SCHEMA_URL.to_owned() };
    let resource = ResourceSpans {
        resource: Some(resource(origin)),
        scope_spans: vec![spans],
        schema_url: SCHEMA_URL.to_owned(),
    };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec().into()
}

fn resource(Origin { host, node }: &Origin) -> Resource {
    let known = [
        (SERVICE_NAME, Some(NAME)),
        (SERVICE_VERSION, Some(VERSION)),
        (HOST_NAME, host.as_deref()),
        (K8S_NODE_NAME, node.as_deref()),
    ];
    let attributes = known.into_iter().filter_map(|(key, value)| Some(text(key, value?))).collect();
    Resource { attributes, ..Resource::default() }
}

#[cfg(test)]
mod tests {
    use super::{super::span::tests::connection, *};
    use crate::{
        otlp::{
            Ratio,
            queue::BATCH,
            span::{Id, span},
        },
        trace::Outcome,
    };

    #[test]
    fn a_batch_is_one_of_this_node_and_far_below_what_a_collector_takes() {
        let id = Id { trace: u128::MAX, span: u64::MAX };
        let spans = vec![span(&connection(Outcome::Refused), id, Ratio::ALL); BATCH];
        let origin = Origin { host: Some("host-1".to_owned()), node: None };
        let body = body(spans.clone(), &origin);
        assert!(body.len() < 1 << 20, "{} bytes", body.len());
        println!("{} bytes a span", body.len() / BATCH);
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let of_node = &request.resource_spans[0];
        assert_eq!(of_node.scope_spans[0].spans, spans);
        let keys: Vec<_> = of_node.resource.iter().flat_map(|it| &it.attributes).map(|it| &*it.key).collect();
        assert_eq!(keys, ["service.name", "service.version", "host.name"]);
    }
}
