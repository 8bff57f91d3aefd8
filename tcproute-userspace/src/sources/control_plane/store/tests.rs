use std::time::Duration;

use super::{
    super::{access::url, kinds, pages::Pages},
    *,
};
use crate::sources::{documents::Strictness, snapshot::Rejection};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn store() -> Store {
    let rules = Rules { as_json: true, ..Strictness::Lenient.into() };
    Store::new(url("https://cp:5682").unwrap(), rules)
}

fn dataplanes() -> ListName {
    ListName::Of(MeshName::default(), &kinds::ALL[0])
}

fn dataplane(name: &str, address: &str) -> String {
    format!(
        r#"{{"type":"Dataplane","mesh":"default","name":"{name}","kri":"x","networking":{{"address":"{address}","inbound":[{{"port":1,"tags":{{"kuma.io/service":"s"}}}}]}}}}"#
    )
}

fn take(store: &mut Store, objects: &[String]) -> Result<bool, Failure> {
    let name = dataplanes();
    let total = objects.len();
    let page = format!(r#"{{"total":{total},"items":[{}],"next":null}}"#, objects.join(","));
    let mut pages: Pages<'_> = store.list(&name).known.read();
    pages.take(page.into())?;
    let whole = pages.whole();
    store.take(&name, whole, NOW)
}

fn names(store: &Store) -> Vec<String> {
    store.objects.resources.dataplanes.keys().map(|(_, name)| name.to_string()).collect()
}

fn rejection(store: &Store) -> Option<(String, Rejection)> {
    let rejected = store.objects.rejected.iter().next();
    rejected.map(|(subject, rejection)| (subject.to_string(), Rejection::clone(rejection)))
}

#[test]
fn objects_come_change_and_go() {
    let mut store = store();
    let (a, b) = (dataplane("a", "192.0.2.1"), dataplane("b", "192.0.2.2"));
    assert_eq!(take(&mut store, &[a.clone(), b.clone()]), Ok(true));
    assert!(store.objects.take_changed());
    assert_eq!(names(&store), ["a", "b"]);
    let before = store.objects.resources.clone();

    assert_eq!(take(&mut store, &[a.clone(), b.clone()]), Ok(false), "its text is the same");
    assert_eq!(take(&mut store, &[b.clone(), a.clone()]), Ok(true));
    assert!(!store.objects.take_changed(), "only their order has changed");
    let other = a.replace(r#""kri":"x""#, r#""kri":"y""#);
    assert_eq!(take(&mut store, &[b, other]), Ok(true));
    assert!(!store.objects.take_changed(), "nothing of it counts");
    assert_eq!(store.objects.resources, before);

    assert_eq!(take(&mut store, &[a]), Ok(true));
    assert!(store.objects.take_changed());
    assert_eq!(names(&store), ["a"]);
    store.dismiss(&dataplanes());
    assert_eq!(names(&store).len(), 0);
}

#[test]
fn an_object_is_refused_alone_and_its_last_good_form_stays() {
    let mut store = store();
    let (a, b) = (dataplane("a", "192.0.2.1"), dataplane("b", "192.0.2.2"));
    take(&mut store, &[a.clone(), b.clone()]).unwrap();
    let wrong = dataplane("a", "192.0.2.1").replace(r#""port":1"#, r#""port":"high""#);
    take(&mut store, &[wrong.clone(), b.clone()]).unwrap();
    assert_eq!(names(&store), ["a", "b"]);
    let (subject, Rejection { source, violations, kept, .. }) = rejection(&store).unwrap();
    assert_eq!((&*subject, source, kept), ("Dataplane a of mesh default", "control-plane", true));
    let told = violations[0].to_string();
    assert!(told.starts_with("meshes/default/dataplanes/a: networking.inbound[0].port: "), "{told}");
    let new = wrong.replace(r#""name":"a""#, r#""name":"c""#);
    take(&mut store, &[a, b, new]).unwrap();
    assert_eq!(names(&store), ["a", "b"]);
    let (subject, Rejection { kept, .. }) = rejection(&store).unwrap();
    assert_eq!((&*subject, kept), ("Dataplane c of mesh default", false));
}

#[test]
fn what_is_kept_is_what_the_next_daemon_begins_with() {
    let mut first = store();
    let all = [dataplane("a", "192.0.2.1"), dataplane("b", "192.0.2.2")];
    take(&mut first, &all).unwrap();
    let changes = first.take_changes();
    assert_eq!(
        changes.iter().map(|change| &*change.place).collect::<Vec<_>>(),
        ["https://cp:5682/meshes/default/dataplanes"]
    );
    let mut records: Vec<Record> = changes.into_iter().map(Change::into_record).collect();
    let other =
        Record { place: "https://other:5682/meshes/default/dataplanes".to_owned(), entries: Vec::new() };
    records.push(other);

    let mut next = store();
    next.begin_with(records.clone(), |_| true);
    assert_eq!(next.objects.resources, first.objects.resources);
    assert_eq!(next.stale(), 2);
    let forgotten = next.take_changes();
    assert_eq!(
        (forgotten.len(), forgotten[0].lines.entries(), &*forgotten[0].place),
        (1, 0, "https://other:5682/meshes/default/dataplanes")
    );
    next.objects.take_changed();
    take(&mut next, &all).unwrap();
    assert_eq!((next.stale(), next.objects.take_changed()), (0, false));

    let mut elsewhere = store();
    elsewhere.begin_with(records, |_| false);
    assert_eq!((names(&elsewhere).len(), elsewhere.take_changes().len()), (0, 2));
}

#[test]
fn what_the_control_plane_was_is_kept_too() {
    let index = r#"{"product":"Kuma","version":"2.14.3"}"#;
    let index: Index = serde_json::from_str(index).unwrap();
    let mut first = store();
    first.keep_index(&index);
    let mut next = store();
    let records = first.take_changes().into_iter().map(Change::into_record).collect();
    next.begin_with(records, |_| true);
    assert_eq!((next.kept_index, next.changes.len()), (Some(index), 0));
}

#[test]
fn only_what_has_changed_is_written_anew() {
    let mut store = store();
    let b = dataplane("b", "192.0.2.2");
    take(&mut store, &[dataplane("a", "192.0.2.1"), b.clone()]).unwrap();
    store.take_changes();
    take(&mut store, &[dataplane("a", "192.0.2.9"), b]).unwrap();
    let changes = store.take_changes();
    assert_eq!(
        (changes[0].lines.entries(), &changes[0].open),
        (1, &vec![["Dataplane", "default", "b"].map(str::to_owned).to_vec()])
    );
}

#[test]
fn a_list_that_fails_keeps_what_it_had_and_since_when() {
    let mut store = store();
    take(&mut store, &[dataplane("a", "192.0.2.1")]).unwrap();
    let list = store.list(&dataplanes());
    assert!(list.fail("why".to_owned(), NOW));
    assert!(!list.fail("why".to_owned(), NOW + Duration::from_secs(5)));
    assert!(list.fail("why else".to_owned(), NOW + Duration::from_secs(6)));
    assert_eq!(list.failing, Some(("why else".to_owned(), NOW)));
    assert_eq!(names(&store), ["a"]);
}
