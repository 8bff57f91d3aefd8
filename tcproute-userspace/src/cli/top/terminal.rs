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

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Read as _,
        process::{Command, Stdio},
    };

    use nix::{
        pty::{Winsize, openpty},
        sys::termios::tcgetattr,
    };

    use super::*;

    /// Where this is set, the test below is the program that panics.
    const PANICS: &str = "TCPROUTE_TEST_PANICS";

    #[test]
    fn a_panic_is_read_on_a_terminal_that_is_as_before() {
        if std::env::var_os(PANICS).is_some() {
            let _screen = Screen::open(Look::of("xterm", false).unwrap()).unwrap();
            panic!("on purpose");
        }
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let side = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::top::terminal::tests::a_panic_is_read_on_a_terminal_that_is_as_before"])
            .args(["--nocapture", "--test-threads=1"])
            .env(PANICS, "1")
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(FAILED.into()));
        assert_eq!(tcgetattr(&pty.slave).unwrap(), before);
        drop(pty.slave);
        let mut written = Vec::new();
        // The other side is gone: EIO.
        let _ = File::from(pty.master).read_to_end(&mut written);
        let written = String::from_utf8_lossy(&written);
        let (_, after) = written.split_once("\x1b[?1049h").expect("it was taken");
        let (_, after) = after.split_once("\x1b[?1049l").expect("it was given back");
        assert!(after.contains("on purpose"), "{written:?}");
    }
}
