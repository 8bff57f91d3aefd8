//! The terminal: taken for a screen, and given back as it was, whatever happens.

use std::{
    io::{self, BufWriter, Stdout, Write as _},
    panic, process,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use crossterm::{
    cursor::Show,
    execute, style,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{Terminal, backend::CrosstermBackend};

use super::{
    app::App,
    screen::{self, look::Look},
};
use crate::cli::failure::FAILED;

/// Whether it is taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A screen of our own. What was there before is back when this is dropped.
pub(super) struct Screen {
    // A frame is written as one, which matters where the terminal is far away.
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    look: Look,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open(look: Look) -> Result<Self> {
        if !look.has_colours() {
            // Nor those by which others are taken back.
            style::force_color_output(false);
        }
        give_back_on_panic();
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let opened = execute!(io::stdout(), EnterAlternateScreen).and_then(|()| {
            Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout())))
        });
        match opened {
            Ok(terminal) => Ok(Self { terminal, look }),
            Err(error) => {
                give_back();
                Err(error.into())
            }
        }
    }

    /// Draws what is shown.
    pub(super) fn draw(&mut self, app: &mut App) -> Result<()> {
        let look = self.look;
        self.terminal.draw(|frame| screen::draw(frame, app, look)).context("cannot draw on the terminal")?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// As it was, once. To a terminal that is gone nothing can be given.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        let _ = io::stdout().flush();
    }
}

/// What is said of a panic is said where it can be read, and nothing is drawn over it.
fn give_back_on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        give_back();
        tell(panic);
        process::exit(FAILED.into());
    }));
}
