//! What a scalar without quotes stands for: the core schema of YAML 1.2.

/// A scalar as what it stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    /// What this text stands for without quotes.
    pub(super) fn plain(text: &'a str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        // Most scalars are words, and are told by their first letter.
        if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
            return Self::Text(text);
        }
        integer(text).map(Self::Integer).or_else(|| float(text).map(Self::Float)).unwrap_or(Self::Text(text))
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

/// `007` is no number: it may well be a name, and would lose its zeros.
fn has_leading_zero(text: &str) -> bool {
    let digits = unsigned(text);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn integer(text: &str) -> Option<i128> {
    let (radix, digits) = match unsigned(text).split_at_checked(2) {
        Some(("0x", digits)) => (16, digits),
        Some(("0o", digits)) => (8, digits),
        Some(("0b", digits)) => (2, digits),
        _ => (10, unsigned(text)),
    };
    // A second sign would be taken.
    if has_leading_zero(text) || digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    Some(if text.starts_with('-') { -number } else { number })
}

fn float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    // Rust also reads `+inf` and rounds 1e999 to infinity.
    text.parse().ok().filter(|number: &f64| number.is_finite() && !has_leading_zero(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_typed_as_in_yaml_1_2() {
        let cases = [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("True", Scalar::Bool(true)),
            ("80", Scalar::Integer(80)),
            ("-0x1f", Scalar::Integer(-31)),
            ("+0o17", Scalar::Integer(15)),
            ("0b11", Scalar::Integer(3)),
            ("18446744073709551616", Scalar::Integer(1 << 64)),
            ("1.10", Scalar::Float(1.1)),
            ("-.INF", Scalar::Float(f64::NEG_INFINITY)),
            ("1e3", Scalar::Float(1000.0)),
        ];
        for (text, expected) in cases {
            assert_eq!(Scalar::plain(text), expected, "{text:?}");
        }
        for text in
            ["yes", "007", "0x", "0x-1", "--1", "1_000", "inf", "nan", "+inf", "1e999", "10.0.0.1", "a"]
        {
            assert_eq!(Scalar::plain(text), Scalar::Text(text));
        }
    }
}
