//! Names of pins, on any file system.

use std::fs;

use tcproute_common::LayoutVersion;

use super::{commit::LAYOUT, *};

const NEW: PinnedLayout = PinnedLayout { version: LayoutVersion { tables: 2, states: 1 }, generation: 7 };

fn locked(bpffs: &Path) -> PinDirectory {
    PinDirectory::lock(&Directory::open(bpffs).unwrap(), bpffs).unwrap()
}

/// What is pinned, and what is in it.
fn contents(directory: &Path) -> Vec<(String, String)> {
    let names = Directory::open(directory).unwrap().names().unwrap();
    let read = |name: std::ffi::OsString| {
        let name = name.into_string().unwrap();
        let text = fs::read_to_string(directory.join(&name)).unwrap_or_default();
        (name, text)
    };
    names.into_iter().map(read).collect()
}

/// A daemon with two maps has replaced one that had one of them, but was killed after some of the steps.
fn killed_after(steps: usize) -> Vec<(String, String)> {
    let bpffs = tempfile::tempdir().unwrap();
    let pins = locked(bpffs.path());
    let at = |name: &str| bpffs.path().join(NAME).join(name);
    fs::write(at("routes"), "old").unwrap();
    fs::create_dir(at("layout-1-1-6")).unwrap();
    let links = at("links/5");
    fs::create_dir_all(&links).unwrap();
    fs::write(links.join("connect4"), "").unwrap();
    let all: [&dyn Fn(); 8] = [
        &|| fs::write(pins.next_map("routes"), "new").unwrap(),
        &|| fs::write(pins.next_map("turns"), "new").unwrap(),
        &|| fs::write(links.join("next-connect4"), "").unwrap(),
        &|| fs::create_dir(at("next-layout-2-1-7")).unwrap(),
        &|| fs::rename(at("next-turns"), at("turns")).unwrap(),
        &|| fs::rename(at("next-routes"), at("routes")).unwrap(),
        &|| fs::remove_dir(at("layout-1-1-6")).unwrap(),
        &|| fs::rename(at("next-layout-2-1-7"), at("layout-2-1-7")).unwrap(),
    ];
    all[..steps].iter().for_each(|step| step());
    pins.recover().unwrap();
    assert_eq!(contents(&links), [("connect4".to_owned(), String::new())]);
    contents(&bpffs.path().join(NAME))
}

#[test]
fn a_commit_is_completed_or_taken_back_wherever_it_was_interrupted() {
    let owned = |entries: &[(&str, &str)]| -> Vec<(String, String)> {
        entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    let old = owned(&[("layout-1-1-6", ""), ("links", ""), ("routes", "old")]);
    let new = owned(&[("layout-2-1-7", ""), ("links", ""), ("routes", "new"), ("turns", "new")]);
    for steps in 0..=8 {
        assert_eq!(killed_after(steps), if steps < 4 { old.clone() } else { new.clone() }, "{steps}");
    }
}

/// What is pinned when a daemon that makes its maps larger was killed after some of the steps. An earlier growth was
/// not done with, either.
fn killed_in_growth_after(steps: usize) -> Vec<(String, String)> {
    let bpffs = tempfile::tempdir().unwrap();
    let pins = locked(bpffs.path());
    let at = |name: &str| bpffs.path().join(NAME).join(name);
    fs::write(at("outcomes"), "2").unwrap();
    fs::write(at("before-1"), "1").unwrap();
    fs::create_dir(at("layout-2-1-7")).unwrap();
    let all: [&dyn Fn(); 5] = [
        &|| fs::write(pins.next_map("outcomes"), "3").unwrap(),
        &|| fs::write(pins.next_before(2), "2").unwrap(),
        &|| fs::create_dir(at("next-layout-2-1-7")).unwrap(),
        &|| fs::rename(at("next-outcomes"), at("outcomes")).unwrap(),
        &|| fs::rename(at("next-before-2"), at("before-2")).unwrap(),
    ];
    all[..steps].iter().for_each(|step| step());
    pins.recover().unwrap();
    contents(&bpffs.path().join(NAME)).into_iter().filter(|(name, _)| !name.starts_with(LAYOUT)).collect()
}

#[test]
fn growth_keeps_the_maps_that_still_count_and_maps_made_anew_do_not() {
    let owned = |entries: &[(&str, &str)]| -> Vec<(String, String)> {
        entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    let old = owned(&[("before-1", "1"), ("outcomes", "2")]);
    let new = owned(&[("before-1", "1"), ("before-2", "2"), ("outcomes", "3")]);
    for steps in 0..=5 {
        assert_eq!(
            killed_in_growth_after(steps),
            if steps < 3 { old.clone() } else { new.clone() },
            "{steps}"
        );
    }
    let bpffs = tempfile::tempdir().unwrap();
    let pins = locked(bpffs.path());
    fs::write(bpffs.path().join(NAME).join("before-1"), "1").unwrap();
    fs::write(pins.next_map("outcomes"), "new").unwrap();
    pins.commit(NEW).unwrap();
    assert_eq!(pins.before().unwrap(), [] as [&str; 0]);
}

#[test]
fn a_commit_replaces_the_maps_and_the_layout_even_if_that_has_the_same_name() {
    let bpffs = tempfile::tempdir().unwrap();
    let pins = locked(bpffs.path());
    for round in ["a", "b"] {
        fs::write(pins.next_map("routes"), round).unwrap();
        pins.commit(NEW).unwrap();
        assert_eq!(pins.layout().unwrap(), Some(NEW));
        let expected = [("layout-2-1-7", ""), ("routes", round)];
        assert_eq!(
            contents(&bpffs.path().join(NAME)),
            expected.map(|(name, text)| (name.to_owned(), text.to_owned()))
        );
    }
    pins.invalidate().unwrap();
    assert_eq!(pins.layout().unwrap(), None);
    pins.commit(NEW).unwrap();
    assert_eq!(pins.layout().unwrap(), Some(NEW));
}
