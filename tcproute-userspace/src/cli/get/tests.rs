//! Which of a list are meant.

use jiff::Timestamp;

use super::{
    super::{output::Named as _, text::Text},
    *,
};
use crate::{resources::Labels, routing::list::InboundItem};

fn dataplane(mesh: &str, name: &str, namespace: Option<&str>, tags: &[&[(&str, &str)]]) -> DataplaneItem {
    let inbound = |tags: &&[(&str, &str)]| InboundItem {
        service: Some("web".to_owned()),
        address: "10.0.0.1:80".to_owned(),
        tags: tags.iter().copied().collect(),
        ready: true,
    };
    DataplaneItem {
        mesh: mesh.to_owned(),
        name: namespace.map_or_else(|| name.to_owned(), |namespace| format!("{name}.{namespace}")),
        namespace: namespace.map(str::to_owned),
        address: None,
        gateway: false,
        workloads: Some(1),
        inbounds: tags.iter().map(inbound).collect(),
        outbounds: 2,
        labels: Labels::from([("team", "a")]),
        created: Some(Timestamp::UNIX_EPOCH),
    }
}

fn all() -> Vec<DataplaneItem> {
    vec![
        dataplane("default", "web", Some("shop"), &[&[("version", "v1")], &[("port", "admin")]]),
        dataplane("default", "web", Some("stage"), &[&[("version", "v2")]]),
        dataplane("default", "db.1", Some("shop"), &[]),
        dataplane("other", "web", None, &[]),
    ]
}

fn names(wanted: &Wanted<'_>) -> Vec<String> {
    wanted.of(all()).unwrap_or_else(|why| panic!("{why}")).names()
}

#[test]
fn lists_are_of_every_namespace_and_mesh_unless_one_is_asked_for() {
    assert_eq!(names(&Wanted::default()).len(), 4);
    let of_shop = Wanted { namespace: Some("shop"), ..Wanted::default() };
    assert_eq!(names(&of_shop), ["dataplane/web.shop", "dataplane/db.1.shop"]);
    assert_eq!(names(&Wanted { mesh: Some("other"), ..Wanted::default() }), ["dataplane/web"]);
    let none = Wanted { namespace: Some("nowhere"), ..Wanted::default() };
    assert_eq!(names(&none), Vec::<String>::new());
}

#[test]
fn a_name_is_with_its_namespace_or_without() {
    let of = |names| Wanted { names, ..Wanted::default() };
    assert_eq!(names(&of(vec!["web.shop"])), ["dataplane/web.shop"]);
    assert_eq!(names(&of(vec!["web"])), ["dataplane/web.shop", "dataplane/web.stage", "dataplane/web"]);
    assert_eq!(names(&of(vec!["db.1", "web.stage"])), ["dataplane/web.stage", "dataplane/db.1.shop"]);
    let unknown = of(vec!["web.shpo"]).of(all()).unwrap_err().to_string();
    assert_eq!(unknown, "there is no dataplane \"web.shpo\", did you mean \"web.shop\"?");
    let in_shop = Wanted { namespace: Some("shop"), ..of(vec!["web"]) };
    assert_eq!(names(&in_shop), ["dataplane/web.shop"]);
}

#[test]
fn labels_are_those_of_the_whole_and_of_one_of_its_parts() {
    let of = |text: &str| {
        let selector = selector(text).unwrap();
        names(&Wanted { selector: Some(&selector), ..Wanted::default() })
    };
    assert_eq!(of("version=v1"), ["dataplane/web.shop"]);
    assert_eq!(of("team=a,version in (v1,v2)"), ["dataplane/web.shop", "dataplane/web.stage"]);
    assert_eq!(of("version=v1,port=admin"), Vec::<String>::new(), "they are of two inbounds");
    assert_eq!(of("!version"), ["dataplane/web.shop", "dataplane/db.1.shop", "dataplane/web"]);
}

#[test]
fn one_that_is_named_is_an_object_and_others_are_an_array() {
    let json = |names: Vec<&str>| {
        let found = Wanted { names, ..Wanted::default() }.of(all()).unwrap();
        serde_json::to_value(&found).unwrap()
    };
    assert_eq!(json(vec!["web.shop"])["name"], "web.shop");
    assert_eq!(json(vec!["web.shop"])["created"], "1970-01-01T00:00:00Z");
    assert_eq!(json(vec!["web.shop", "web.stage"]).as_array().map(Vec::len), Some(2));
    assert_eq!(json(vec!["web"]).as_array().map(Vec::len), Some(3));
}

#[test]
fn tables_have_ages_and_are_wide_on_demand() {
    let now: Timestamp = "1970-01-04T04:00:00Z".parse().unwrap();
    let found = Wanted { names: vec!["web.shop"], ..Wanted::default() }.of(all()).unwrap();
    let lines = |wide| found.table(wide, now).to_string().lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        lines(false),
        [
            "NAME      MESH     ADDRESS  SERVES  READY  OUTBOUNDS  HERE  AGE",
            "web.shop  default  -        web     2/2            2  yes   3d4h",
        ]
    );
    assert!(lines(true)[1].ends_with("10.0.0.1:80 version=v1, 10.0.0.1:80 port=admin  team=a"));
    assert_eq!(Wanted::default().of(Vec::<DataplaneItem>::new()).unwrap().table(true, now), Text::default());
}
