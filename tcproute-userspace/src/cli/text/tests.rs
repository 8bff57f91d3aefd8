//! How it is laid out.

use super::*;

fn row(cells: [&str; 2]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn lines(text: &Text, layout: Layout) -> Vec<String> {
    text.laid_out(layout).lines().map(str::to_owned).collect()
}

#[test]
fn what_others_wrote_stays_in_its_line_and_column() {
    let mut text = Text::of("name \x1b[2J\nerror: forged");
    text.table(&["NAME", "COUNT"], &[1], [row(["a\nb\r\u{202e}", "1"]), row(["c", "20"])]);
    assert_eq!(
        lines(&text, Layout::default()),
        [
            r"name \u{1b}[2J\nerror: forged",
            "NAME            COUNT",
            r"a\nb\r\u{202e}      1",
            "c                  20",
        ]
    );
}

#[test]
fn headings_can_be_left_out() {
    let mut block = Text::of("a block");
    block.table(&["NAME", "COUNT"], &[1], [row(["a", "1"])]);
    let text = Text::blocks([block.clone(), block]);
    let shown = text.laid_out(Layout { headings: false, ..Layout::default() });
    assert_eq!(shown, "a block\na         1\n\na block\na         1\n");
}

#[test]
fn long_cells_go_on_in_their_column() {
    let mut text = Text::default();
    let marked = Row::marked(Some(Mark::Error), row(["a-name", "so many words here"]));
    text.table_within(20, &["ID", "FOUND"], [marked, row(["b", "few"]).into()]);
    let expected = ["ID      FOUND", "a-name  so many", "        words here", "b       few"];
    assert_eq!(lines(&text, Layout::default()), expected);
    let coloured = lines(&text, Layout { colours: true, ..Layout::default() });
    assert_eq!(coloured[2], "\x1b[31m        words here\x1b[0m");
    assert_eq!(coloured[3], expected[3]);
}

#[test]
fn a_table_fits_the_screen_with_a_line_for_each_row() {
    let mut text = Text::default();
    let long = "a-name-that-is-longer-than-any-screen-is-wide";
    text.table(&["NAME", "WHAT IT SERVES"], &[], [row(["short", long]), row([long, "with words and words"])]);
    let whole = lines(&text, Layout::default());
    assert!(whole[1].ends_with(long) && whole[2].starts_with(long), "{whole:?}");
    for width in [1, 8, 20, 40, 60] {
        let fits = lines(&text, Layout { width: Some(width), ..Layout::default() });
        assert_eq!(fits.len(), 3, "{fits:?}");
        let widest = fits.iter().map(|line| unicode_width::UnicodeWidthStr::width(&**line)).max();
        assert!(width < 8 || widest <= Some(width.into()), "{width}: {fits:?}");
        assert!(fits[1].contains('…') && fits[2].contains('…'), "{width}: {fits:?}");
    }
    assert_eq!(lines(&text, Layout { width: Some(200), ..Layout::default() }), whole);
}

#[test]
fn colours_are_ours_and_stay_in_their_line() {
    let mut text = Text::default();
    text.marked(Mark::Error, "bad \x1b[2J");
    text.marked(Mark::Warning, "");
    text.table(
        &["NAME", "N"],
        &[],
        [Row::marked(Some(Mark::Warning), row(["a", "1"])), row(["b", "2"]).into()],
    );
    assert_eq!(
        text.laid_out(Layout { colours: true, ..Layout::default() }),
        "\x1b[31mbad \\u{1b}[2J\x1b[0m\n\nNAME  N\n\x1b[33ma     1\x1b[0m\nb     2\n"
    );
    assert_eq!(text.to_string(), "bad \\u{1b}[2J\n\nNAME  N\na     1\nb     2\n");
}
