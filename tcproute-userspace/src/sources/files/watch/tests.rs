use std::{fs::File, io::Write, os::unix::fs::symlink, time::Duration};

use tokio::time::timeout;

use super::*;

/// Waits for a change, with a bound.
async fn changed(watch: &mut Watch, what: &str) {
    let change = timeout(Duration::from_secs(20), watch.changed()).await;
    assert!(change.is_ok(), "not seen: {what}");
    watch.renew();
}

/// Nothing has been told that was not asked for: a change made now is the only one there is.
async fn quiet(watch: &mut Watch, what: &str) {
    assert!(timeout(Duration::from_millis(150), watch.changed()).await.is_err(), "seen: {what}");
}

fn watch(path: &Path) -> Watch {
    let watch = Watch::start(vec![path.to_path_buf()]);
    assert_eq!(watch.blind(), None);
    watch
}

#[tokio::test]
async fn writing_replacing_removing_and_making_a_file_are_seen() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("mesh.yaml");
    fs::write(&file, "a").unwrap();
    let mut watch = watch(&file);
    fs::write(&file, "b").unwrap();
    changed(&mut watch, "written in place").await;
    fs::write(root.path().join(".swp"), "c").unwrap();
    fs::rename(root.path().join(".swp"), &file).unwrap();
    changed(&mut watch, "renamed into place").await;
    fs::remove_file(&file).unwrap();
    changed(&mut watch, "removed").await;
    fs::write(&file, "d").unwrap();
    changed(&mut watch, "made again").await;
}

#[tokio::test]
async fn reading_and_files_beside_it_are_of_no_interest() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("mesh.yaml");
    fs::write(&file, "a").unwrap();
    let mut watch = watch(&file);
    fs::read(&file).unwrap();
    fs::write(root.path().join("other.yaml"), "b").unwrap();
    quiet(&mut watch, "another file").await;
}

#[tokio::test]
async fn every_swap_of_a_config_map_is_seen() {
    let root = tempfile::tempdir().unwrap();
    let mount = root.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let swap = |number: u32| {
        let data = mount.join(format!("..{number}"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("a.yaml"), number.to_string()).unwrap();
        symlink(format!("..{number}"), mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        let _ = fs::remove_dir_all(mount.join(format!("..{}", number - 1)));
    };
    swap(1);
    symlink("..data/a.yaml", mount.join("a.yaml")).unwrap();
    for named in [mount.clone(), mount.join("a.yaml")] {
        let mut watch = watch(&named);
        for number in 2..5 {
            swap(number);
            changed(&mut watch, "a swap").await;
        }
        // Inside what the last swap led to.
        fs::write(mount.join("a.yaml"), "x").unwrap();
        changed(&mut watch, "the file behind the links").await;
        fs::remove_dir_all(mount.join("..4")).unwrap();
        swap(1);
    }
}

#[tokio::test]
async fn a_directory_that_is_replaced_is_watched_again() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("routes");
    let make = || {
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("a.yaml"), "a").unwrap();
    };
    make();
    let mut watch = watch(&directory);
    fs::rename(&directory, root.path().join("away")).unwrap();
    changed(&mut watch, "moved away").await;
    fs::rename(root.path().join("away"), &directory).unwrap();
    changed(&mut watch, "moved back").await;
    fs::write(directory.join("a.yaml"), "b").unwrap();
    changed(&mut watch, "written after it came back").await;
    fs::remove_dir_all(&directory).unwrap();
    changed(&mut watch, "removed").await;
    make();
    changed(&mut watch, "made anew").await;
    fs::write(directory.join("a.yaml"), "b").unwrap();
    changed(&mut watch, "written in the new one").await;
}

#[tokio::test]
async fn a_file_that_is_being_written_is_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("mesh.yaml");
    let mut watch = watch(&path);
    let mut file = File::create(&path).unwrap();
    changed(&mut watch, "made").await;
    file.write_all(b"half").unwrap();
    let first = timeout(Duration::from_secs(20), watch.changed()).await.unwrap();
    assert!(first.elapsed() >= debounce::QUIET_OPEN, "it did not wait for the writer");
}

#[tokio::test]
async fn a_change_after_a_quiet_time_is_not_told_as_an_older_one() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("mesh.yaml");
    fs::write(&file, "a").unwrap();
    let mut watch = watch(&file);
    // As one writes a file that is to be put in place by renaming.
    let aside = root.path().join("mesh.new");
    let write = async {
        tokio::time::sleep(INTERVAL + Duration::from_millis(100)).await;
        let begun = Instant::now();
        let mut writing = File::create(&aside).unwrap();
        writing.write_all(b"b").unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(writing);
        fs::rename(&aside, &file).unwrap();
        begun
    };
    let (first, begun) = tokio::join!(timeout(Duration::from_secs(20), watch.changed()), write);
    assert!(first.unwrap() >= begun);
}

#[tokio::test]
async fn while_watching_does_not_work_it_looks_at_an_interval() {
    let root = tempfile::tempdir().unwrap();
    let mut watch = watch(&root.path().join("mesh.yaml"));
    watch.sender.send((Instant::now(), Err(notify::Error::generic("out of order")))).unwrap();
    let first = timeout(Duration::from_secs(20), watch.changed()).await.unwrap();
    assert_eq!(watch.blind(), Some("out of order"));
    assert!(first <= Instant::now());
    watch.renew();
    assert_eq!(watch.blind(), None);
}

#[tokio::test]
async fn lost_events_are_a_reason_to_look() {
    let root = tempfile::tempdir().unwrap();
    let mut watch = watch(&root.path().join("mesh.yaml"));
    let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
    watch.sender.send((Instant::now(), Ok(lost))).unwrap();
    changed(&mut watch, "lost events").await;
}
