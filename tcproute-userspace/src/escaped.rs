//! What others wrote, shown so that it cannot command a terminal, hide itself or look like another line.
//!
//! Names, tags, files' and processes' names and the errors that quote them are shown by [`Escaped`] wherever people
//! look: in what commands print, in the log and in errors. Programs get it as it is: as JSON, by [`json`], whose
//! escapes are exact.

use std::fmt::{self, Display, Formatter, Write};

use serde::Serialize;

/// Shown with all that a reader would not see as an escape, such as `\n` or `\u{202e}`. Backslashes stay as they are: a
/// name with such an escape in it harms nobody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if f.width().is_none() && f.precision().is_none() {
            return write!(Escaping(f), "{}", self.0);
        }
        // Columns go by what is shown.
        let mut text = String::new();
        write!(Escaping(&mut text), "{}", self.0)?;
        f.pad(&text)
    }
}

/// Passes on what is written to it, escaped.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut shown = 0;
        for (at, hidden) in text.char_indices().filter(|(_, c)| is_hidden(*c)) {
            write!(self.0, "{}{}", &text[shown..at], hidden.escape_default())?;
            shown = at + hidden.len_utf8();
        }
        self.0.write_str(&text[shown..])
    }
}

/// The same value as JSON, in which hidden characters are escapes.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    Ok(exact(serde_json::to_string(value)?))
}

/// As [`json`], on several lines.
pub(crate) fn pretty_json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    Ok(exact(serde_json::to_string_pretty(value)?))
}

/// Outside of its strings JSON has no hidden characters but the ends of lines, and those of before a space are escapes.
fn exact(json: String) -> String {
    let left = |c: char| is_hidden(c) && c != '\n';
    if json.is_ascii() && !json.contains('\x7f') || !json.contains(left) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if left(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A string takes all that is written to it.
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
    text
}

/// Whether any of it is not seen as it is.
pub(crate) fn hides(text: &str) -> bool {
    text.contains(|c: char| is_hidden(c) && c != '\n')
}

/// Control characters, the ends of lines of Unicode, and what Unicode calls default ignorable: such as zero-width ones
/// and those that turn the direction of writing.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One of each sort.
    const HIDDEN: &str = "\0\x07\t\n\r\x1b\x7f\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{feff}\u{e0041}";

    #[test]
    fn what_hides_is_an_escape_and_all_else_is_itself() {
        assert_eq!(Escaped("back\x1b]0;x\x07\nend\u{202e}").to_string(), r"back\u{1b}]0;x\u{7}\nend\u{202e}");
        let plain = "größe · naïve क्षि 語 \"a\" \\ 90 %";
        assert_eq!(Escaped(plain).to_string(), plain);
        let shown = Escaped(HIDDEN).to_string();
        assert!(shown.chars().all(|c| c.is_ascii_graphic()), "{shown}");
        assert_eq!(shown.matches('\\').count(), HIDDEN.chars().count());
    }

    #[test]
    fn columns_go_by_what_is_shown() {
        assert_eq!(format!("{:<8}|{:>8}|", Escaped("a\nb"), Escaped("c")), r"a\nb    |       c|");
    }

    #[test]
    fn json_is_exact_and_shows_all() {
        let text = exact(serde_json::to_string(HIDDEN).unwrap());
        assert!(text.chars().all(|c| c.is_ascii_graphic()), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), HIDDEN);
        assert_eq!(json("plain é").unwrap(), "\"plain é\"");
        assert_eq!(pretty_json(&["\x7f"]).unwrap(), "[\n  \"\\u007f\"\n]");
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_hides(text: String) {
            prop_assert!(!Escaped(&text).to_string().contains(is_hidden));
            let json = json(&text).unwrap();
            prop_assert!(!json.contains(is_hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
