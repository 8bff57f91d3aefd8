//! What an earlier daemon has read, at a start at which it cannot be read.

use super::*;
use crate::sources::last_good::{Change, Entry, Record};

/// What one daemon keeps for the next.
#[derive(Default)]
struct State(BTreeMap<String, Vec<Entry>>);

impl State {
    fn keep(&mut self, changes: Vec<Change>) {
        let before: Vec<Entry> = self.0.values().flatten().cloned().collect();
        for change in changes {
            let known = change.open.iter().filter_map(|key| before.iter().find(|kept| kept.key == *key));
            let known: Vec<Entry> = known.cloned().collect();
            let Record { place, entries } = change.into_record();
            self.0.insert(place, [entries, known].concat());
        }
    }

    fn records(&self) -> Vec<Record> {
        let record = |(place, entries): (&String, &Vec<Entry>)| Record {
            place: place.clone(),
            entries: entries.clone(),
        };
        self.0.iter().map(record).collect()
    }
}

impl Directory {
    fn keeping(files: &[(&str, &str)]) -> Self {
        let Self { directory, .. } = Self::new(files);
        let files = Self::files(&directory);
        Self { directory, files }
    }

    fn files(directory: &tempfile::TempDir) -> SettledFiles {
        SettledFiles::new(vec![directory.path().to_path_buf()], Rules { as_json: true, ..Rules::default() })
    }

    /// Another daemon begins with what the one before has kept: what it has before it reads anything.
    fn restart(&mut self, state: &State) -> String {
        self.files = Self::files(&self.directory);
        services(&self.files.begin_with(state.records()).resources)
    }

    fn stale(&mut self) -> usize {
        self.files.load(&|_| false);
        self.files.stale()
    }
}

#[test]
fn a_file_that_cannot_be_used_is_as_the_daemon_before_has_read_it() {
    let both = format!("{}{}", service("b", 1), service("c", 1));
    let mut directory = Directory::keeping(&[("a.yaml", &service("a", 1)), ("b.yaml", &both)]);
    let mut state = State::default();
    directory.load();
    state.keep(directory.files.take_changes());
    assert!(directory.files.take_changes().is_empty(), "each change is handed out once");

    directory.write("b.yaml", "{");
    assert_eq!(directory.restart(&state), "a=1 b=1 c=1");
    let (services, rejected) = directory.load();
    assert_eq!(services, "a=1 b=1 c=1");
    assert!(rejected[0].starts_with("b.yaml (kept): "), "{rejected:?}");
    assert_eq!(directory.stale(), 2);
    state.keep(directory.files.take_changes());

    // Also by the one after that, and one object after the other is mended.
    directory
        .write("b.yaml", &format!("{}{}", service("b", 2), service("c", 1).replace("address", "adress")));
    assert_eq!(directory.restart(&state), "a=1 b=1 c=1");
    assert_eq!(directory.load().0, "a=1 b=2 c=1");
    assert_eq!(directory.stale(), 1);
    state.keep(directory.files.take_changes());
    directory.write("b.yaml", "");
    assert_eq!(directory.restart(&state), "a=1 b=2 c=1");
    assert_eq!((directory.load(), directory.stale()), (("a=1".to_owned(), NONE), 0));
    state.keep(directory.files.take_changes());
    assert_eq!(directory.restart(&state), "a=1");
}

#[test]
fn a_source_that_is_away_takes_nothing_with_it() {
    let mut directory = Directory::keeping(&[("a.yaml", &service("a", 1)), ("b.yaml", &service("b", 1))]);
    let mut state = State::default();
    directory.load();
    state.keep(directory.files.take_changes());
    let away = directory.directory.path().with_extension("away");
    fs::rename(directory.directory.path(), &away).unwrap();
    // It is not there at all, or it is a directory in which nothing is mounted yet.
    for mounted in [false, true] {
        if mounted {
            fs::create_dir(directory.directory.path()).unwrap();
        }
        assert_eq!(directory.restart(&state), "a=1 b=1");
        assert_eq!(directory.load().0, "a=1 b=1");
        assert_eq!(directory.stale(), 2);
        assert!(matches!(directory.files.load(&|_| false).health, Health::Failing { .. }));
        assert!(directory.files.take_changes().is_empty(), "nothing is given up");
    }
    fs::remove_file(away.join("b.yaml")).unwrap();
    fs::remove_dir(directory.directory.path()).unwrap();
    fs::rename(&away, directory.directory.path()).unwrap();
    assert_eq!((directory.load(), directory.stale()), (("a=1".to_owned(), NONE), 0));
    // From now on nothing means nothing.
    fs::remove_file(directory.path("a.yaml")).unwrap();
    assert_eq!(directory.load().0, "");
}

#[test]
fn what_is_not_named_any_more_does_not_come_back() {
    let mut directory = Directory::keeping(&[("a.yaml", &service("a", 1))]);
    let mut state = State::default();
    directory.load();
    state.keep(directory.files.take_changes());
    let elsewhere = tempfile::tempdir().unwrap();
    directory.files = Directory::files(&elsewhere);
    assert_eq!(services(&directory.files.begin_with(state.records()).resources), "");
}

#[test]
fn what_was_kept_and_cannot_be_used_any_more_is_left_out() {
    let mut directory = Directory::keeping(&[("a.yaml", &format!("{}{}", service("a", 1), service("b", 1)))]);
    let mut state = State::default();
    directory.load();
    state.keep(directory.files.take_changes());
    let entries = state.0.values_mut().next().unwrap();
    entries[0].value = entries[0].value.replace("address", "adress").into();
    assert_eq!(directory.restart(&state), "b=1");
    let entries = state.0.values_mut().next().unwrap();
    entries[0].key[2] = "c".to_owned();
    assert_eq!(directory.restart(&state), "b=1", "what is not what it is called is not used either");
}
