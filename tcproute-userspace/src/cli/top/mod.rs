//! `tcproute top`: routes by rate on the whole terminal, until it is quit.

mod app;
mod description;
mod feed;
mod follow;
mod input;
mod screen;
mod terminal;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use nix::unistd::gethostname;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{AdminSocket, failure::BadUsage, seconds};
use app::{App, Asked};
use feed::Feed;
use follow::Follow;
use screen::look::Look;
use terminal::Screen;

/// How often the screen is drawn at most, but for keys.
const FRAME: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct Top {
    #[command(flatten)]
    admin: AdminSocket,
    /// Only the routes of this Dataplane.
    #[arg(long, value_name = "NAME")]
    dataplane: Option<String>,
    /// Only the routes to this service.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// How often the daemon is asked.
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = seconds)]
    interval: Duration,
}

impl Top {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let look = look()?;
        let host = gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let begin = Instant::now();
        let mut feed = Feed::new(self.admin.admin_socket.clone(), self.dataplane, self.service, begin);
        let mut app = App::new(host, self.interval);
        // Without a daemon there is nothing to be shown, and an error says so better than a screen.
        app.take(feed.first().await?);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut follow = Follow::default();
        let mut screen = Screen::open(look).context("cannot take the terminal")?;
        let mut keys = EventStream::new();
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = Instant::now();
        let mut is_new = true;
        while !app.is_over() {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = hang_up.recv() => break,
                event = keys.next() => match event {
                    // It is gone.
                    None | Some(Err(_)) => break,
                    Some(Ok(event)) => {
                        if let Event::Key(key) = event
                            && let Some(action) = input::action(key, app.mode())
                        {
                            app.act(action);
                        }
                        screen.draw(&mut app)?;
                        is_new = false;
                    }
                },
                answer = feed.next() => {
                    app.take(answer);
                    is_new = true;
                }
                heard = follow.next() => {
                    app.hear(heard);
                    is_new = true;
                }
                _ = frames.tick() => {
                    let now = begin.elapsed();
                    if is_new || app.now().as_secs() != now.as_secs() {
                        app.set_now(now);
                        screen.draw(&mut app)?;
                        is_new = false;
                    }
                    if !app.is_paused() && asked.elapsed() >= app.interval() && feed.ask(Asked::Reading) {
                        asked = Instant::now();
                    }
                }
            }
            if app.wants_routes() && feed.ask(Asked::Routes) {
                app.routes_are_asked();
            }
            follow.go_by(app.traced(), &self.admin.admin_socket, begin);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How the terminal may be drawn on, if it may.
fn look() -> Result<Look> {
    if !io::stdout().is_terminal() {
        let why = "top draws on a terminal, and stdout is none: use `tcproute stats`, or `stats --watch`";
        return Err(BadUsage(why.to_owned()).into());
    }
    let set = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let term = set("TERM").unwrap_or_default();
    let no_color = set("NO_COLOR").is_some_and(|value| !value.is_empty());
    Look::of(&term, no_color).ok_or_else(|| {
        let why = format!(
            "top cannot draw on a terminal that is {}: use `tcproute stats`, or `stats --watch`",
            if term.is_empty() { "not named by TERM".to_owned() } else { format!("TERM={term}") }
        );
        BadUsage(why).into()
    })
}
