//! What keys mean.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    /// So many rows down; up if it is negative.
    Move(isize),
    /// So many pages.
    Page(isize),
    First,
    Last,
    NextColumn,
    Reverse,
    Filter,
    OnlyFailing,
    Trace,
    Describe,
    Pause,
    Longer,
    Shorter,
    Help,
    /// Whatever is open, or else the filter.
    Close,
    Type(char),
    Erase,
    /// What was typed.
    Keep,
}

/// What letters are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// Each does something.
    #[default]
    Keys,
    /// They are typed.
    Typing,
}

/// The keys, as the help tells them.
pub(super) const HELP: [(&str, &str); 12] = [
    ("↑ ↓ k j", "select a route"),
    ("PgUp PgDn", "a page; in a description, scroll it"),
    ("Home End g G", "the first route, the last"),
    ("s S", "sort by the next column; the other way round"),
    ("/", "show routes that have these words; Esc shows all"),
    ("f", "show only routes of which anything fails or is taken out"),
    ("t", "trace: connections of the selected route as they happen"),
    ("d Enter", "describe: policies, backendRefs, endpoints in and out, reasons"),
    ("p", "pause, and go on"),
    ("+ -", "ask the daemon less often, more often"),
    ("Esc", "close what is open"),
    ("q Ctrl-C", "quit"),
];

/// `None` for a key that does nothing.
pub(super) fn action(key: KeyEvent, mode: Mode) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            // Enter, typed before the terminal was taken.
            KeyCode::Char('j') => action(KeyEvent::from(KeyCode::Enter), mode),
            KeyCode::Char('u') if mode == Mode::Typing => Some(Action::Close),
            KeyCode::Char('f') => Some(Action::Page(1)),
            KeyCode::Char('b') => Some(Action::Page(-1)),
            _ => None,
        };
    }
    match (mode, key.code) {
        (_, KeyCode::Up) => Some(Action::Move(-1)),
        (_, KeyCode::Down) => Some(Action::Move(1)),
        (_, KeyCode::PageUp) => Some(Action::Page(-1)),
        (_, KeyCode::PageDown) => Some(Action::Page(1)),
        (_, KeyCode::Home) => Some(Action::First),
        (_, KeyCode::End) => Some(Action::Last),
        (_, KeyCode::Esc) => Some(Action::Close),
        (Mode::Typing, KeyCode::Enter) => Some(Action::Keep),
        (Mode::Typing, KeyCode::Backspace) => Some(Action::Erase),
        (Mode::Typing, KeyCode::Char(letter)) => Some(Action::Type(letter)),
        (Mode::Keys, KeyCode::Enter) => Some(Action::Describe),
        (Mode::Keys, KeyCode::Char(letter)) => of_letter(letter),
        _ => None,
    }
}

const fn of_letter(letter: char) -> Option<Action> {
    Some(match letter {
        'q' => Action::Quit,
        'j' => Action::Move(1),
        'k' => Action::Move(-1),
        'g' => Action::First,
        'G' => Action::Last,
        's' => Action::NextColumn,
        'S' => Action::Reverse,
        '/' => Action::Filter,
        'f' => Action::OnlyFailing,
        't' => Action::Trace,
        'd' => Action::Describe,
        'p' => Action::Pause,
        '+' | '=' => Action::Longer,
        '-' => Action::Shorter,
        '?' | 'h' => Action::Help,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_do_something_or_are_typed() {
        let press = |code, mode| action(KeyEvent::new(code, KeyModifiers::NONE), mode);
        assert_eq!(press(KeyCode::Char('q'), Mode::Keys), Some(Action::Quit));
        assert_eq!(press(KeyCode::Char('q'), Mode::Typing), Some(Action::Type('q')));
        assert_eq!(press(KeyCode::Enter, Mode::Keys), Some(Action::Describe));
        assert_eq!(press(KeyCode::Enter, Mode::Typing), Some(Action::Keep));
        assert_eq!(press(KeyCode::Char('x'), Mode::Keys), None);
        for mode in [Mode::Keys, Mode::Typing] {
            let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
            assert_eq!(action(key, mode), Some(Action::Quit), "{mode:?}");
            let key = KeyEvent::new(KeyCode::Char('j'), KeyModifiers::CONTROL);
            assert_eq!(action(key, mode), press(KeyCode::Enter, mode), "{mode:?}");
            assert_eq!(press(KeyCode::Down, mode), Some(Action::Move(1)));
        }
    }
}
