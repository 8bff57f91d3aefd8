//! What is dialled on Kubernetes, where Dataplanes have no outbounds, and whose policies reach whom.

use super::*;

const POD: &str = "
apiVersion: kuma.io/v1alpha1
kind: Dataplane
mesh: default
metadata: {name: web, namespace: shop}
spec: {networking: {address: 10.42.0.5, inbound: [{port: 80, tags: {kuma.io/service: web_shop_svc_80}}]}}
---
apiVersion: kuma.io/v1alpha1
kind: Dataplane
mesh: default
metadata: {name: pg-0, namespace: data}
spec: {networking: {address: 10.42.0.9, inbound: [{port: 15432, tags: {kuma.io/service: pg_data_svc_5432}}]}}
";

fn service(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: Service, metadata: {{name: pg, namespace: data}}, spec: {spec}}}")
}

fn dialled(texts: &[&str], options: Options) -> Vec<String> {
    let routes = resolver(texts, options).resolve(&MeshName::default(), "web").unwrap();
    routes.routes.iter().map(|route| format!("{} {}", route.dialled, route.destination.service)).collect()
}

#[test]
fn the_addresses_of_services_are_outbounds() {
    let cluster = service(
        "{clusterIP: 10.43.0.7, clusterIPs: [10.43.0.7, 'fd00::7'], ports: [{port: 5432, protocol: TCP}, {port: 53, protocol: UDP}]}",
    );
    for options in [Options::default(), LATEST] {
        let expected = ["10.43.0.7:5432 pg_data_svc_5432", "[fd00::7]:5432 pg_data_svc_5432"];
        assert_eq!(dialled(&[POD, &cluster], options), expected);
    }
    // In version 3 they are resources of Kuma.
    assert_eq!(dialled(&[POD, &cluster], V3).len(), 0);
    // No pod of the mesh is behind it.
    let other = cluster.replace("name: pg,", "name: other,");
    assert_eq!(dialled(&[POD, &other], LATEST).len(), 0);
    assert_eq!(
        dialled(&[POD, &service("{type: ExternalName, externalName: x.example.com}")], LATEST).len(),
        0
    );
}

#[test]
fn pods_of_a_headless_service_are_dialled_at_their_own_addresses_and_its_port() {
    let headless = service("{clusterIP: None, ports: [{port: 5432}]}");
    assert_eq!(dialled(&[POD, &headless], Options::default()), ["10.42.0.9:5432 pg_data_svc_5432"]);
}

#[test]
fn a_pod_does_not_reach_itself_through_the_proxy() {
    let own = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: None, ports: [{port: 80}]}}";
    assert_eq!(dialled(&[POD, own], Options::default()).len(), 0);
}

#[test]
fn a_service_that_comes_and_goes_is_followed() {
    let cluster = service("{clusterIP: 10.43.0.7, ports: [{port: 5432}]}");
    let mut resolver = resolver(&[POD], LATEST);
    let mut routes = resolver.resolve(&MeshName::default(), "web").unwrap();
    let update = resolver.update(resources(&[POD, &cluster]), dns());
    assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
    assert_eq!(routes.routes.len(), 1);
    let update = resolver.update(resources(&[POD.split("---").next().unwrap(), &cluster]), dns());
    assert!(refresh(&mut resolver, &mut routes, &update).unwrap());
    assert_eq!(routes.routes.len(), 0);
}

#[test]
fn the_role_of_a_policy_is_told_by_whose_services_it_is_about() {
    let cluster = service("{clusterIP: 10.43.0.7, ports: [{port: 5432}]}");
    let policy = |namespace: &str, to: &str| {
        format!(
            "{{apiVersion: kuma.io/v1alpha1, kind: MeshTCPRoute, metadata: {{name: r, namespace: {namespace}}}, \
             spec: {{targetRef: {{kind: Mesh}}, to: [{{targetRef: {to}, \
             rules: [{{default: {{backendRefs: [{{kind: MeshService, name: other}}]}}}}]}}]}}}}"
        )
    };
    let applies = |namespace: &str, more: &str| {
        let policy = policy(namespace, &format!("{{kind: MeshService, name: pg_data_svc_5432{more}}}"));
        let routes =
            resolver(&[POD, &cluster, &policy], LATEST).resolve(&MeshName::default(), "web").unwrap();
        first_backend(&routes) == "other"
    };
    // A producer's policy is for all, and the operator's as well.
    assert!(applies("data", ""));
    assert!(applies("kuma-system", ", namespace: data"));
    // A consumer's is for its own namespace.
    assert!(applies("shop", ", namespace: data"));
    assert!(!applies("elsewhere", ", namespace: data"));
}
