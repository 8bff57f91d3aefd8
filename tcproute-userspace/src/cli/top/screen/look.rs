//! How things look: with colours where there are any, and always by more than colours.

use ratatui::style::{Color, Modifier, Style};

/// What the terminal can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::top) struct Look {
    colours: bool,
}

impl Look {
    /// Of a terminal of this name (TERM); `None` if nothing can be drawn on it.
    pub(in crate::cli::top) fn of(term: &str, no_color: bool) -> Option<Self> {
        if matches!(term, "" | "dumb" | "unknown" | "emacs" | "network") {
            return None;
        }
        // Names of terminfo without colours: those of DEC, and variants that are called so.
        let is_plain = ["vt1", "vt2", "vt3", "vt4", "wy"].iter().any(|begin| term.starts_with(begin))
            || term == "vt52"
            || term.split(['-', '+']).skip(1).any(|variant| matches!(variant, "m" | "mono" | "nc"));
        Some(Self { colours: !no_color && !is_plain })
    }

    pub(in crate::cli::top) const fn has_colours(self) -> bool {
        self.colours
    }

    const fn coloured(self, style: Style, colour: Color) -> Style {
        if self.colours { style.fg(colour) } else { style }
    }

    pub(super) fn title() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn heading(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::UNDERLINED), Color::Cyan)
    }

    pub(super) fn keys(self) -> Style {
        self.coloured(Style::new(), Color::Cyan)
    }

    /// What is not as it should be.
    pub(super) fn alarm(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Red)
    }

    /// What is to be known.
    pub(super) fn notice(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Yellow)
    }

    pub(super) fn route() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn selected() -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// What was read some time ago.
    pub(super) fn old() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_there_where_terminal_and_user_have_them() {
        let colours = |term, no_color| Look::of(term, no_color).map(Look::has_colours);
        for term in ["xterm", "xterm-256color", "screen", "tmux-256color", "linux", "rxvt-unicode"] {
            assert_eq!((colours(term, false), colours(term, true)), (Some(true), Some(false)), "{term}");
        }
        for term in ["vt100", "vt220", "xterm-mono", "linux-m", "ansi-m", "screen+nc"] {
            assert_eq!(colours(term, false), Some(false), "{term}");
        }
        assert_eq!((colours("dumb", false), colours("", false)), (None, None));
    }
}
