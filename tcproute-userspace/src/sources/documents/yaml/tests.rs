use proptest::prelude::*;
use serde_yaml::{Mapping, Value as Yaml};

use super::{super::node::Node, *};
use crate::sources::documents::scalar::Scalar;

/// Each document as a whole, and the fault that ends the text.
fn all_of(text: &str) -> (Vec<Content>, Option<Fault>) {
    let mut documents = Documents::new(text);
    let mut all = Vec::new();
    loop {
        let content = documents.next().and_then(|document| match document {
            Some(Document::Whole(content)) => Ok(Some(content)),
            Some(Document::WithItems(_)) => documents.whole(),
            None => Ok(None),
        });
        match content {
            Ok(Some(content)) => all.push(content),
            Ok(None) => return (all, None),
            Err(fault) => return (all, Some(fault)),
        }
    }
}

/// The outline of each document: scalars as they are, `[…]`, `{…}`; or what is wrong, with its place.
fn outlines(text: &str) -> Vec<String> {
    let (all, fault) = all_of(text);
    let outlined = all.iter().map(|content| outline(content.root().unwrap()));
    outlined
        .chain(fault.map(|Fault { at, message }| format!("{}:{}: {message}", at.line, at.column)))
        .collect()
}

fn outline(node: Node<'_>) -> String {
    if let Some(text) = node.text() {
        return if node.is_plain() { text.to_owned() } else { format!("'{text}'") };
    }
    if node.is_sequence() {
        return format!("[{}]", node.items().map(outline).collect::<Vec<_>>().join(","));
    }
    let entry = |(key, value): (Node<'_>, Node<'_>)| format!("{}:{}", outline(key), outline(value));
    format!("{{{}}}", node.entries().map(entry).collect::<Vec<_>>().join(","))
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
    let (documents, _) = all_of(text);
    let root = documents[0].root().unwrap();
    let at = |node: Node<'_>| (node.at().line, node.at().column);
    let item = root.get("b").unwrap().items().next().unwrap();
    assert_eq!((at(root), root.get("é").map(at)), ((1, 1), Some((1, 4))));
    assert_eq!((at(item), item.get("c").map(at)), ((3, 5), Some((3, 9))));
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
        ("{a: ", "1:513", ours),
        ("- ", "1:257", ours),
        ("? ", "1:257", ours),
        ("[? ", "1:193", ours),
    ] {
        assert_eq!(outlines(&open.repeat(1_000_000)), [format!("{place}: {message}")], "{open}");
    }
    let just = format!("{}{}", "[".repeat(128), "]".repeat(128));
    assert_eq!(outlines(&just), [just]);
}

#[test]
fn what_is_too_much_is_left_out_and_told() {
    let most = (1 << 20) / 7;
    let text = format!("a: [{}]\nb: c\n---\n{}", "x,".repeat(most), "- x\n".repeat(most - 1));
    let (documents, fault) = all_of(&text);
    assert_eq!(fault, None);
    let [cut, whole] = &documents[..] else { panic!("{}", documents.len()) };
    assert_eq!((cut.beyond, whole.beyond), (Some(most), None));
    assert_eq!(cut.root().unwrap().get("a").unwrap().items().count(), most - 3);
    assert_eq!(whole.root().unwrap().items().count(), most - 1);
}

#[test]
fn braces_and_brackets_are_looked_ahead_at_within_bounds() {
    let text = |count: usize| format!("- 1\n- [{}]\n", "a,".repeat(count));
    assert_eq!(all_of(&text(58_000)).1, None);
    let (_, fault) = all_of(&text(59_000));
    let fault = fault.unwrap();
    assert_eq!(fault.at, Mark { line: 2, column: 3 });
    assert!(fault.message.starts_with("is in braces or brackets"), "{}", fault.message);
    // Where it is known to be no key nothing has to be looked ahead at.
    for text in [format!("[{}]", "a,".repeat(120_000)), format!("a: [{}]", "a,".repeat(120_000))] {
        assert_eq!(all_of(&text).1, None);
    }
}

#[test]
fn items_are_had_one_by_one_if_there_can_be_no_alias_to_them() {
    let items = |text: &str| {
        let mut documents = Documents::new(text);
        let Ok(Some(Document::WithItems(head))) = documents.next() else { return None };
        let mut all = vec![outline(head.root().unwrap())];
        while let Some(item) = documents.item().unwrap() {
            let root = item.root().unwrap();
            all.push(format!("{}:{} {}", root.at().line, root.at().column, outline(root)));
        }
        let Ok(Some(Document::Whole(last))) = documents.next() else { panic!("{text}") };
        assert_eq!(outline(last.root().unwrap()), "last");
        Some(all)
    };
    let expected =
        Some(["{x:1,items:[],kind:List}", "2:9 {a:1}", "2:17 [2,[3]]", "2:27 4"].map(str::to_owned).into());
    assert_eq!(items("x: 1\nitems: [{a: 1}, [2, [3]], 4]\nkind: List\n--- last\n"), expected);
    let text = "x: &x {y: 1}\nitems:\n- *x\n- {z: *x}\n--- last\n";
    assert_eq!(items(text).unwrap()[1..], ["1:4 {y:1}", "4:3 {z:{y:1}}"]);
    assert_eq!(items("items: []\n--- last\n").unwrap(), ["{items:[]}"]);
    for text in [
        "items: [&a 1, *a]\n",
        "items: [{a: &a 1, b: [2]}, *a]\n",
        "items: &a [1]\n",
        "items: {a: 1}\n",
        "a: {items: [1]}\n",
        "- items: [1]\n",
    ] {
        assert_eq!(items(text), None, "{text}");
        assert_eq!(all_of(text).1, None);
    }
    assert_eq!(outlines("items: [1, {a: [2]}]\nx: [3]\n"), ["{items:[1,{a:[2]}],x:[3]}"]);
    assert_eq!(outlines("items: [{a: &a 1, b: [2]}, *a]\n"), ["{items:[{a:1,b:[2]},1]}"]);
    assert_eq!(outlines("items: [1]\nx: *y\n"), ["2:4: while parsing node, found unknown anchor"]);
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

fn as_yaml(node: Node<'_>) -> Yaml {
    match node.scalar() {
        Some(Scalar::Null) => Yaml::Null,
        Some(Scalar::Bool(value)) => value.into(),
        Some(Scalar::Integer(number)) => u64::try_from(number)
            .map(Yaml::from)
            .or_else(|_| i64::try_from(number).map(Yaml::from))
            .unwrap_or_else(|_| panic!("{number} was not written")),
        Some(Scalar::Float(number)) => number.into(),
        Some(Scalar::Text(text)) => text.into(),
        None if node.is_mapping() => {
            Yaml::from(node.entries().map(|(key, value)| (as_yaml(key), as_yaml(value))).collect::<Mapping>())
        }
        None => Yaml::from(node.items().map(as_yaml).collect::<Vec<_>>()),
    }
}

proptest! {
    #[test]
    fn what_serde_yaml_writes_reads_the_same(yaml in yaml()) {
        let text = serde_yaml::to_string(&yaml).unwrap();
        let (documents, fault) = all_of(&text);
        let ([content], None) = (&documents[..], fault) else { panic!("{documents:?} of {text:?}") };
        prop_assert_eq!(as_yaml(content.root().unwrap()), yaml, "{}", text);
    }
}
