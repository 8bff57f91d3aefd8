//! What is open beside the table: connections as they happen, a description, or help.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    widgets::{Paragraph, Wrap},
};

use super::{
    look::Look,
    put,
    text::{fit, target},
};
use crate::{
    cli::{
        top::{
            app::{App, Pane, Trace},
            description, input,
        },
        trace::Told,
    },
    escaped::Escaped,
    top::Cause,
    trace::{Connection, Outcome},
};

pub(super) fn draw(frame: &mut Frame, area: Rect, app: &mut App, look: Look) {
    let head = Rect { height: 1, ..area };
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let title = title(app);
    match &mut app.pane {
        None => {}
        Some(Pane::Help) => {
            put(frame, head, "── help ", Look::title());
            frame.render_widget(Paragraph::new(help().join("\n")).wrap(Wrap { trim: false }), body);
        }
        Some(Pane::Trace(trace)) => {
            put(frame, head, &title, Look::title());
            draw_trace(frame, body, trace, look);
        }
        Some(Pane::Description(scrolled)) => {
            let scrolled = *scrolled;
            put(frame, head, &title, Look::title());
            let lines = app.selected().map_or_else(Vec::new, |row| description::lines(app, row));
            let last = u16::try_from(lines.len().saturating_sub(1)).unwrap_or(u16::MAX);
            let scrolled = scrolled.min(last);
            let text = Paragraph::new(lines.join("\n")).wrap(Wrap { trim: false });
            frame.render_widget(text.scroll((scrolled, 0)), body);
            app.pane = Some(Pane::Description(scrolled));
        }
    }
}

fn title(app: &App) -> String {
    let what = if matches!(app.pane, Some(Pane::Trace(_))) { "trace" } else { "description" };
    match app.selected() {
        Some(row) => {
            let (dataplane, service) = (Escaped(&row.key.dataplane), Escaped(&row.service));
            format!("── {what}: {dataplane} → {service} {} ", row.key.dialled)
        }
        None => format!("── {what} "),
    }
}

/// The newest at the bottom.
fn draw_trace(frame: &mut Frame, area: Rect, trace: &Trace, look: Look) {
    let mut lines: Vec<(String, Style)> = Vec::new();
    if let Some(why) = &trace.deaf {
        lines.push((format!("not listening: {}", Escaped(why)), look.alarm()));
    }
    if trace.lost > 0 {
        lines.push((format!("{} events were lost", trace.lost), look.notice()));
    }
    if trace.connections.is_empty() && trace.deaf.is_none() {
        lines.push(("listening: no connection yet".to_owned(), Style::new()));
    }
    let room = usize::from(area.height).saturating_sub(lines.len());
    let newest = trace.connections.iter().skip(trace.connections.len().saturating_sub(room));
    lines.extend(newest.map(|connection| {
        let is_well = matches!(connection.outcome, Outcome::Established | Outcome::Pending);
        (told(connection), if is_well { Style::new() } else { look.alarm() })
    }));
    for (line, (text, style)) in (area.y..area.bottom()).zip(lines) {
        put(frame, Rect { y: line, height: 1, ..area }, &text, style);
    }
}

fn told(connection: &Connection) -> String {
    let Told { time, pid, endpoint, outcome, backend } = connection.into();
    let decision = &connection.decision;
    let (command, backend) =
        (Escaped(fit(&decision.command, 16)), Escaped(target(backend, &decision.service)));
    format!("{time} {pid:>7} {command:<10} {endpoint:<21} {outcome:<20} {backend}")
}

fn help() -> Vec<String> {
    let keys = input::HELP.iter().map(|(key, what)| format!("{key:<13}{what}"));
    let short: Vec<String> =
        Cause::ALL.iter().map(|cause| format!("{} {}", cause.short(), cause.name())).collect();
    let told = [
        String::new(),
        "Rates, shares and connect() p50 and p99 are those of the last five intervals.".to_owned(),
        "CONF% is the configured share, OBS% the observed one. \"ejected\" or \"out\": endpoints taken out."
            .to_owned(),
        format!("{}.", short.join(", ")),
    ];
    keys.chain(told).collect()
}
