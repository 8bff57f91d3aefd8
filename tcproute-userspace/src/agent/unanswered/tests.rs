use std::{io::Write as _, net::SocketAddr};

use super::*;
use crate::{
    resources::MeshName,
    routing::{DnsAnswers, Options, Resolver},
    sources::{Strictness, load},
};

const WEB: &str = "
type: Dataplane
name: web
networking:
  address: 10.0.0.1
  inbound:
    - {port: 80, tags: {kuma.io/service: web}}
  outbound:
    - {port: 1000, tags: {kuma.io/service: db}}
    - {port: 1001, tags: {kuma.io/service: near}}
---
type: Dataplane
name: near
networking:
  address: 10.0.1.1
  inbound:
    - {port: 5432, tags: {kuma.io/service: near}}
    - {port: 5433, tags: {kuma.io/service: other}}
---
type: ExternalService
name: far
tags: {kuma.io/service: far}
networking: {address: 'far.example.com:5432'}
";

/// The routes of `web`, of which these services are led to others.
fn routes(led: &[(&str, &str)], addresses: &[&str]) -> Arc<DataplaneRoutes> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(WEB.as_bytes()).unwrap();
    for (service, to) in led {
        writeln!(
            file,
            "---\ntype: MeshTCPRoute\nname: {service}\nspec:\n  targetRef: {{kind: Mesh}}\n  to:\n    \
             - targetRef: {{kind: MeshService, name: {service}}}\n      \
             rules: [{{default: {{backendRefs: [{{kind: MeshService, name: {to}}}]}}}}]"
        )
        .unwrap();
    }
    let resources = load(&[file.path().to_path_buf()], Strictness::Strict).unwrap();
    let addresses: Vec<_> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
    let dns = DnsAnswers::from([("far.example.com".to_owned(), addresses)]);
    let mut resolver = Resolver::new(resources, dns, Options::default());
    Arc::new(resolver.resolve(&MeshName::default(), "web").unwrap())
}

fn leads_to(answered: &Answered, port: u16) -> Vec<String> {
    let route = answered.routes().routes.at(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    let endpoints = route.destination.backends.iter().flat_map(|backend| backend.endpoints.iter());
    endpoints.map(ToString::to_string).collect()
}

const NEAR: [(&str, &str); 1] = [("db", "near")];
const FAR: [(&str, &str); 2] = [("db", "far"), ("near", "other")];

fn known(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_route_to_a_new_name_stays_what_it_was_until_that_is_answered() {
    let now = Instant::now();
    let mut answered = Answered::new(routes(&NEAR, &[]));
    let unknown = routes(&FAR, &[]);
    assert!(answered.take(&unknown, &known(&[]), now));
    assert!(answered.is_waiting());
    assert_eq!(leads_to(&answered, 1000), ["10.0.1.1:5432"]);
    assert_eq!(leads_to(&answered, 1001), ["10.0.1.1:5433"], "others do not wait");

    assert!(!answered.take(&unknown, &known(&[]), now + PATIENCE / 2), "nothing new");
    assert!(answered.is_waiting());
    let found = routes(&FAR, &["192.0.2.1"]);
    assert!(answered.take(&found, &known(&["far.example.com"]), now + PATIENCE / 2));
    assert!(!answered.is_waiting());
    assert_eq!(leads_to(&answered, 1000), ["192.0.2.1:5432"]);
    assert!(Arc::ptr_eq(answered.routes(), &found));
}

#[test]
fn what_is_refused_or_was_waited_for_is_in_force() {
    let now = Instant::now();
    let unknown = routes(&FAR, &[]);
    for (names, later) in [(&["far.example.com"][..], Duration::ZERO), (&[], PATIENCE)] {
        let mut answered = Answered::new(routes(&NEAR, &[]));
        assert!(answered.take(&unknown, &known(&[]), now));
        assert!(answered.take(&unknown, &known(names), now + later), "{names:?}");
        assert!(!answered.is_waiting());
        assert_eq!(leads_to(&answered, 1000), [""; 0]);
    }
}

#[test]
fn what_has_been_nowhere_before_is_not_waited_for() {
    let mut answered = Answered::new(routes(&FAR, &[]));
    assert!(!answered.is_waiting());
    assert!(!answered.take(&routes(&FAR, &[]), &known(&[]), Instant::now()));
    assert_eq!(leads_to(&answered, 1000), [""; 0]);
}

#[test]
fn each_route_is_waited_for_by_itself() {
    let now = Instant::now();
    let later = now + PATIENCE / 2;
    let mut answered = Answered::new(routes(&[], &[]));
    let none = routes(&[("db", "near"), ("near", "other")], &[]);
    assert!(!answered.take(&none, &known(&[]), now));
    answered.take(&routes(&[("db", "far"), ("near", "other")], &[]), &known(&[]), now);
    let both = routes(&[("db", "far"), ("near", "far")], &[]);
    answered.take(&both, &known(&[]), later);
    let leads = |answered: &Answered| [1000, 1001].map(|port| leads_to(answered, port).concat());
    assert_eq!(leads(&answered), ["10.0.1.1:5432", "10.0.1.1:5433"]);
    assert!(answered.take(&both, &known(&[]), now + PATIENCE));
    assert_eq!(leads(&answered), ["", "10.0.1.1:5433"], "the later one has time left");
    assert!(answered.take(&both, &known(&[]), later + PATIENCE));
    assert_eq!(leads(&answered), ["", ""]);
    assert!(!answered.is_waiting());
}
