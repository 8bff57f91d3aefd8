//! Lists of what there is.

use super::*;
use crate::routing::{
    describe::EndpointState,
    list::{EndpointItem, PolicyItem, ServiceItem, routes},
};

const DB: &str = "
type: Dataplane
name: db-1
creationTime: 2026-01-02T03:04:05Z
labels: {team: storage}
networking:
  address: 10.0.1.1
  inbound:
    - {port: 5432, tags: {kuma.io/service: db, version: v1}}
    - {port: 5433, tags: {kuma.io/service: db, version: v2}, health: {ready: false}}
";

const SPLIT: &str = "
type: MeshTCPRoute
name: split
mesh: default
spec:
  targetRef: {kind: MeshService, name: web}
  to:
    - targetRef: {kind: MeshService, name: db}
      rules:
        - default:
            backendRefs:
              - {kind: MeshServiceSubset, name: db, tags: {version: v1}, weight: 3}
              - {kind: MeshServiceSubset, name: db, tags: {version: v9}, weight: 1}
";

#[test]
fn dataplanes_are_listed_with_what_they_serve() {
    let all = resolver(&[WEB, DB], Options::default()).list_dataplanes();
    assert_eq!(all.iter().map(|item| &*item.name).collect::<Vec<_>>(), ["db-1", "web"]);
    let db = &all[0];
    assert_eq!(db.created.map(|at| at.to_string()).as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!((db.labels.get("team"), db.namespace.as_deref(), db.outbounds), (Some("storage"), None, 0));
    assert_eq!(db.inbounds.iter().map(|inbound| inbound.ready).collect::<Vec<_>>(), [true, false]);
    assert_eq!((all[1].outbounds, all[1].inbounds[1].service.as_deref()), (1, Some("web-admin")));
}

#[test]
fn services_are_listed_with_how_many_endpoints_are_in() {
    let resolver = resolver(&[WEB, DB, SPLIT], Options::default());
    let all = resolver.list_services();
    let of = |name: &str| all.iter().find(|item| item.name == name);
    let ServiceItem { endpoints, out, kind, port, .. } = of("db").unwrap();
    assert_eq!((*endpoints, *out, &**kind, *port), (1, 1, "kuma.io/service", None));
    assert!(of("web").is_some() && of("nothing").is_none());
    let endpoints: Vec<EndpointItem> =
        resolver.list_endpoints().into_iter().filter(|item| item.service == "db").collect();
    let states: Vec<_> = endpoints.iter().map(|it| (&*it.endpoint.address, &it.endpoint.state)).collect();
    let why = "a health check of it has failed".to_owned();
    assert_eq!(states, [("10.0.1.1:5432", &EndpointState::In), ("10.0.1.1:5433", &EndpointState::Out(why))]);
    assert_eq!(endpoints[0].tags.get("version"), Some("v1"));
    let json = serde_json::to_string(&endpoints).unwrap();
    assert_eq!(serde_json::from_str::<Vec<EndpointItem>>(&json).unwrap(), endpoints, "{json}");
}

#[test]
fn policies_and_routes_are_listed() {
    let mut resolver = resolver(&[WEB, DB, SPLIT], Options::default());
    let [PolicyItem { name, to, backends, role, shadow, .. }] = &*resolver.list_policies() else {
        panic!("one policy")
    };
    assert_eq!((&**name, &**to, *backends), ("split", ["db".to_owned()].as_slice(), 2));
    assert_eq!((&**role, *shadow), ("system", false));
    let all: Vec<_> = routes(&resolver.resolve(&MeshName::default(), "web").unwrap()).collect();
    let [route] = &*all else { panic!("{all:?}") };
    assert_eq!((&*route.service, route.routed), ("db", true));
    let shares: Vec<_> = route.backends.iter().map(|it| (it.share, it.endpoints)).collect();
    assert_eq!(shares, [(0.75, 1), (0.25, 0)]);
}
