use std::fs;

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The errors, without the directory's own path.
    fn errors(&self, names: &[&str]) -> Vec<String> {
        let paths: Vec<PathBuf> = names.iter().map(|name| self.path(name)).collect();
        let errors = load(&paths, Strictness::Strict).unwrap_err().to_string();
        let directory = format!("{}/", self.0.path().display());
        errors.lines().map(|line| line.replace(&directory, "")).collect()
    }
}

const MESH: &str = "type: Mesh\nname: a\n";

#[test]
fn errors_of_all_files_are_reported_together() {
    let files = Files::new(&[("a.yaml", "type: Mesh\nnam: a\nname: a\n"), ("b.yaml", "type: Mehs\n")]);
    assert_eq!(
        files.errors(&["b.yaml", "no.yaml", "a.yaml"]),
        [
            "no.yaml: cannot read: No such file or directory (os error 2)",
            "b.yaml:1:7: type: unknown kind \"Mehs\", did you mean \"Mesh\"?",
            "a.yaml:2:1: unknown field `nam`, did you mean `name`?",
        ]
    );
}

#[test]
fn a_resource_defined_twice_names_both_places() {
    let kubernetes = "apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata:\n  name: a\n";
    let files = Files::new(&[("a.yaml", &format!("{MESH}---\n{MESH}")), ("b.yaml", kubernetes)]);
    assert_eq!(
        files.errors(&["a.yaml", "b.yaml"]),
        [
            "a.yaml:5:7: Mesh a is already defined at a.yaml:2:7",
            "b.yaml:4:9: Mesh a is already defined at a.yaml:2:7",
        ]
    );
}

#[test]
fn the_same_name_in_another_mesh_or_namespace_is_another_resource() {
    let policy = |mesh: &str| format!("type: MeshTCPRoute\nname: r\nmesh: {mesh}\nspec: {{}}\n");
    let kubernetes =
        "apiVersion: kuma.io/v1alpha1\nkind: MeshTCPRoute\nmetadata: {name: r, namespace: b}\nspec: {}\n";
    let files =
        Files::new(&[("a.yaml", &[&policy("a"), &policy("b"), kubernetes].map(|t| t as &str).join("---\n"))]);
    assert_eq!(load(&[files.path("a.yaml")], Strictness::Strict).unwrap().tcp_routes.len(), 3);
}

#[test]
fn a_directory_gives_its_own_files_once_and_without_hidden_ones() {
    let files = Files::new(&[("a.yaml", MESH), (".b.yaml", "?"), ("notes.txt", "?")]);
    fs::create_dir(files.path("inner.yaml")).unwrap();
    std::os::unix::fs::symlink(files.path("a.yaml"), files.path("link.yml")).unwrap();
    assert_eq!(load(&[files.path(""), files.path("a.yaml")], Strictness::Strict).unwrap().meshes.len(), 1);
}

#[test]
fn a_link_that_leads_nowhere_is_an_error() {
    let files = Files::new(&[("a.yaml", MESH)]);
    std::os::unix::fs::symlink(files.path("gone.yaml"), files.path("link.yaml")).unwrap();
    assert_eq!(files.errors(&[""]), ["link.yaml: cannot read: No such file or directory (os error 2)"]);
}

#[test]
fn a_directory_without_yaml_is_an_error() {
    let files = Files::new(&[("notes.txt", "?")]);
    assert_eq!(files.errors(&[""]), [": no *.yaml, *.yml or *.json file in this directory"]);
}

#[test]
fn a_byte_order_mark_is_no_content() {
    let files = Files::new(&[("a.yaml", &format!("\u{feff}{MESH}"))]);
    assert_eq!(load(&[files.path("a.yaml")], Strictness::Strict).unwrap().meshes.len(), 1);
}

#[test]
fn errors_of_a_file_are_in_the_order_of_their_places() {
    let files = Files::new(&[("a.yaml", &format!("{MESH}---\n{MESH}---\ntype: Mehs\n---\n{MESH}"))]);
    assert_eq!(
        files.errors(&["a.yaml"]),
        [
            "a.yaml:5:7: Mesh a is already defined at a.yaml:2:7",
            "a.yaml:7:7: type: unknown kind \"Mehs\", did you mean \"Mesh\"?",
            "a.yaml:10:7: Mesh a is already defined at a.yaml:2:7",
        ]
    );
}

#[test]
fn a_resource_defined_very_often_is_told_often_enough() {
    let document = format!("---\n# {}\n{MESH}", "long".repeat(25));
    let files = Files::new(&[("a.yaml", &document.repeat(30_000))]);
    let errors = files.errors(&["a.yaml"]);
    assert_eq!(errors.len(), 20_001);
    assert_eq!(errors[20_000], "a.yaml: has more than 20000 violations; the others are not told");
}

#[test]
fn bytes_that_are_no_text_have_a_place() {
    let files = Files::new(&[]);
    fs::write(files.path("a.yaml"), b"type: Mesh\nname: \xc3\xa9\xff\n").unwrap();
    assert_eq!(files.errors(&["a.yaml"]), ["a.yaml:2:8: is not UTF-8: the byte at offset 19 is wrong"]);
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let files = Files::new(&[("b.yaml", "type: Mehs\n")]);
    // Sparse: reading it would give zeros, which are no YAML.
    fs::File::create(files.path("a.yaml")).unwrap().set_len(100_000_000).unwrap();
    assert_eq!(
        files.errors(&["a.yaml", "b.yaml"]),
        ["a.yaml: is larger than 64 MiB", "b.yaml:1:7: type: unknown kind \"Mehs\", did you mean \"Mesh\"?"]
    );
}

#[test]
fn what_has_no_end_is_read_up_to_the_limit() {
    let errors = load(&["/dev/zero".into()], Strictness::Strict).unwrap_err().to_string();
    assert_eq!(errors, "/dev/zero: is larger than 64 MiB");
}

#[test]
fn what_was_misspelt_is_told_apart_from_the_message() {
    let suggestions = |text: &str| {
        let errors = parse(Path::new("f.yaml"), text.as_bytes()).unwrap_err().0;
        errors.into_iter().map(|error| error.suggestion).collect::<Vec<_>>()
    };
    assert_eq!(suggestions("type: Mehs\n"), [Some("Mesh".to_owned())]);
    assert_eq!(suggestions("apiVersion: kuma.io/v1alpha1\nkind: Mehs\n"), [Some("Mesh".to_owned())]);
    assert_eq!(suggestions("type: Mesh\nnam: x\nxyzzy: y\n"), [None, Some("name".to_owned()), None]);
}

#[test]
fn files_that_are_no_resources_are_noted_beside_resources() {
    let files = Files::new(&[
        ("kustomization.yaml", "resources:\n  - mesh.yaml\n"),
        ("mesh.yaml", "total: 1\nitems: [{type: Mesh, name: a}]\nnext: null\n"),
        ("values.yaml", "image: {tag: v2}\nreplicas: 2\n"),
    ]);
    let reading = read(&[files.path("")], Rules::default());
    assert_eq!((reading.count, reading.errors.len(), reading.notes.len()), (1, 0, 2));
    assert_eq!(reading.finish().unwrap().meshes.len(), 1);
}

#[test]
fn a_file_with_too_many_objects_is_told_so_and_read_up_to_there() {
    let meshes = |i: usize| format!("type: Mesh\nname: m{i}\n---\n");
    let wrong = |i: usize| format!("type: Mesh\nname: m{i}\nx: 1\n---\n");
    let text = |object: &dyn Fn(usize) -> String| (0..2_000).map(object).collect::<String>();
    let files = Files::new(&[("a.yaml", &text(&meshes)), ("b.yaml", &text(&wrong))]);
    let too_many = "a.yaml:3247:1: there are more than 1082 objects up to here, which is too much for the size of the file";
    let too_bad =
        "b.yaml:3269:1: there are 817 objects up to here that cannot be used: the others are not read";
    let errors = files.errors(&["a.yaml", "b.yaml"]);
    assert_eq!((errors.len(), &*errors[0]), (819, too_many));
    assert_eq!(errors.iter().filter(|error| *error == too_bad).count(), 1, "{:?}", errors.last());
}

#[test]
fn no_more_notes_are_told_than_are_read() {
    let text = "type: MeshHorizon\nname: a-rather-long-name\nspec: {}\nlabels: {}\n---\n".repeat(1_500);
    let files = Files::new(&[("a.yaml", &text)]);
    let notes = read(&[files.path("a.yaml")], Rules::default()).notes;
    assert_eq!(notes.len(), 1_001);
    assert_eq!(
        notes[1_000].to_string(),
        files.path("a.yaml").display().to_string()
            + ": has more than 1000 such notes; the others are not told"
    );
}
