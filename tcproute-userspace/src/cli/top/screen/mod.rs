//! What the terminal shows, drawn from [`App`]: header, table, what is open beside it, and the keys.

mod header;
pub(super) mod look;
mod pane;
mod table;
pub(super) mod text;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::Line,
};

use super::{
    app::{App, Pane},
    input::Mode,
};
use look::Look;
use text::fit;

/// Below so many lines a pane takes the place of the table.
const BESIDE: u16 = 14;

/// Draws all of it; only those rows are looked at that are seen.
pub(super) fn draw(frame: &mut Frame, app: &mut App, look: Look) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    for (line, (text, style)) in (head.y..head.bottom()).zip(header::lines(app, look)) {
        put(frame, Rect { y: line, height: 1, ..head }, &text, style);
    }
    let (table, open) = match &app.pane {
        None => (body, Rect::default()),
        Some(Pane::Help) => (Rect::default(), body),
        Some(_) if body.height < BESIDE => (Rect::default(), body),
        Some(_) => {
            let [table, pane] =
                Layout::vertical([Constraint::Percentage(45), Constraint::Min(0)]).areas(body);
            (table, pane)
        }
    };
    if !table.is_empty() {
        table::draw(frame, table, app, look);
    }
    if !open.is_empty() {
        pane::draw(frame, open, app, look);
    }
    put(frame, foot, &keys(app), look.keys());
}

/// The last line.
fn keys(app: &App) -> String {
    if app.mode() == Mode::Typing {
        return format!(
            "/{}▏  Enter keeps it, Esc shows all",
            crate::escaped::Escaped(app.view.filter.text())
        );
    }
    match &app.pane {
        Some(Pane::Description(_)) => "Esc close  PgUp PgDn scroll  ↑ ↓ route  t trace  ? help  q quit",
        Some(Pane::Trace(_)) => "Esc close  ↑ ↓ route  d describe  p pause  ? help  q quit",
        Some(Pane::Help) => "Esc close  q quit",
        None => "q quit  ? help  / filter  s sort  f failing  t trace  d describe  p pause  + -",
    }
    .to_owned()
}

/// A line of text, cut where there is no more room.
fn put(frame: &mut Frame, area: Rect, text: &str, style: Style) {
    if !area.is_empty() {
        frame.render_widget(Line::styled(fit(text, area.width.into()), style).style(style), area);
    }
}

#[cfg(test)]
mod tests;
