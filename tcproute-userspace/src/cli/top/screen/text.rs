//! Text that has so many columns, and numbers as they are shown in few.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::outcomes::Latency;

/// As much of it as there is room for, with a mark where it is cut.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    cut(text.chars(), width).0.into_iter().chain((width > 0).then_some('…')).collect()
}

/// As [`fit`], where the end says more than the beginning.
pub(super) fn fit_end(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (end, _) = cut(text.chars().rev(), width);
    (width > 0).then_some('…').into_iter().chain(end.into_iter().rev()).collect()
}

/// As [`fit`], and filled up to the width.
pub(super) fn filled(text: &str, width: usize) -> String {
    let mut text = fit(text, width);
    let missing = width.saturating_sub(text.width());
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// As [`filled`], at the right.
pub(super) fn right(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let missing = width.saturating_sub(text.width());
    " ".repeat(missing) + &text
}

/// What leaves room for the mark.
fn cut(letters: impl Iterator<Item = char>, width: usize) -> (Vec<char>, usize) {
    let mut taken = 0;
    let mut all = Vec::new();
    for letter in letters {
        let more = letter.width().unwrap_or(0);
        if taken + more >= width {
            break;
        }
        taken += more;
        all.push(letter);
    }
    (all, taken)
}

/// The target of a backendRef without its kind, and without the service where that is the route's: the rest tells
/// backendRefs apart.
pub(super) fn target<'a>(target: &'a str, service: &str) -> &'a str {
    let name = target.split_once(' ').map_or(target, |(_, name)| name);
    let rest = name.strip_prefix(service).and_then(|rest| rest.strip_prefix(' '));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// A rate.
pub(in crate::cli::top) fn per_second(rate: f64) -> String {
    match rate {
        // One that is not 0 does not look like 0.
        rate if rate > 0.0 && rate < 0.05 => "<0.1".to_owned(),
        rate if rate < 9999.95 => format!("{rate:.1}"),
        rate if rate < 999_999.5 => format!("{rate:.0}"),
        rate => format!("{:.1}M", rate / 1_000_000.0),
    }
}

/// A share from 0 to 1, in percent.
pub(super) fn share(share: f64) -> String {
    if share > 0.0 && share < 0.0005 { "<0.1".to_owned() } else { format!("{:.1}", share * 100.0) }
}

/// Below what that share of handshakes took.
pub(in crate::cli::top) fn latency(latency: &Latency, share: f64) -> String {
    if latency.buckets.iter().all(|count| *count == 0) {
        return "-".to_owned();
    }
    latency.quantile(share).map_or_else(|| ">8s".to_owned(), |bound| format!("<{}", rounded(bound)))
}

fn rounded(bound: Duration) -> String {
    match bound.as_micros() {
        micros if micros < 1000 => format!("{micros}µs"),
        micros if micros < 1_000_000 => format!("{}ms", micros / 1000),
        micros => format!("{}s", micros / 1_000_000),
    }
}

/// How long ago.
pub(super) fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86400),
    }
}

/// A share as a bar of so many columns.
pub(super) fn bar(share: f64, width: usize) -> String {
    let halves = (share * 2.0 * crate::outcomes::float(width as u64)).round();
    let full = |column: usize| crate::outcomes::float(column as u64 * 2);
    (0..width)
        .map(|column| match halves - full(column) {
            left if left >= 2.0 => '█',
            left if left >= 1.0 => '▌',
            _ => ' ',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(
            (fit("abcdef", 6), fit("abcdef", 4), fit("abc", 0)),
            ("abcdef".into(), "abc…".into(), String::new())
        );
        assert_eq!((fit_end("abcdef", 4), fit_end("abc", 1)), ("…def".to_owned(), "…".to_owned()));
        assert_eq!(fit("語語語", 4), "語…");
        assert_eq!(
            (filled("ab", 4), right("ab", 4), filled("語語", 3)),
            ("ab  ".into(), "  ab".into(), "語…".into())
        );
    }

    #[test]
    fn a_target_is_what_tells_it_apart() {
        let of = |text| target(text, "db");
        assert_eq!(of("MeshServiceSubset db v=a zone=x"), "v=a zone=x");
        assert_eq!([of("MeshService db"), of("MeshService db-2"), of("db")], ["db", "db-2", "db"]);
    }

    #[test]
    fn numbers_take_few_columns() {
        let rates = [0.0, 0.01, 12.345, 9999.9, 123_456.0, 12_345_678.0].map(per_second);
        assert_eq!(rates, ["0.0", "<0.1", "12.3", "9999.9", "123456", "12.3M"]);
        assert_eq!([0.0, 0.0001, 0.9, 1.0].map(share), ["0.0", "<0.1", "90.0", "100.0"]);
        assert_eq!((bar(0.9, 8), bar(0.0, 2), bar(0.5, 1)), ("███████ ".into(), "  ".into(), "▌".into()));
        let mut some = Latency::default();
        assert_eq!(latency(&some, 0.5), "-");
        some.buckets[9] = 99;
        *some.buckets.last_mut().unwrap() = 1;
        assert_eq!((latency(&some, 0.5), latency(&some, 1.0)), ("<512µs".into(), ">8s".into()));
        assert_eq!(
            [1, 600, 7300, 200_000].map(|s| age(Duration::from_secs(s))),
            ["1 s", "10 min", "2 h", "2 d"]
        );
    }
}
