//! A service, for people, with what the daemon of this node knows of its endpoints.

use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;

use super::{
    super::{age::age, text::Text},
    section, some,
};
use crate::{
    admin::{client, status::Status},
    routing::describe::{About, EndpointDescription, EndpointState, ServiceDescription},
};

/// Marks the endpoints that are ejected on this node. Fails if there is no daemon to ask.
pub(in crate::cli) async fn mark_ejected<'e>(
    endpoints: impl IntoIterator<Item = &'e mut EndpointDescription>,
    socket: &Path,
) -> Result<()> {
    let status: Status = client::ask(socket, "/v1/status").await?;
    let mut endpoints: Vec<&mut EndpointDescription> = endpoints.into_iter().collect();
    let now = Timestamp::now();
    for ejected in &status.ejected {
        let at = ejected.endpoint.to_string();
        for endpoint in endpoints.iter_mut().filter(|endpoint| endpoint.address == at) {
            if endpoint.state == EndpointState::In {
                let left = age(now, ejected.until);
                let (dataplane, backend) = (&ejected.dataplane, &ejected.backend);
                let why = format!("connections of {dataplane} by {backend} failed; in again in {left}");
                endpoint.state = EndpointState::Ejected(why);
            }
        }
    }
    Ok(())
}

pub(super) fn text(described: &ServiceDescription, not_asked: Option<anyhow::Error>) -> Text {
    let ServiceDescription { mesh, service, protocol, endpoints, policies, dialled_by } = described;
    let mut text = Text::of(format_args!("service {service} of mesh {mesh}, protocol {protocol}"));
    section(&mut text, "ENDPOINTS");
    if endpoints.is_empty() {
        text.line("none");
    } else {
        text.table(&["ADDRESS", "OF", "ZONE", "TAGS", "STATE"], &[], endpoints.iter().map(row));
    }
    if let Some(why) = not_asked {
        text.line(format_args!("which of them are ejected is not known: {why:#}"));
    }
    section(&mut text, "NAMED BY");
    if policies.is_empty() {
        text.line("  no policy: the destination itself");
    }
    for About { kind, name, target } in policies {
        text.line(format_args!("  {kind} {name}, for {target}"));
    }
    section(&mut text, "DIALLED BY");
    let by = if dialled_by.is_empty() { "no outbound that is written".to_owned() } else { some(dialled_by) };
    text.line(format_args!("  {by}"));
    text
}

fn row(endpoint: &EndpointDescription) -> Vec<String> {
    let state = match &endpoint.state {
        EndpointState::In => "in".to_owned(),
        EndpointState::Out(why) => format!("out: {why}"),
        EndpointState::Denied(why) => format!("does not count: {why}"),
        EndpointState::Ejected(why) => format!("ejected: {why}"),
    };
    let zone = endpoint.zone.clone().unwrap_or_else(|| "-".to_owned());
    vec![endpoint.address.clone(), endpoint.of.clone(), zone, endpoint.tags.clone(), state]
}
