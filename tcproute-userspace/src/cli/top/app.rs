//! What is shown, and what keys and answers make of it. It knows no terminal.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use anyhow::Result;
use jiff::Timestamp;

use super::{
    description::Described,
    follow::{Heard, Traced},
    input::{Action, Mode},
};
use crate::{
    top::{Filter, Model, Reading, Row, View},
    trace::{Connection, Outcome},
};

/// Rates are those of so many intervals.
const INTERVALS: u32 = 5;

/// From where `+` and `-` go on, in seconds.
const LADDER: [f64; 7] = [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// So many connections of a trace are kept.
const KEPT: usize = 500;

/// What the daemon says of itself.
#[derive(Debug, Clone)]
pub(super) struct Daemon {
    pub(super) version: String,
    pub(super) started: Timestamp,
    pub(super) is_ready: bool,
    pub(super) workloads: usize,
    pub(super) rejected: usize,
    pub(super) warnings: usize,
    /// When something outside changed last.
    pub(super) changed: Option<Timestamp>,
}

/// Which daemon, and when something outside changed last for it: routes are the same as long as it is the same.
type Moment = (Timestamp, Option<Timestamp>);

impl Daemon {
    const fn moment(&self) -> Moment {
        (self.started, self.changed)
    }
}

/// A question to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Reading,
    Routes,
}

/// What came of it.
pub(super) enum Answer {
    Reading(Result<(Daemon, Reading)>),
    Routes(Result<Vec<Described>>),
}

/// Why what is shown is old.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) since: Duration,
    pub(super) why: String,
}

/// What is open beside the table.
#[derive(Debug)]
pub(super) enum Pane {
    Trace(Trace),
    /// Scrolled so far down.
    Description(u16),
    Help,
}

/// The last connections of a route.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) of: Traced,
    pub(super) connections: VecDeque<Connection>,
    pub(super) lost: u64,
    /// Why nothing is heard, if so.
    pub(super) deaf: Option<String>,
}

impl Trace {
    fn new(of: Traced) -> Self {
        let deaf = Some("waiting for the daemon".to_owned());
        Self { of, connections: VecDeque::new(), lost: 0, deaf }
    }

    fn add(&mut self, connection: Connection) {
        // One that was told as pending has its line already.
        let cookie = connection.decision.cookie;
        let is_it = |it: &&mut Connection| {
            it.decision.cookie == cookie
                && it.decision.time == connection.decision.time
                && it.outcome == Outcome::Pending
        };
        if let Some(pending) = self.connections.iter_mut().rev().find(is_it) {
            *pending = connection;
            return;
        }
        self.connections.push_back(connection);
        if self.connections.len() > KEPT {
            self.connections.pop_front();
        }
    }
}

/// All of it.
pub(super) struct App {
    pub(super) host: String,
    pub(super) model: Model,
    pub(super) view: View,
    pub(super) daemon: Option<Daemon>,
    /// When it answered last.
    pub(super) read: Duration,
    pub(super) lost: Option<Lost>,
    pub(super) pane: Option<Pane>,
    /// The routes of which a description is made, or why there are none.
    pub(super) routes: Option<Result<Vec<Described>, String>>,
    /// The first row on the screen, and how many there are. Set when it is drawn.
    pub(super) top: usize,
    pub(super) page: usize,
    mode: Mode,
    paused: bool,
    interval: Duration,
    now: Duration,
    over: bool,
    /// As of what change the routes are, or were asked for.
    routes_of: Option<Moment>,
}

impl App {
    pub(super) fn new(host: String, interval: Duration) -> Self {
        Self {
            host,
            model: Model::default(),
            view: View::default(),
            daemon: None,
            read: Duration::ZERO,
            lost: None,
            pane: None,
            routes: None,
            top: 0,
            page: 1,
            mode: Mode::default(),
            paused: false,
            interval,
            now: Duration::ZERO,
            over: false,
            routes_of: None,
        }
    }

    /// Takes an answer of the daemon. What was known stays when there is none.
    pub(super) fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Reading(Ok((daemon, reading))) => {
                // What was asked for before the pause.
                if self.paused {
                    return;
                }
                self.now = self.now.max(reading.at);
                (self.read, self.lost) = (reading.at, None);
                self.daemon = Some(daemon);
                self.model.take(&reading, self.span());
                self.arrange();
            }
            Answer::Reading(Err(error)) => {
                let since = self.lost.as_ref().map_or(self.now, |lost| lost.since);
                self.lost = Some(Lost { since, why: format!("{error:#}") });
            }
            Answer::Routes(routes) => self.routes = Some(routes.map_err(|error| format!("{error:#}"))),
        }
    }

    /// Takes what was heard of connections.
    pub(super) fn hear(&mut self, heard: Heard) {
        let Some(Pane::Trace(trace)) = &mut self.pane else { return };
        match heard {
            Heard::Listening => trace.deaf = None,
            Heard::Ended(why) => trace.deaf = Some(why),
            Heard::Connection(_) | Heard::Lost(_) if self.paused => {}
            Heard::Lost(records) => trace.lost += records,
            Heard::Connection(connection) => trace.add(*connection),
        }
    }

    /// Does what a key means.
    pub(super) fn act(&mut self, action: Action) {
        let rows = self.model.rows();
        let page = isize::try_from(self.page.max(1)).unwrap_or(1);
        match action {
            Action::Quit => self.over = true,
            Action::Move(places) => self.view.move_by(places, rows),
            Action::Page(pages) => match &mut self.pane {
                Some(Pane::Description(scrolled)) => {
                    *scrolled =
                        if pages > 0 { scrolled.saturating_add(5) } else { scrolled.saturating_sub(5) };
                }
                _ => self.view.move_by(pages * page, rows),
            },
            Action::First => self.view.move_by(isize::MIN, rows),
            Action::Last => self.view.move_by(isize::MAX, rows),
            Action::NextColumn => self.view.order.column = self.view.order.column.next(),
            Action::Reverse => self.view.order.reversed ^= true,
            Action::Filter => self.mode = Mode::Typing,
            Action::OnlyFailing => self.view.only_failing ^= true,
            Action::Trace => self.toggle(
                |pane| matches!(pane, Pane::Trace(_)),
                |app| app.target().map(|of| Pane::Trace(Trace::new(of))),
            ),
            Action::Describe => self.toggle(
                |pane| matches!(pane, Pane::Description(_)),
                |app| app.target().map(|_| Pane::Description(0)),
            ),
            Action::Help => self.toggle(|pane| matches!(pane, Pane::Help), |_| Some(Pane::Help)),
            Action::Pause => self.paused ^= true,
            Action::Longer => {
                let next = LADDER.into_iter().find(|step| *step > self.interval.as_secs_f64());
                self.set_interval(next);
            }
            Action::Shorter => {
                let next = LADDER.into_iter().rfind(|step| *step < self.interval.as_secs_f64());
                self.set_interval(next);
            }
            Action::Close if self.mode == Mode::Typing || self.pane.is_none() => {
                self.mode = Mode::Keys;
                self.view.filter = Filter::default();
            }
            Action::Close => self.pane = None,
            Action::Type(letter) => self.view.filter.push(letter),
            Action::Erase => self.view.filter.pop(),
            Action::Keep => self.mode = Mode::Keys,
        }
        self.arrange();
    }

    fn set_interval(&mut self, seconds: Option<f64>) {
        if let Some(seconds) = seconds {
            self.interval = Duration::from_secs_f64(seconds);
        }
    }

    fn toggle(&mut self, is_open: fn(&Pane) -> bool, open: impl Fn(&Self) -> Option<Pane>) {
        self.pane = if self.pane.as_ref().is_some_and(is_open) { None } else { open(self) };
    }

    /// After anything may have moved.
    fn arrange(&mut self) {
        self.view.arrange(self.model.rows());
        // A pane is of what is selected. If nothing is, it stays.
        let Some(target) = self.target() else { return };
        if let Some(Pane::Trace(trace)) = &mut self.pane
            && trace.of != target
        {
            *trace = Trace::new(target);
        }
    }

    fn target(&self) -> Option<Traced> {
        let key = &self.selected()?.key;
        Some(Traced { dataplane: key.dataplane.clone(), dialled: key.dialled })
    }

    pub(super) fn selected(&self) -> Option<&Row> {
        self.view.selected(self.model.rows())
    }

    /// The route whose connections are followed, if any are.
    pub(super) const fn traced(&self) -> Option<&Traced> {
        match &self.pane {
            Some(Pane::Trace(trace)) => Some(&trace.of),
            _ => None,
        }
    }

    /// Whether a description is open that may be of other routes than those in force.
    pub(super) fn wants_routes(&self) -> bool {
        let moment = self.daemon.as_ref().map(Daemon::moment);
        matches!(self.pane, Some(Pane::Description(_))) && self.lost.is_none() && self.routes_of != moment
    }

    pub(super) fn routes_are_asked(&mut self) {
        self.routes_of = self.daemon.as_ref().map(Daemon::moment);
    }

    /// Of what rates are.
    pub(super) fn span(&self) -> Duration {
        self.interval * INTERVALS
    }

    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) const fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn set_now(&mut self, now: Duration) {
        self.now = now;
    }

    /// The description of the selected route: of the Dataplane that it belongs to, and its place there.
    pub(super) fn described(
        &self,
        mesh: &str,
        dataplane: &str,
        dialled: SocketAddr,
    ) -> Option<(&Described, usize)> {
        let all = self.routes.as_ref()?.as_ref().ok()?;
        let of = all.iter().find(|it| it.is_of(mesh, dataplane))?;
        Some((of, of.place(dialled)?))
    }
}
