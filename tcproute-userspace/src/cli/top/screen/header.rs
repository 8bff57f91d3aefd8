//! Two lines: the daemon, and what is shown of it.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::style::Style;

use super::{
    look::Look,
    text::{age, per_second},
};
use crate::{
    cli::top::app::{App, Daemon, Lost},
    escaped::Escaped,
};

pub(super) fn lines(app: &App, look: Look) -> [(String, Style); 2] {
    [daemon(app, look), rates(app, look)]
}

fn daemon(app: &App, look: Look) -> (String, Style) {
    let Some(Daemon { version, started, is_ready, workloads, rejected, warnings, .. }) = &app.daemon else {
        return (String::new(), Look::title());
    };
    let up = Duration::try_from(Timestamp::now().duration_since(*started)).unwrap_or_default();
    let ready = if *is_ready { "ready" } else { "NOT READY" };
    let mut text = format!(
        "tcproute {} on {}, {ready}, up {}, {}, {}",
        Escaped(version),
        Escaped(&app.host),
        age(up),
        number_of(*workloads, "workload"),
        number_of(app.model.rows().len(), "route")
    );
    if *rejected > 0 {
        text = format!("{text}, {rejected} rejected");
    }
    if *warnings > 0 {
        text = format!("{text}, {}", number_of(*warnings, "warning"));
    }
    (text, if *is_ready { Look::title() } else { look.alarm() })
}

fn number_of(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn rates(app: &App, look: Look) -> (String, Style) {
    if let Some(Lost { since, why }) = &app.lost {
        let ago = age(app.now().saturating_sub(*since));
        return (format!("OLD VALUES: no answer for {ago}: {}", Escaped(why)), look.alarm());
    }
    let totals = app.model.totals();
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), per_second);
    let order = app.view.order;
    let direction = if order.reversed { " reversed" } else { "" };
    // What is left out comes first, so that it is seen where there is little room.
    let paused = app.is_paused();
    let filter = app.view.filter.text();
    let filter = (!filter.is_empty()).then(|| format!("/{}", Escaped(filter)));
    let notices = [paused.then(|| "PAUSED".to_owned()), filter];
    let only_failing = app.view.only_failing.then(|| "only failing".to_owned());
    let notices: String = notices.into_iter().chain([only_failing]).flatten().map(|it| it + ", ").collect();
    let interval = app.interval().as_secs_f64();
    let text = format!(
        "{notices}{} conn/s, {} failed/s, {} refused/s; by {}{direction}, every {interval} s, {} ago",
        rate(totals.rate),
        rate(totals.failing),
        rate(totals.refused),
        order.column.name(),
        age(app.now().saturating_sub(app.read))
    );
    (text, if paused { look.notice() } else { Style::new() })
}
