//! In which form metrics are told.

use tcproute_tests::is_root;

use super::fixture::{Setup, curl};

#[test]
fn who_asks_for_openmetrics_gets_it_and_others_the_older_text() {
    if !is_root("who_asks_for_openmetrics_gets_it_and_others_the_older_text") {
        return;
    }
    let setup = Setup::new();
    let _daemon = setup.daemon(&[]);
    let get = |accept: &str| {
        let header = format!("Accept: {accept}");
        let url = format!("http://{}/metrics", setup.address);
        curl(&url, &["--include", "--header", &header]).unwrap().1
    };
    let old = get("*/*");
    assert!(old.contains("text/plain; version=0.0.4; charset=utf-8"), "{old}");
    assert!(old.contains("# TYPE tcproute_log_lines_lost_total counter\ntcproute_log_lines_lost_total 0\n"));
    assert!(!old.contains("# EOF") && !old.contains("# UNIT"), "{old}");
    let new = get("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    assert!(new.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"), "{new}");
    assert!(new.contains("# TYPE tcproute_log_lines_lost counter\ntcproute_log_lines_lost_total 0\n"));
    assert!(new.ends_with("# EOF\n"), "{new}");
}
