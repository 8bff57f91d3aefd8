//! What a server would say of resources that are applied to it. Pure.

use std::path::Path;

use super::{
    InputError,
    snapshot::{Server, Snapshot},
};
use crate::resources::{Identity, Mesh, Origin, Resources};

/// What would come of them.
#[derive(Debug, Default)]
pub struct Applied {
    /// What it would not take, beyond what is wrong with the resources themselves.
    pub refused: Vec<InputError>,
    /// What else there is to say.
    pub notes: Vec<InputError>,
}

/// What would come of these, if they were applied to a server that has this.
pub fn judge(resources: &Resources, server: &Snapshot) -> Applied {
    let mut applied = Applied::default();
    let name = server.server.as_ref().map_or("the source", |server| server.name.as_str());
    let at = |message: String| InputError::new(Path::new(name), None, message);
    if let Some(why) = server.server.as_ref().and_then(|server| server.read_only) {
        applied.notes.push(at(why.to_owned()));
    }
    for resource in resources.all() {
        let identity = resource.identity();
        match refusal(&identity, server.server.as_deref(), resources, server) {
            Some(why) => applied.refused.push(at(format!("{identity} would be refused: {why}"))),
            None if server.resources.get(&identity).is_some() => {
                applied.notes.push(at(format!("{identity} would take the place of what is there")));
            }
            None => applied.notes.push(at(format!("{identity} would be new"))),
        }
    }
    applied
}

fn refusal(
    Identity { kind, key: (mesh, _) }: &Identity,
    server: Option<&Server>,
    resources: &Resources,
    Snapshot { resources: there, .. }: &Snapshot,
) -> Option<String> {
    if server.is_some_and(|server| server.lacks.contains(kind)) {
        return Some(format!("this version has no {kind}"));
    }
    let has_mesh =
        *kind == Mesh::KIND || there.meshes.contains_key(mesh) || resources.meshes.contains_key(mesh);
    (!has_mesh).then(|| format!("there is no mesh {mesh}"))
}

/// What there would be then. A control plane that tells where its policies are from says so of these, too.
pub fn apply(resources: &Resources, server: &Snapshot) -> Resources {
    let origin = origin(server);
    let mut after = server.resources.clone();
    for mut resource in resources.all() {
        if let Some(origin) = origin {
            resource.set_unknown_origin(origin);
        }
        after.add(resource);
    }
    after
}

/// Where policies are from that are applied to it, if it tells that of any.
fn origin(Snapshot { resources, server, .. }: &Snapshot) -> Option<Origin> {
    let server = server.as_ref()?;
    let tcp = resources.tcp_routes.values().map(|route| &route.header);
    let http = resources.http_routes.values().map(|route| &route.header);
    let tells = tcp.chain(http).any(|header| header.origin != Origin::Unknown)
        || resources.dataplanes.values().any(|dataplane| dataplane.meta.has_origin());
    tells.then_some(if server.is_global { Origin::Global } else { Origin::Zone })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sources;

    fn resources(text: &str) -> Resources {
        sources::parse(Path::new("a.yaml"), text.as_bytes()).unwrap()
    }

    fn route(mesh: &str, labels: &str) -> Resources {
        resources(&format!(
            "type: MeshTCPRoute\nname: r\nmesh: {mesh}\nlabels: {{{labels}}}\nspec: {{targetRef: {{kind: Mesh}}, to: [{{targetRef: {{kind: MeshService, name: s}}, rules: [{{default: {{backendRefs: [{{kind: MeshService, name: s, weight: 1}}]}}}}]}}]}}\n"
        ))
    }

    fn server(resources: Resources, lacks: &[&'static str], is_global: bool) -> Snapshot {
        let server =
            Server { name: "Kuma 2.4.10".to_owned(), lacks: lacks.to_vec(), read_only: None, is_global };
        Snapshot { resources, server: Some(Arc::new(server)), ..Snapshot::default() }
    }

    #[test]
    fn what_would_be_refused_is_told() {
        let there = resources("type: Mesh\nname: default\n");
        let told = |resources: &Resources, lacks: &[&'static str]| {
            let Applied { refused, notes } = judge(resources, &server(there.clone(), lacks, false));
            let all = refused.into_iter().chain(notes);
            all.map(|error| error.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&route("default", ""), &[]),
            ["Kuma 2.4.10: MeshTCPRoute r of mesh default would be new"]
        );
        assert_eq!(
            told(&route("nowhere", ""), &[]),
            ["Kuma 2.4.10: MeshTCPRoute r of mesh nowhere would be refused: there is no mesh nowhere"]
        );
        assert_eq!(
            told(&route("default", ""), &["MeshTCPRoute"]),
            [
                "Kuma 2.4.10: MeshTCPRoute r of mesh default would be refused: this version has no MeshTCPRoute"
            ]
        );
        assert_eq!(told(&there, &[]), ["Kuma 2.4.10: Mesh default would take the place of what is there"]);
    }

    #[test]
    fn policies_are_as_strong_as_the_control_plane_would_make_them() {
        let own = |server: &Snapshot| {
            let after = apply(&route("default", ""), server);
            after.tcp_routes.values().next().unwrap().header.origin
        };
        let zone = route("other", "kuma.io/origin: zone");
        assert_eq!(own(&server(zone.clone(), &[], false)), Origin::Zone);
        assert_eq!(own(&server(zone, &[], true)), Origin::Global);
        assert_eq!(own(&server(route("other", ""), &[], false)), Origin::Unknown);
    }
}
