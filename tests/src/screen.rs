//! A terminal of a test's own, with one program on it: what a person would see there, and whether it is left as it was
//! found.

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    num::NonZero,
    os::fd::OwnedFd,
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};

use crate::{patience, process::Process, wait_for};

/// Columns and lines of a terminal as there are many.
const SIZE: (NonZero<u16>, NonZero<u16>) = (nonzero(80), nonzero(24));

const fn nonzero(number: u16) -> NonZero<u16> {
    NonZero::new(number).expect("it is not 0")
}

/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// A terminal.
pub struct Screen {
    master: File,
    slave: OwnedFd,
    before: Termios,
    parser: vt100::Parser,
    written: Vec<u8>,
    process: Process,
}

impl Screen {
    /// Starts the program on a terminal of 80 × 24.
    pub fn start(command: &mut Command) -> Self {
        let (columns, lines) = SIZE;
        let size = Winsize { ws_row: lines.get(), ws_col: columns.get(), ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("there are pseudo-terminals");
        let before = tcgetattr(&pty.slave).expect("a terminal has attributes");
        fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a terminal can be read so");
        let side = || pty.slave.try_clone().expect("a descriptor can be copied");
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn();
        Self {
            master: pty.master.into(),
            before,
            slave: pty.slave,
            parser: vt100::Parser::new(lines, columns, 0),
            written: Vec::new(),
            process: Process(child.expect("the program can be started")),
        }
    }

    /// Types these keys.
    pub fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("a terminal takes keys");
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.0.id()).expect("it is a number of a process");
        kill(Pid::from_raw(pid), signal).expect("the program runs");
    }

    /// What is to be seen, by lines.
    pub fn text(&mut self) -> String {
        let mut bytes = [0; 4096];
        loop {
            match self.master.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => {
                    self.parser.process(&bytes[..count]);
                    self.written.extend_from_slice(&bytes[..count]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("a terminal can be read: {error}"),
            }
        }
        self.parser.screen().contents()
    }

    /// Waits until this is true of what is to be seen, which it answers with.
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + patience();
        loop {
            let text = self.text();
            if is_so(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "waited in vain: {what}; on the screen is\n{text}");
            thread::sleep(PAUSE);
        }
    }

    /// As [`Self::wait_until`], for a line that has all of these.
    pub fn wait_for_line(&mut self, parts: &[&str]) -> String {
        let has = |line: &&str| parts.iter().all(|part| line.contains(part));
        let text = self.wait_until(&parts.join(" … "), |text| text.lines().any(|line| has(&line)));
        text.lines().find(has).unwrap_or_default().to_owned()
    }

    /// All that was written to it, commands included.
    pub fn written(&mut self) -> &[u8] {
        self.text();
        &self.written
    }

    /// Waits for the end of the program, and that the terminal is as it was before.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait_for("the program ends", || {
            self.text();
            self.process.has_ended()
        });
        self.text();
        let after = tcgetattr(&self.slave).expect("a terminal has attributes");
        assert_eq!(after, self.before, "its attributes are as before");
        assert!(!self.parser.screen().alternate_screen(), "what was there before is shown");
        assert!(!self.parser.screen().hide_cursor(), "the cursor is shown");
        self.process.0.wait().expect("a child can be waited for")
    }

    /// Whether the program draws on a screen of its own.
    pub fn is_taken(&mut self) -> bool {
        self.text();
        self.parser.screen().alternate_screen()
    }
}
