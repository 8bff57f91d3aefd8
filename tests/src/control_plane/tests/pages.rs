//! Faults of lists, each over a real socket.

use super::{
    super::{Fault, Options, Server},
    get, page, read, with_dataplanes,
};

const LIST: &str = "/meshes/default/dataplanes";

fn server() -> Server {
    let server = Server::start(Options::default());
    with_dataplanes(&server, 5);
    server
}

fn names(of: &[usize]) -> Vec<String> {
    of.iter().map(|at| format!("dp-{at}")).collect()
}

#[test]
fn without_faults_all_is_read_once() {
    assert_eq!(read(&server(), LIST), names(&[1, 2, 3, 4, 5]));
}

#[test]
fn an_empty_list_is_a_list() {
    let server = server();
    server.fault(LIST, Fault::Empty, Some(1));
    assert_eq!(get(&server, LIST).body, r#"{"total":0,"items":[],"next":null}"#);
    assert_eq!(page(&server, LIST).0.len(), 5);
}

#[test]
fn total_moves_between_pages() {
    let server = server();
    server.fault(LIST, Fault::TotalMoves, Some(1));
    let total = |path: &str| page(&server, &format!("{LIST}{path}")).1;
    assert_eq!(total("?size=2"), 5);
    assert_eq!(total("?size=2&offset=2"), 6);
    assert_eq!(total("?size=2&offset=4"), 5);
}

#[test]
fn an_item_comes_twice_and_one_does_not_come() {
    let server = server();
    server.fault(LIST, Fault::Twice, Some(1));
    assert_eq!(read(&server, LIST), names(&[1, 2, 2, 3, 4]));
    // From now on it is as it is.
    let all = read(&server, LIST);
    assert!(all[0].starts_with("0-moved-"), "{all:?}");
    assert_eq!(all[1..], names(&[1, 2, 3, 4]));
    assert_eq!(server.names("Dataplane", "default"), all);
}

#[test]
fn an_item_is_skipped_while_total_stays() {
    let server = server();
    server.fault(LIST, Fault::ShiftBetweenPages, Some(1));
    let torn = read(&server, LIST);
    assert_eq!(torn.len(), 5);
    assert_eq!(torn[..4], names(&[1, 2, 4, 5]));
    assert!(torn[4].starts_with("zzz-moved-"), "{torn:?}");
    let all = read(&server, LIST);
    assert_eq!(all[..4], names(&[2, 3, 4, 5]));
    assert_eq!(all[4], torn[4]);
}

#[test]
fn a_short_page_leads_to_the_rest() {
    let server = server();
    server.fault(LIST, Fault::Short, Some(1));
    let (first, total, next) = page(&server, &format!("{LIST}?size=3"));
    assert_eq!((first, total, next.as_deref()), (names(&[1, 2]), 5, Some("2")));
    server.fault(LIST, Fault::Short, None);
    assert_eq!(read(&server, LIST), names(&[1, 2, 3, 4, 5]));
}

#[test]
fn fields_are_dropped() {
    let server = server();
    server.fault(LIST, Fault::DropsFields, Some(1));
    let bare = r#"{"type":"Dataplane","mesh":"default","name":"dp-1"}"#;
    let body = get(&server, &format!("{LIST}?size=1")).body;
    assert!(body.starts_with(&format!(r#"{{"total":5,"items":[{bare}],"#)), "{body}");
    assert!(get(&server, LIST).body.contains("networking"));
}

#[test]
fn pages_are_faulted_only_where_it_makes_a_difference() {
    let server = server();
    for fault in [Fault::TotalMoves, Fault::Twice, Fault::ShiftBetweenPages, Fault::Short] {
        server.clear_faults();
        server.fault("/", fault, Some(1));
        for path in ["/", "/meshes/default", "/bogus", LIST] {
            get(&server, path);
        }
        assert_eq!(page(&server, LIST).0, names(&[1, 2, 3, 4, 5]));
    }
}
