//! Commands and what they print, as pages of the documentation show them.
//!
//! A fenced block has them after its word `console`: `$ ` begins a command, and what follows is what it prints. In
//! that, `…` stands for whatever is left out: alone in a line, for any lines. Figures are not compared, names and
//! columns are.

/// A fenced block of a page, without its indentation.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'p> {
    /// What stands behind the fence, such as `console`.
    pub info: &'p str,
    /// Its lines.
    pub text: String,
}

/// A command, and what the page shows of its output.
#[derive(Debug, PartialEq, Eq)]
pub struct Sample {
    /// As it is typed, on one line.
    pub command: String,
    /// Nothing if the page does not say.
    pub shown: String,
}

/// The fenced blocks of a page.
pub fn blocks(page: &str) -> Vec<Block<'_>> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for line in page.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, &mut open) {
            (Some(info), None) => {
                open = Some((line.len() - line.trim_start().len(), Block { info, text: String::new() }));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (None, Some((indent, block))) => {
                // A list's block is indented; empty lines in it may not be.
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

impl Block<'_> {
    /// Its commands in their order.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples: Vec<Sample> = Vec::new();
        let mut is_open = false;
        for line in self.text.lines() {
            let begun = line.strip_prefix("$ ");
            if let Some(begun) = begun {
                samples.push(Sample { command: String::new(), shown: String::new() });
                is_open = true;
                append(&mut samples, begun, &mut is_open);
            } else if is_open {
                append(&mut samples, line.trim_start(), &mut is_open);
            } else if let Some(sample) = samples.last_mut() {
                sample.shown.push_str(line);
                sample.shown.push('\n');
            }
        }
        samples
    }
}

/// A backslash at the end of a command's line says that there is more of it.
fn append(samples: &mut [Sample], line: &str, is_open: &mut bool) {
    let more = line.strip_suffix('\\');
    *is_open = more.is_some();
    if let Some(sample) = samples.last_mut() {
        sample.command.push_str(more.unwrap_or(line));
    }
}

/// Whether the output is what the page shows.
pub fn is_as_shown(shown: &str, output: &str) -> bool {
    let lines = |text: &str| text.trim().lines().map(skeleton).collect::<Vec<_>>();
    are_as_shown(&lines(shown), &lines(output))
}

fn are_as_shown(shown: &[String], output: &[String]) -> bool {
    match shown.split_first() {
        None => output.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=output.len()).any(|left_out| are_as_shown(rest, &output[left_out..]))
        }
        Some((first, rest)) => output
            .split_first()
            .is_some_and(|(line, others)| is_line_as_shown(first, line) && are_as_shown(rest, others)),
    }
}

fn is_line_as_shown(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        last = Some(part);
        rest = &rest[at + part.len()..];
    }
    // What is left out at the end may be anything.
    rest.is_empty() || last.is_some_and(str::is_empty)
}

/// A line without its figures and the width of its columns.
fn skeleton(line: &str) -> String {
    let mut text = String::new();
    for word in line.split_whitespace() {
        let mut figure = false;
        if !text.is_empty() {
            text.push(' ');
        }
        let signed =
            word.strip_prefix(['+', '-']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        for c in signed.unwrap_or(word).chars() {
            // Thousands and fractions belong to a figure.
            let is_figure = c.is_ascii_digit() || figure && matches!(c, '.' | ',');
            if !is_figure {
                text.push(c);
            } else if !figure {
                text.push('#');
            }
            figure = is_figure;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_commands() {
        let page = "Text\n\n   ```console node\n   $ sudo a \\\n       b\n   one\n\n   two\n   $ c\n   ```\n\n```sh\nd\n```\n";
        let blocks = blocks(page);
        assert_eq!(blocks.iter().map(|block| block.info).collect::<Vec<_>>(), ["console node", "sh"]);
        let sample =
            |command: &str, shown: &str| Sample { command: command.to_owned(), shown: shown.to_owned() };
        assert_eq!(blocks[0].samples(), [sample("sudo a b", "one\n\ntwo\n"), sample("c", "")]);
        assert_eq!(blocks[1].samples(), []);
    }

    #[test]
    fn figures_may_be_others_and_names_may_not() {
        let shown = "NAME   COUNT  MORE\nweb  9,030  +0.3\n…\ndone in 1.5 s, … of 3";
        assert!(is_as_shown(shown, "NAME  COUNT  MORE\nweb  12  -1\n\nx\ndone in 22 s, all of 4\n"));
        for other in [
            "NAME  COUNT\nweb  12  -1\ndone in 22 s, all of 4",
            "NAME  COUNT  MORE\ndb  12  -1\ndone in 22 s, all of 4",
            "NAME  COUNT  MORE\nweb  12  -1\ndone in 22 s, all of four",
            "NAME  COUNT  MORE\nweb  12  -1\ndone in 22 s, all of 4\nmore",
        ] {
            assert!(!is_as_shown(shown, other), "{other}");
        }
        assert!(is_as_shown("a …", "a b c"));
    }
}
