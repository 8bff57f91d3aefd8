//! Tables as pages have them.

use std::fmt::Write as _;

/// The first column is text, the others are figures. A cell with a bar would be two cells.
pub fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(head);
    let _ = writeln!(text, "|---|{}", "---:|".repeat(head.len().saturating_sub(1)));
    for row in rows {
        text += &line(row);
    }
    text
}

/// With commas between thousands.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let digits = whole.trim_start_matches('-');
    let mut grouped = whole[..whole.len() - digits.len()].to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digits.is_ascii() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_apart() {
        for (value, decimals, expected) in [
            (11439.6, 0, "11,440"),
            (999.94, 1, "999.9"),
            (-1_234_567.25, 2, "-1,234,567.25"),
            (0.0, 1, "0.0"),
        ] {
            assert_eq!(number(value, decimals), expected);
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_row() {
        let cells = |row: &str| row.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(table(&cells("who µs"), &[cells("a|b 1")]), "| who | µs |\n|---|---:|\n| a\\|b | 1 |\n");
    }
}
