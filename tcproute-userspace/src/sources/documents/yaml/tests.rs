use proptest::prelude::*;
use serde_yaml::{Mapping, Value as Yaml};

use super::*;
use crate::sources::documents::scalar::Scalar;

/// The outline of each document: scalars as they are, `[…]`, `{…}`; or what is wrong, with its place.
fn outlines(text: &str) -> Vec<String> {
    let outlined = |document: Document| match document {
        Ok(node) => outline(&node),
        Err(Fault { at, message }) => format!("{}:{}: {message}", at.line, at.column),
    };
    Documents::new(text).map(outlined).collect()
}

fn outline(node: &Node) -> String {
    match &node.value {
        Value::Plain(text) => text.to_string(),
        Value::Quoted(text) => format!("'{text}'"),
        Value::Sequence(items) => format!("[{}]", items.iter().map(outline).collect::<Vec<_>>().join(",")),
        Value::Mapping(entries) => {
            let entry = |(key, value): &(Node, Node)| format!("{}:{}", outline(key), outline(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
        }
    }
}

#[test]
fn each_document_of_a_text_is_a_tree() {
    let text = "# nothing\n---\na: 1.10\nb: ['x', {c: }]\na: again\n--- text\n...\n";
    assert_eq!(outlines(text), ["{a:1.10,b:['x',{c:}],a:again}", "text"]);
    assert_eq!(outlines(""), [] as [&str; 0]);
}

#[test]
fn a_tag_of_the_core_schema_overrides_the_quotes() {
    assert_eq!(outlines("[!!str 1, !!int '2', !local 3, !local '4']"), ["['1',2,3,'4']"]);
}

#[test]
fn every_node_has_its_place() {
    let text = "é: x\r\nb:\r\n  - {c: d}\r\n";
    let Some(Ok(root)) = Documents::new(text).next() else { panic!() };
    let at = |node: &Node| (node.at.line, node.at.column);
    let Some(Value::Sequence(items)) = root.get("b").map(|list| &list.value) else { panic!() };
    assert_eq!((at(&root), root.get("é").map(at)), ((1, 1), Some((1, 4))));
    assert_eq!((at(&items[0]), items[0].get("c").map(at)), ((3, 5), Some((3, 9))));
}

#[test]
fn an_alias_is_what_its_anchor_stands_for() {
    assert_eq!(outlines("a: &x [1, &y 2]\nb: [*x, *y]\n"), ["{a:[1,2],b:[[1,2],2]}"]);
    assert_eq!(outlines("[&x 1, *x, &x 2, *x]"), ["[1,1,2,2]"]);
}

#[test]
fn wrong_aliases_have_places() {
    assert_eq!(outlines("a: *x\n"), ["1:4: while parsing node, found unknown anchor"]);
    assert_eq!(
        outlines("a: b\nb: &y [*y]\n"),
        ["2:8: the alias stands for nothing in its document, or for what it stands inside of"]
    );
    assert_eq!(
        outlines("--- &z z\n--- *z\n"),
        ["z", "2:5: the alias stands for nothing in its document, or for what it stands inside of"]
    );
}

#[test]
fn broken_syntax_has_a_place_and_ends_the_text() {
    assert_eq!(
        outlines("a: b\n---\nname: [a\n---\nc: d\n"),
        ["{a:b}", "4:1: while parsing a flow sequence, expected ',' or ']'"]
    );
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let ours = "is nested more than 128 levels deep";
    // The parser looks ahead for the end of what may be a key, and has a limit of its own.
    let parsers = "recursion limit exceeded";
    for (open, place, message) in [
        ("[", "1:256", parsers),
        ("{a: ", "1:1021", parsers),
        ("- ", "1:257", ours),
        ("? ", "1:257", ours),
        ("[? ", "1:766", parsers),
    ] {
        assert_eq!(outlines(&open.repeat(1_000_000)), [format!("{place}: {message}")], "{open}");
    }
    let just = format!("{}{}", "[".repeat(128), "]".repeat(128));
    assert_eq!(outlines(&just), [just]);
}

#[test]
fn what_is_too_much_is_refused() {
    let outlines = outlines(&format!("[{}]", "a,".repeat(4_000_000)));
    assert_eq!(outlines.len(), 1);
    assert!(outlines[0].ends_with("the document has more than 4000000 values"), "{outlines:?}");
}

#[test]
fn a_million_values_are_not_too_much() {
    let Some(Ok(root)) = Documents::new(&format!("[{}]", "a,".repeat(1_000_000))).next() else { panic!() };
    assert!(matches!(root.value, Value::Sequence(items) if items.len() == 1_000_000));
}

#[test]
fn aliases_cannot_stand_for_very_much() {
    let level = |i: usize| format!("a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 9].join(","));
    let bomb = format!("a0: &a0 [lol]\n{}", (1..20).map(level).collect::<Vec<_>>().join("\n"));
    let message = "the aliases of the document stand for more than 500000 values";
    assert_eq!(outlines(&bomb), [format!("7:18: {message}")]);

    let wide = format!("a: &a [{}]\nb:\n{}", "x,".repeat(100_000), "- *a\n".repeat(100_000));
    assert_eq!(outlines(&wide), [format!("7:3: {message}")]);

    let long = format!("a: &a {}\nb:\n{}", "x".repeat(1 << 20), "- *a\n".repeat(100_000));
    assert_eq!(outlines(&long), ["19:3: the aliases of the document stand for more than 16 MiB of text"]);
}

#[test]
fn merge_keys_take_in_what_the_mapping_does_not_say_itself() {
    let text = "- &a {x: 1, y: 1}\n- &b {y: 2, z: 2}\n";
    for (mapping, merged) in [
        ("{<<: *a, y: 3}", "{y:3,x:1}"),
        ("{y: 3, <<: [*b, *a]}", "{y:3,z:2,x:1}"),
        ("{<<: {<<: *a, z: 4}}", "{z:4,x:1,y:1}"),
        ("{'<<': *a}", "{'<<':{x:1,y:1}}"),
        ("{<<: text}", "{<<:text}"),
        ("{<<: [*a, 1]}", "{<<:[{x:1,y:1},1]}"),
    ] {
        let [document] = &outlines(&format!("{text}- {mapping}\n"))[..] else { panic!("{mapping}") };
        assert_eq!(*document, format!("[{{x:1,y:1}},{{y:2,z:2}},{merged}]"));
    }
}

fn yaml() -> impl Strategy<Value = Yaml> {
    let text = prop_oneof![any::<String>(), "[ -~]{0,12}", "(yes|null|~|<<x|1e3|0x1f|-|# a|a: b|[\\[{].*)"];
    // serde_yaml folds at what broke lines in YAML 1.1; in YAML 1.2 (section 5.4) it is text.
    let text = text
        .prop_filter("a line break of YAML 1.1", |text| !text.contains(['\u{85}', '\u{2028}', '\u{2029}']));
    let scalar = prop_oneof![
        Just(Yaml::Null),
        any::<bool>().prop_map(Yaml::from),
        any::<i64>().prop_map(Yaml::from),
        any::<u64>().prop_map(Yaml::from),
        text.prop_map(Yaml::from),
    ];
    scalar.prop_recursive(4, 32, 6, |inner| {
        // serde_yaml knows no merge keys.
        let key = "[ -~]{0,8}".prop_filter("a merge key", |key| key != "<<");
        let entries = proptest::collection::btree_map(key, inner.clone(), 0..6);
        let mapping = entries.prop_map(|entries| {
            Yaml::from(entries.into_iter().map(|(key, value)| (Yaml::from(key), value)).collect::<Mapping>())
        });
        prop_oneof![proptest::collection::vec(inner, 0..6).prop_map(Yaml::from), mapping]
    })
}

fn as_yaml(node: &Node) -> Yaml {
    match (&node.value, node.scalar()) {
        (_, Some(Scalar::Null)) => Yaml::Null,
        (_, Some(Scalar::Bool(value))) => value.into(),
        (_, Some(Scalar::Integer(number))) => u64::try_from(number)
            .map(Yaml::from)
            .or_else(|_| i64::try_from(number).map(Yaml::from))
            .unwrap_or_else(|_| panic!("{number} was not written")),
        (_, Some(Scalar::Float(number))) => number.into(),
        (_, Some(Scalar::Text(text))) => text.into(),
        (Value::Mapping(entries), None) => {
            let entries = entries.iter().map(|(key, value)| (as_yaml(key), as_yaml(value)));
            Yaml::from(entries.collect::<Mapping>())
        }
        (Value::Sequence(items), None) => Yaml::from(items.iter().map(as_yaml).collect::<Vec<_>>()),
        (Value::Quoted(_) | Value::Plain(_), None) => unreachable!("a scalar is one"),
    }
}

proptest! {
    #[test]
    fn what_serde_yaml_writes_reads_the_same(yaml in yaml()) {
        let text = serde_yaml::to_string(&yaml).unwrap();
        let documents: Vec<Document> = Documents::new(&text).collect();
        let [Ok(node)] = &documents[..] else { panic!("{documents:?} of {text:?}") };
        prop_assert_eq!(as_yaml(node), yaml, "{}", text);
    }
}
