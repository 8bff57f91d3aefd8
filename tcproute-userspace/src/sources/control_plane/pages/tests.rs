use proptest::prelude::*;

use super::*;

/// A page as a control plane sends it.
fn page(names: &[String], offset: usize, size: usize, next: bool) -> Bytes {
    let end = names.len().min(offset + size);
    let objects = names.get(offset..end).unwrap_or_default();
    let items: Vec<String> =
        objects.iter().map(|name| format!(r#"{{"type":"Dataplane","mesh":"m","name":"{name}"}}"#)).collect();
    let next = if end < names.len() && next {
        format!(r#""http://wrong.example/x?offset={end}&size={size}""#)
    } else {
        "null".to_owned()
    };
    format!(r#"{{"total": {}, "items": [{}], "next": {next}}}"#, names.len(), items.join(", ")).into()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("d{i:05}")).collect()
}

fn offset_asked(query: &str) -> usize {
    query.rsplit_once('=').unwrap().1.parse().unwrap()
}

/// Reads a list that is another one at each page.
fn read(known: &Known, mut at: impl FnMut(usize) -> Vec<String>) -> Result<Whole, Failure> {
    let mut pages = known.read();
    let mut number = 0;
    while let Some(query) = pages.query() {
        pages.take(page(&at(number), offset_asked(&query), SIZE, true))?;
        number += 1;
    }
    Ok(pages.whole())
}

fn called(known: &Known, whole: &Whole) -> Vec<String> {
    known.items(whole).unwrap().iter().map(|item| item.head.name.to_string()).collect()
}

#[test]
fn a_list_is_read_page_by_page() {
    for count in [0, 1, 999, 1000, 1001, 1999, 2000, 5000] {
        let known = Known::default();
        let whole = read(&known, |_| names(count)).unwrap();
        assert_eq!(called(&known, &whole), names(count));
        assert!(!whole.is_same, "nothing was known");
    }
}

#[test]
fn what_is_as_it_was_is_told_by_its_text() {
    let mut known = Known::default();
    let whole = read(&known, |_| names(2500)).unwrap();
    known.keep(whole);
    assert!(read(&known, |_| names(2500)).unwrap().is_same);
    let mut other = names(2500);
    other[1700].push('x');
    let whole = read(&known, |_| other.clone()).unwrap();
    assert!(!whole.is_same);
    assert_eq!(called(&known, &whole), other);
    assert!(!read(&known, |_| names(900)).unwrap().is_same);
    known.forget();
    assert!(!read(&known, |_| names(2500)).unwrap().is_same);
}

#[test]
fn a_list_that_moves_while_it_is_read_is_torn() {
    let torn =
        |at: &dyn Fn(usize) -> Vec<String>| matches!(read(&Known::default(), at), Err(Failure::Torn(_)));
    let without = |gone: usize| {
        let mut all = names(2500);
        all.remove(gone);
        all
    };
    assert!(torn(&|page| if page == 0 { names(2500) } else { names(2501) }), "the total has moved");
    // One goes on the first page and one comes on the last: nothing else tells.
    assert!(torn(&|page| {
        let mut all = if page == 0 { names(2500) } else { without(3) };
        all.resize(2500, "z".to_owned());
        all
    }));
    assert!(torn(&|page| {
        let mut all = names(2500);
        if page > 0 {
            all.insert(0, "a".to_owned());
            all.pop();
        }
        all
    }));
}

#[test]
fn a_page_is_what_it_should_be() {
    let take = |bytes: Bytes| Known::default().read().take(bytes);
    let torn = |bytes| matches!(take(bytes), Err(Failure::Torn(_)));
    assert!(torn(page(&names(2500), 0, 999, true)), "short");
    assert!(torn(page(&names(2500), 0, 1001, true)), "long");
    assert!(torn(page(&names(2500), 0, 1000, false)), "no next");
    assert!(torn(r#"{"total":5,"items":[],"next":null}"#.into()), "empty");
    let elsewhere = String::from_utf8(page(&names(2500), 0, 1000, true).to_vec()).unwrap();
    assert!(torn(elsewhere.replace("offset=1000", "offset=0").into()), "it would never end");
    for garbage in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"total":-1}"#,
        r#"{"total":1,"items":[{"name":"x"}]}"#,
        r#"{"total":2000,"items":[],"next":"http://x/"}"#,
        r#"{"total":1,"items":[3]}"#,
    ] {
        assert!(matches!(take(garbage.into()), Err(Failure::Garbage(_))), "{garbage}");
    }
    assert_eq!(take(r#"{"total":0,"items":null}"#.into()), Ok(()), "null is an empty list to Go");
}

#[test]
fn one_object_is_a_list_of_itself() {
    let known = Known::default();
    let mut pages = known.read();
    pages.take(only(br#"{"type":"Mesh","name":"m"}"#)).unwrap();
    assert_eq!(pages.query(), None);
    assert_eq!(called(&known, &pages.whole()), ["m"]);
    assert!(known.read().take(only(b"<html>")).is_err());
}

proptest! {
    /// However a list moves between its pages: what was there all the time is read exactly once, or it is torn.
    #[test]
    fn nothing_that_was_there_all_the_time_is_missed(
        count in 1000..2600usize,
        moves in prop::collection::vec((0..2600usize, any::<bool>()), 0..4),
        after in 0..3usize,
    ) {
        let before = names(count);
        let mut now = before.clone();
        for (at, comes) in moves {
            let at = at % now.len();
            if comes { now.insert(at, format!("new{at}-{}", now.len())) } else { drop(now.remove(at)) }
        }
        let known = Known::default();
        let Ok(whole) = read(&known, |page| if page <= after { before.clone() } else { now.clone() }) else {
            return Ok(());
        };
        let read = called(&known, &whole);
        for name in before.iter().filter(|name| now.contains(name)) {
            prop_assert_eq!(read.iter().filter(|read| *read == name).count(), 1, "{}", name);
        }
    }
}
