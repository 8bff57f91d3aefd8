//! Files that change: what stays, what goes, and what is read for it.

mod restarted;

use std::{collections::BTreeMap, fmt::Write as _, fs, os::unix::fs::symlink, time::SystemTime};

use proptest::{collection::vec, prelude::*};
use tokio::time::timeout;

use super::{
    content::FileContent,
    list::{Nothing, Place, State},
    store::Store,
    *,
};
use crate::{
    resources::Resources,
    sources::{Rules, alike::Alike, snapshot::Bytes},
};

/// A directory of files, and what is read of it.
struct Directory {
    directory: tempfile::TempDir,
    files: SettledFiles,
}

impl Directory {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let files = SettledFiles::new(vec![directory.path().to_path_buf()], Rules::default());
        Self { directory, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// While this file is being written.
    fn load_while_written(&mut self, name: &str) -> String {
        let path = self.path(name);
        services(&self.files.load(&|written| written == path).resources)
    }

    /// The names of the ExternalServices, and what is rejected: each without the directory's own path.
    fn load(&mut self) -> (String, Vec<String>) {
        let snapshot = self.files.load(&|_| false);
        let rejected = snapshot.rejected.iter().map(|(subject, rejection)| {
            let kept = if rejection.kept { " (kept)" } else { "" };
            let why: Vec<_> = rejection.violations.iter().map(ToString::to_string).collect();
            format!("{subject}{kept}: {}", why.join(", "))
                .replace(&format!("{}/", self.directory.path().display()), "")
        });
        (services(&snapshot.resources), rejected.collect())
    }
}

/// Names and addresses.
fn services(resources: &Resources) -> String {
    let mut text = String::new();
    for (key, service) in &resources.external_services {
        let _ = write!(text, "{}={:?} ", key.1, service.address);
    }
    text.replace("Socket(192.0.2.", "").replace(":1)", "").trim_end().to_owned()
}

fn service(name: &str, number: u8) -> String {
    format!(
        "---\ntype: ExternalService\nname: {name}\ntags: {{kuma.io/service: s}}\nnetworking: {{address: '192.0.2.{number}:1'}}\n"
    )
}

fn one(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

const NONE: Vec<String> = Vec::new();

#[test]
fn what_is_too_much_for_all_files_is_not_read_and_the_others_stay() {
    let long = |name: &str| format!("{}# {}\n", service(name, 1), "x".repeat(3_000));
    let mut files = Directory::new(&[("a.yaml", &service("a", 1)), ("b.yaml", &service("b", 1))]);
    files.files.most = 4 << 10;
    assert_eq!(files.load(), ("a=1 b=1".to_owned(), vec![]));
    assert_eq!(files.files.load(&|_| false).bytes, Some(Bytes { read: 2 << 10, most: 4 << 10 }));
    // The one that grows is in front of the others, and reaches the bound all the same.
    files.write("a.yaml", &long("a2"));
    let beyond = "a.yaml (kept): a.yaml: is not read: with it the files come to more than 0 MiB";
    assert_eq!(files.load(), ("a=1 b=1".to_owned(), vec![beyond.to_owned()]));
    fs::remove_file(files.path("b.yaml")).unwrap();
    assert_eq!(files.load(), ("a2=1".to_owned(), vec![]));
}

#[test]
fn of_very_many_violations_only_the_first_of_each_object_is_told() {
    let text = |count: usize| {
        format!("type: MeshTCPRoute\nname: r{count}\nspec:\n  to:\n{}", "    - {}\n".repeat(count))
    };
    let mut files =
        Directory::new(&[("a.yaml", &text(19_000)), ("b.yaml", &text(19_001)), ("c.yaml", &text(19_002))]);
    let counts = |files: &mut Directory| -> Vec<usize> {
        files.files.load(&|_| false).rejected.values().map(|rejection| rejection.violations.len()).collect()
    };
    assert_eq!(counts(&mut files), [19_000, 19_001, 1, 1]);
    files.write("a.yaml", "");
    files.write("c.yaml", &text(3));
    assert_eq!(counts(&mut files), [19_001, 3]);
}

#[test]
fn a_file_that_has_not_changed_is_not_read_again() {
    let mut directory = Directory::new(&[("a.yaml", &service("a", 1)), ("b.yaml", &service("b", 1))]);
    directory.load();
    assert_eq!(directory.files.read, 2);
    directory.load();
    assert_eq!(directory.files.read, 2);
    directory.write("b.yaml", &service("b", 2));
    assert_eq!(directory.load(), ("a=1 b=2".to_owned(), NONE));
    assert_eq!(directory.files.read, 3);
    fs::rename(directory.path("a.yaml"), directory.path("c.yaml")).unwrap();
    assert_eq!(directory.load(), ("a=1 b=2".to_owned(), NONE));
    assert_eq!(directory.files.read, 4);
}

#[test]
fn what_has_not_changed_in_a_file_is_the_same_in_memory() {
    let both = |number| format!("{}{}", service("a", 1), service("b", number));
    let mut directory = Directory::new(&[("a.yaml", &both(1))]);
    let before = directory.files.load(&|_| false).resources.external_services;
    directory.write("a.yaml", &format!("# moved\n{}", both(2)));
    let after = directory.files.load(&|_| false).resources.external_services;
    let same: Vec<bool> = before.values().zip(after.values()).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [true, false]);
}

#[test]
fn an_object_keeps_its_last_good_form_until_it_is_mended_or_gone() {
    let mut directory = Directory::new(&[("a.yaml", &service("a", 1)), ("b.yaml", &service("b", 1))]);
    directory.load();
    let broken = service("a", 2).replace("192.0.2.2:1", "nowhere");
    directory.write("a.yaml", &broken);
    directory.write("b.yaml", &service("b", 2));
    let told = "ExternalService a of mesh default (kept): a.yaml:5:23: networking.address: \"nowhere\" is not host:port";
    assert_eq!(directory.load(), ("a=1 b=2".to_owned(), one(told)), "the others go on");
    let since =
        |directory: &mut Directory| directory.files.load(&|_| false).rejected.values().next().unwrap().since;
    let first = since(&mut directory);
    directory.write("a.yaml", &format!("{broken}# and more\n"));
    assert_eq!(since(&mut directory), first);
    directory.write("a.yaml", &service("a", 3));
    assert_eq!(directory.load(), ("a=3 b=2".to_owned(), NONE));
    directory.write("a.yaml", &broken);
    assert_eq!(directory.load().0, "a=3 b=2");
    directory.write("a.yaml", "# nothing\n");
    assert_eq!(directory.load(), ("b=2".to_owned(), NONE));
    // One that never was good has nothing to keep.
    directory.write("a.yaml", &broken);
    assert_eq!(directory.load(), ("b=2".to_owned(), one(&told.replace(" (kept)", ""))));
}

#[test]
fn what_moves_and_is_broken_at_once_keeps_its_last_good_form() {
    let mut directory = Directory::new(&[("a.yaml", &service("a", 1)), ("b.yaml", &service("b", 1))]);
    directory.load();
    let broken = service("a", 2).replace("192.0.2.2:1", "nowhere");
    fs::remove_file(directory.path("a.yaml")).unwrap();
    directory.write("c.yaml", &broken);
    let told = "ExternalService a of mesh default (kept): c.yaml:5:23: networking.address: \"nowhere\" is not host:port";
    assert_eq!(directory.load(), ("a=1 b=1".to_owned(), one(told)));
    assert_eq!(directory.load(), ("a=1 b=1".to_owned(), one(told)), "as long as it is so");
    directory.write("c.yaml", &service("a", 3));
    assert_eq!(directory.load(), ("a=3 b=1".to_owned(), NONE));
    directory.write("c.yaml", &broken);
    directory.load();
    fs::remove_file(directory.path("c.yaml")).unwrap();
    assert_eq!(directory.load(), ("b=1".to_owned(), NONE));
}

#[test]
fn a_name_or_kind_that_is_misspelt_takes_nothing_away() {
    let text = format!("{}{}", service("a", 1), service("b", 1));
    let mut directory = Directory::new(&[("a.yaml", &text)]);
    directory.load();
    for misspelt in
        [text.replacen("ExternalService", "ExternalServcie", 1), text.replacen("name: a", "nmae: a", 1)]
    {
        directory.write("a.yaml", &misspelt);
        let (services, rejected) = directory.load();
        assert_eq!(services, "a=1 b=1");
        assert!(rejected.len() == 1 && rejected[0].starts_with("a.yaml:2:1 (kept): "), "{rejected:?}");
    }
    // What goes while the same stranger is there is gone.
    directory.write("a.yaml", &service("b", 1));
    assert_eq!(directory.load(), ("b=1".to_owned(), NONE));
    directory.write("b.yaml", &format!("type: Mesh\nnmae: x\n{text}"));
    assert_eq!(directory.load().0, "a=1 b=1");
    directory.write("b.yaml", "type: Mesh\nnmae: x\n");
    assert_eq!(directory.load().0, "b=1");
}

#[test]
fn a_file_that_is_no_yaml_keeps_all_it_had() {
    let good = format!("{}{}", service("a", 1), service("b", 1));
    let mut directory = Directory::new(&[("a.yaml", &good), ("c.yaml", &service("c", 1))]);
    directory.load();
    let half = format!("{}{}", service("a", 2), &good[..good.len() - 5]);
    for text in [half.as_bytes(), b"\xff\xfe", "a: [".as_bytes()] {
        fs::write(directory.path("a.yaml"), text).unwrap();
        let (services, rejected) = directory.load();
        assert_eq!(services, "a=1 b=1 c=1", "no mix of before and after");
        assert!(rejected.len() == 1 && rejected[0].starts_with("a.yaml (kept): "), "{rejected:?}");
    }
    directory.write("a.yaml", &service("a", 3));
    assert_eq!(directory.load(), ("a=3 c=1".to_owned(), NONE));
    // Half of what is seen for the first time counts for nothing.
    directory.write("b.yaml", &half);
    let (services, rejected) = directory.load();
    assert_eq!(services, "a=3 c=1");
    assert!(rejected[0].starts_with("b.yaml: b.yaml:"), "{rejected:?}");
    fs::remove_file(directory.path("a.yaml")).unwrap();
    fs::remove_file(directory.path("b.yaml")).unwrap();
    assert_eq!(directory.load(), ("c=1".to_owned(), NONE));
}

#[test]
fn a_file_that_cannot_be_reached_is_not_gone() {
    let mut directory = Directory::new(&[("a.yaml", &service("a", 1))]);
    directory.load();
    // A link to itself cannot be followed, and this memory cannot be read at its beginning.
    for (target, why) in [("a.yaml", "Too many levels"), ("/proc/self/mem", "Input/output error")] {
        fs::remove_file(directory.path("a.yaml")).unwrap();
        symlink(target, directory.path("a.yaml")).unwrap();
        let (services, rejected) = directory.load();
        assert_eq!(services, "a=1");
        assert!(rejected[0].starts_with("a.yaml (kept): ") && rejected[0].contains(why), "{rejected:?}");
        let read = directory.files.read;
        assert!(matches!(directory.files.load(&|_| false).health, Health::Failing { .. }));
        assert_eq!(directory.files.read, read + 1, "it is tried again");
    }
    fs::remove_file(directory.path("a.yaml")).unwrap();
    symlink("nowhere", directory.path("a.yaml")).unwrap();
    let (services, rejected) = directory.load();
    assert_eq!(services, "", "it is certain that there is nothing");
    assert!(rejected[0].contains("No such file"), "{rejected:?}");
    fs::remove_file(directory.path("a.yaml")).unwrap();
    directory.write("a.yaml", &service("a", 2));
    assert_eq!(directory.load(), ("a=2".to_owned(), NONE));
    assert_eq!(directory.files.load(&|_| false).health, Health::Well);
}

#[test]
fn a_directory_that_cannot_be_reached_is_not_empty() {
    let mut directory = Directory::new(&[("a.yaml", &service("a", 1))]);
    directory.load();
    let root = directory.directory.path().to_path_buf();
    let aside = root.with_extension("aside");
    fs::rename(&root, &aside).unwrap();
    symlink(&root, &root).unwrap();
    let (services, rejected) = directory.load();
    assert_eq!(services, "a=1");
    assert!(rejected[0].contains(" (kept): ") && rejected[0].contains("Too many levels"), "{rejected:?}");
    fs::remove_file(&root).unwrap();
    fs::rename(&aside, &root).unwrap();
    assert_eq!(directory.load(), ("a=1".to_owned(), NONE));
}

#[test]
fn a_path_that_is_not_there_is_taken_when_it_comes() {
    let directory = Directory::new(&[("a.yaml", &service("a", 1))]);
    let paths = vec![directory.path("b.yaml"), directory.path("a.yaml")];
    let mut directory = Directory { files: SettledFiles::new(paths, Rules::default()), ..directory };
    let missing = "b.yaml: b.yaml: cannot read: No such file or directory (os error 2)";
    assert_eq!(directory.load(), ("a=1".to_owned(), one(missing)));
    directory.write("b.yaml", &service("b", 1));
    assert_eq!(directory.load(), ("a=1 b=1".to_owned(), NONE));
    fs::remove_file(directory.path("b.yaml")).unwrap();
    assert_eq!(directory.load(), ("a=1".to_owned(), one(missing)));
}

#[test]
fn the_second_of_two_is_in_force_when_the_first_goes() {
    let mut directory = Directory::new(&[("b.yaml", &service("x", 2)), ("c.yaml", &service("x", 3))]);
    let twice = |later: &str, first: &str| {
        format!("{later}.yaml:3:7: ExternalService x of mesh default is already defined at {first}.yaml:3:7")
    };
    let told = |errors: &[String]| one(&format!("ExternalService x of mesh default: {}", errors.join(", ")));
    assert_eq!(directory.load(), ("x=2".to_owned(), told(&[twice("c", "b")])));
    directory.write("a.yaml", &service("x", 1));
    assert_eq!(directory.load(), ("x=1".to_owned(), told(&[twice("b", "a"), twice("c", "a")])));
    fs::remove_file(directory.path("a.yaml")).unwrap();
    fs::remove_file(directory.path("b.yaml")).unwrap();
    assert_eq!(directory.load(), ("x=3".to_owned(), NONE));
}

#[test]
fn what_is_read_is_what_was_written_last() {
    let mut directory = Directory::new(&[("a.yaml", "")]);
    let path = directory.path("a.yaml");
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        fs::write(&path, service("a", 1)).unwrap();
    });
    assert_eq!(directory.load(), ("a=1".to_owned(), NONE));
    writer.join().unwrap();
}

#[tokio::test]
async fn changes_are_told_until_nobody_listens() {
    const SOON: Duration = Duration::from_secs(20);
    let directory = Directory::new(&[("a.yaml", &service("a", 1))]);
    let nothing = LastGood::open(Err(&anyhow::anyhow!("a test")), NAME);
    let paths = vec![directory.directory.path().to_path_buf()];
    let mut stream = follow(paths, Strictness::Strict, nothing).unwrap();
    for number in [1, 2] {
        let is_new = |latest: &Latest| services(&latest.snapshot.resources) == format!("a={number}");
        timeout(SOON, stream.wait_for(is_new)).await.unwrap().unwrap();
        directory.write("a.yaml", &service("a", 2));
    }
}

/// What is in a directory, as file by file it is written.
#[derive(Debug, Clone)]
enum Step {
    Write(u8, Vec<(u8, u8)>),
    Remove(u8),
    Break(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4u8, vec((0..6u8, 0..3u8), 0..5)).prop_map(|(file, services)| Step::Write(file, services)),
        1 => (0..4u8).prop_map(Step::Remove),
        1 => (0..4u8).prop_map(Step::Break),
    ]
}

fn place(file: u8) -> Place {
    Place { named: usize::from(file % 2), path: format!("{file}.yaml").into() }
}

fn put(store: &mut Store, file: u8, text: &str) {
    let place = place(file);
    let before = store.good(&place).map(|good| &*good.held).unwrap_or_default();
    let content =
        FileContent::of(&place.path, text.as_bytes(), &Rules::default(), before, &mut Alike::default());
    store.put(&place, State::Gone, content);
}

proptest! {
    /// Whatever was there before, what is in force is what a fresh reading of the same files gives; of a file that
    /// cannot be read, of what it was last.
    #[test]
    fn what_was_read_before_leaves_no_trace(steps in vec(step(), 0..20)) {
        let mut store = Store::default();
        let mut good = BTreeMap::new();
        for step in steps {
            match step {
                Step::Write(file, services) => {
                    let text: String =
                        services.iter().map(|(name, number)| service(&format!("s{name}"), *number)).collect();
                    put(&mut store, file, &text);
                    good.insert(file, text);
                }
                Step::Remove(file) => {
                    good.remove(&file);
                    let places: Vec<Place> = good.keys().copied().map(place).collect();
                    store.keep(&places.iter().collect(), Vec::<Nothing>::new());
                }
                Step::Break(file) => {
                    put(&mut store, file, "a: [");
                    good.entry(file).or_default();
                }
            }
            let mut fresh = Store::default();
            for (file, text) in &good {
                put(&mut fresh, *file, text);
            }
            let [now, fresh] = [store.snapshot(&Snapshot::default(), SystemTime::UNIX_EPOCH), fresh.snapshot(&Snapshot::default(), SystemTime::UNIX_EPOCH)];
            prop_assert_eq!(&now.resources, &fresh.resources);
        }
    }
}

/// One object of many changes: what differs is found by looking at it alone.
#[test]
fn one_change_of_many_is_found_by_pointers() {
    let text: String = (0..2000).map(|i| service(&format!("s{i}"), 1)).collect();
    let mut store = Store::default();
    put(&mut store, 0, &text);
    let before = store.snapshot(&Snapshot::default(), SystemTime::UNIX_EPOCH).resources.external_services;
    put(&mut store, 0, &text.replacen("192.0.2.1", "192.0.2.9", 1));
    let after = store.snapshot(&Snapshot::default(), SystemTime::UNIX_EPOCH).resources.external_services;
    let same = before.values().zip(after.values()).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
    assert_eq!(same, 1999);
    assert_eq!(before.diff(&after).count(), 1);
}

#[test]
fn a_file_that_is_being_written_is_as_it_was_and_holds_nothing_back() {
    let mut directory = Directory::new(&[("a.yaml", &service("a", 1)), ("b.yaml", &service("b", 1))]);
    directory.load();
    directory.write("a.yaml", &service("a", 2));
    directory.write("b.yaml", &service("b", 2));
    directory.write("c.yaml", &service("c", 1));
    assert_eq!(directory.load_while_written("a.yaml"), "a=1 b=2 c=1");
    directory.write("d.yaml", &service("d", 1));
    assert_eq!(directory.load_while_written("d.yaml"), "a=2 b=2 c=1", "one that is new is not there yet");
    assert_eq!(directory.load().0, "a=2 b=2 c=1 d=1");
    // Truncated, and as it was until it is closed: nobody waits for it.
    directory.write("a.yaml", "");
    let since = std::time::Instant::now();
    assert_eq!(directory.load_while_written("a.yaml"), "a=2 b=2 c=1 d=1");
    println!("{:?}", since.elapsed());
}

#[test]
fn a_pipe_is_not_waited_for() {
    let mut directory = Directory::new(&[("b.yaml", &service("b", 1))]);
    let pipe = directory.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    directory.files =
        SettledFiles::new(vec![directory.directory.path().to_path_buf(), pipe], Rules::default());
    let (services, rejected) = directory.load();
    assert_eq!(
        (services.as_str(), rejected),
        ("b=1", vec!["pipe: pipe: cannot read: it is no regular file".to_owned()])
    );
}
