//! The table of routes: a line for each, and under it one for each of its backendRefs if there are several.

use ratatui::{Frame, layout::Rect, style::Style};

use super::{
    look::Look,
    put,
    text::{bar, filled, fit_end, latency, per_second, right, share, target},
};
use crate::{
    cli::top::app::App,
    escaped::Escaped,
    top::{Backend, Cause, Row},
};

/// How wide each column is, with the space before it; 0 for one that there is no room for.
#[derive(Debug, Clone, Copy, Default)]
struct Columns {
    name: usize,
    configured: usize,
    observed: usize,
    bar: usize,
    rate: usize,
    p50: usize,
    p99: usize,
    failures: usize,
}

impl Columns {
    fn of(width: usize) -> Self {
        const NAME: usize = 12;
        let mut columns = Self { observed: 6, ..Self::default() };
        let mut left = width.saturating_sub(NAME + columns.observed);
        let mut take = |column: &mut usize, wanted: usize| {
            if left >= wanted {
                *column = wanted;
                left -= wanted;
            }
        };
        // What matters more comes first.
        take(&mut columns.rate, 9);
        take(&mut columns.configured, 6);
        take(&mut columns.failures, 12);
        take(&mut columns.p99, 7);
        take(&mut columns.p50, 7);
        take(&mut columns.bar, 9);
        if columns.failures > 0 {
            columns.failures += (left * 2 / 5).min(50);
        }
        columns.name = width.saturating_sub(columns.fixed());
        columns
    }

    const fn fixed(&self) -> usize {
        let Self { name: _, configured, observed, bar, rate, p50, p99, failures } = self;
        *configured + *observed + *bar + *rate + *p50 + *p99 + *failures
    }

    /// What a route has for its names: its shares are those of its backendRefs.
    const fn title(&self) -> usize {
        self.name + self.configured + self.observed + self.bar
    }
}

pub(super) fn draw(frame: &mut Frame, area: Rect, app: &mut App, look: Look) {
    let columns = Columns::of(area.width.into());
    put(frame, Rect { height: 1, ..area }, &heading(&columns), look.heading());
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let height = usize::from(body.height);
    scroll(app, height);
    let rows = app.model.rows();
    if app.view.len() == 0 {
        let why = if rows.is_empty() { "no routes" } else { "no route is like that: Esc shows all" };
        put(frame, Rect { height: body.height.min(1), ..body }, why, Style::new());
        return;
    }
    let old = app.lost.is_some();
    let (mut line, mut page) = (body.y, 0);
    for place in app.top..app.view.len() {
        if line >= body.bottom() {
            break;
        }
        let Some(row) = app.view.row(place, rows) else { break };
        let is_selected = place == app.view.at();
        for (index, (text, is_failing)) in lines(row, is_selected, &columns).into_iter().enumerate() {
            if line >= body.bottom() {
                break;
            }
            let style = match (index, is_failing) {
                (0, _) if is_selected => Look::selected(),
                (_, true) => look.alarm(),
                (0, _) => Look::route(),
                _ => Style::new(),
            };
            let style = if old { style.patch(Look::old()) } else { style };
            put(frame, Rect { y: line, height: 1, ..body }, &text, style);
            line += 1;
        }
        page += 1;
    }
    app.page = page;
}

fn heading(columns: &Columns) -> String {
    let mut text = filled(" DATAPLANE → SERVICE", columns.name);
    for (width, name) in [
        (columns.configured, "CONF%"),
        (columns.observed, "OBS%"),
        (columns.bar, ""),
        (columns.rate, "CONN/S"),
        (columns.p50, "P50"),
        (columns.p99, "P99"),
    ] {
        text += &right(name, width);
    }
    text + &cell("FAILING/S", columns.failures)
}

/// How many lines a route takes.
fn height(row: &Row) -> usize {
    if row.backends.len() > 1 { 1 + row.backends.len() } else { 1 }
}

/// So that the selected route is seen, whole if there is room for it.
fn scroll(app: &mut App, room: usize) {
    let (at, rows) = (app.view.at(), app.model.rows());
    let (mut first, mut taken) = (at, app.view.row(at, rows).map_or(0, height));
    while let Some(row) = first.checked_sub(1).and_then(|above| app.view.row(above, rows)) {
        taken += height(row);
        if taken > room || first <= app.top {
            break;
        }
        first -= 1;
    }
    app.top = app.top.clamp(first, at);
}

/// The lines of a route, and whether anything of each fails.
fn lines(row: &Row, is_selected: bool, columns: &Columns) -> Vec<(String, bool)> {
    let mark = if is_selected { '>' } else { ' ' };
    let key = &row.key;
    let name = format!("{} → {}", Escaped(&key.dataplane), Escaped(&row.service));
    // The address is short, and always tells routes apart.
    let dialled = key.dialled.to_string();
    let room = columns.title().saturating_sub(2 + dialled.len());
    let title = format!("{mark}{} {dialled}", super::text::fit(&name, room));
    let one = match row.backends.as_slice() {
        [one] => Some(one),
        _ => None,
    };
    let mut first = filled(&title, columns.title());
    first += &right(&number(row.rate), columns.rate);
    first += &right(&latency(&row.latency, 0.5), columns.p50);
    first += &right(&latency(&row.latency, 0.99), columns.p99);
    if let Some(one) = one {
        first += &cell(&failures(one, columns.failures), columns.failures);
        return vec![(first, is_failing(one))];
    }
    let mut lines = vec![(first, false)];
    lines.extend(
        row.backends.iter().map(|backend| (backend_line(row, backend, columns), is_failing(backend))),
    );
    lines
}

fn is_failing(backend: &Backend) -> bool {
    !backend.failures.is_empty() || !backend.out.is_empty()
}

fn backend_line(row: &Row, backend: &Backend, columns: &Columns) -> String {
    let name = Escaped(target(&backend.target, &row.service)).to_string();
    let mut text = filled(&format!("   {}", fit_end(&name, columns.name.saturating_sub(3))), columns.name);
    text += &right(&share(backend.share), columns.configured);
    text += &right(&backend.observed.map_or_else(|| "-".to_owned(), share), columns.observed);
    text += &cell(&bar(backend.observed.unwrap_or(0.0), columns.bar.saturating_sub(1)), columns.bar);
    text += &right(&number(backend.rate), columns.rate);
    text += &right(&latency(&backend.latency, 0.5), columns.p50);
    text += &right(&latency(&backend.latency, 0.99), columns.p99);
    text + &cell(&failures(backend, columns.failures), columns.failures)
}

fn number(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), per_second)
}

/// With a space before it.
fn cell(text: &str, width: usize) -> String {
    if width == 0 { String::new() } else { format!(" {}", filled(text, width - 1)) }
}

/// What is taken out and what fails, in words if there is room for them.
fn failures(backend: &Backend, width: usize) -> String {
    let told = |name: fn(Cause) -> &'static str, out: &str| {
        let out = (!backend.out.is_empty()).then(|| format!("{} {out}", backend.out.len()));
        let rates =
            backend.failures.iter().map(|(cause, rate)| format!("{} {}", name(*cause), per_second(*rate)));
        out.into_iter().chain(rates).collect::<Vec<_>>()
    };
    let words = told(Cause::name, "ejected").join(", ");
    if words.chars().count() < width { words } else { told(Cause::short, "out").join(" ") }
}
