use std::fs;

use serde_json::{Value, json};
use tcproute_tests::{
    client::{ask, knock},
    is_root,
    mesh::Mesh,
    replace, wait_for,
};

use super::fixture::Setup;

fn backends(view: &Value) -> &Vec<Value> {
    view["routes"][0]["backends"].as_array().unwrap()
}

#[test]
fn the_stream_tells_the_split_that_the_clients_saw() {
    if !is_root("the_stream_tells_the_split_that_the_clients_saw") {
        return;
    }
    let setup = Setup::new(&[("a", 3), ("b", 1)]);
    let mut daemon = setup.daemon(&[]);
    let mut stream = setup.stream("?filter=db&sort=busiest");
    assert_eq!(stream.code(), 200, "{}", stream.head);
    let head = stream.head.to_lowercase();
    for header in
        ["content-type: text/event-stream", "cache-control: no-store", "x-content-type-options: nosniff"]
    {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    let first = stream.view();
    let shares: Vec<&Value> = backends(&first).iter().map(|it| &it["share"]).collect();
    assert_eq!(shares, [&json!(0.75), &json!(0.25)]);
    assert_eq!(backends(&first)[0]["observed"], Value::Null);
    assert_eq!((&first["node"]["ready"], &first["totals"]["routes"]), (&json!(true), &json!(1)));

    let seen = ask(&setup.cgroup, setup.dialled, 200);
    let told = stream.view_where("all are told", |view| {
        backends(view).iter().filter_map(|it| it["chosen"].as_u64()).sum::<u64>() == 200
    });
    let chosen: Vec<u64> = backends(&told).iter().map(|it| it["chosen"].as_u64().unwrap()).collect();
    println!("the clients saw {seen:?}, the page {chosen:?}");
    assert_eq!(chosen, [seen["a"], seen["b"]]);
    let observed = backends(&told)[0]["observed"].as_f64().unwrap();
    assert!((observed - f64::from(u32::try_from(seen["a"]).unwrap()) / 200.0).abs() < 1e-9, "{observed}");

    // Then nothing happens, and the rate is 0 again.
    stream.view_where("it is quiet", |view| view["totals"]["rate"]["established"] == 0.0);
    assert_eq!(daemon.stop(), Some(0));
    println!("after the end: {:?}", stream.rest());
}

#[test]
fn what_is_refused_is_told_and_why() {
    if !is_root("what_is_refused_is_told_and_why") {
        return;
    }
    let setup = Setup::new(&[("a", 1), ("c", 3)]);
    let daemon = setup.daemon(&[]);
    let mut stream = setup.stream("?show=trouble");
    let view = stream.view();
    let trouble = view["routes"][0]["trouble"][0].as_str().unwrap();
    assert!(trouble.contains("75.0 % of its connections are refused: no endpoint"), "{view}");
    knock(&setup.cgroup, setup.dialled, 100);
    let refused = |view: &Value| backends(view)[1]["counts"]["noEndpoint"].as_u64().unwrap_or_default();
    let told = stream.view_where("they are refused", |view| refused(view) > 0);
    assert_eq!(backends(&told)[1]["endpoints"], json!([]));

    let wrong = setup.mesh.text() + "---\ntype: MeshTCPRoute\nname: broken\nspec: {to: 7}\n";
    replace(&setup.mesh.file_path(), &wrong);
    let told = stream.view_where("it is refused", |view| view["problems"] != json!([]));
    println!("{}", told["problems"]);
    assert_eq!(told["problems"][0]["kind"], "refused");
    assert!(told["problems"][0]["what"].as_str().unwrap().contains("broken"));
    assert!(told["problems"][0]["why"][0].as_str().unwrap().contains("spec.to"), "{}", told["problems"]);

    // Weights that are changed are told, too.
    let mut changed = Mesh::new();
    changed.outbound("db", setup.dialled).split("db", &[("a", 1), ("c", 0)]);
    changed.endpoint("db", "a", setup.servers[0].address());
    fs::write(setup.mesh.file_path(), changed.text()).unwrap();
    wait_for("it is in force", || daemon.json("/v1/routes")[0]["routes"][0]["backends"][1]["weight"] == 0);
    let mut other = setup.stream("");
    let view = other.view_where("it is told", |view| backends(view)[0]["share"] == 1.0);
    assert!(view["problems"].as_array().unwrap().iter().all(|it| it["kind"] == "warning"), "{view}");
}
