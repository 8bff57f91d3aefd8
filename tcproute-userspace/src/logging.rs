//! The log, on standard error: one event is one line, whatever it quotes, and a line that cannot be written ends
//! nothing.
//!
//! A daemon's lines are written by a thread of their own, so that a reader that does not read holds up nobody. Lines
//! that find no room, or that the disk does not take, are counted.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::{
    colours::{self, Mark, Marked},
    escaped::Escaped,
};

/// Lines that may wait to be written.
const WAITING: usize = 1024;

/// A line is not longer than this.
const LONGEST: usize = 16 * 1024;

/// So long the end waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lines that were not written.
static LOST: AtomicU64 = AtomicU64::new(0);

/// The way to the thread that writes.
static THREAD: OnceLock<SyncSender<Job>> = OnceLock::new();

enum Job {
    Line(Vec<u8>),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

/// Where the lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// By whoever has something to say.
    AtOnce,
    /// By a thread.
    Aside,
}

/// Logs to stderr; `RUST_LOG` overrides what is shown. The programs' decisions come as this crate's DEBUG.
pub(crate) fn start(level: LevelFilter, decisions: bool, writing: Writing) {
    // What goes wrong with watching files and clusters is told in our words.
    let shown =
        format!("{level},notify=off,kube_client=off{}", if decisions { ",tcproute=debug" } else { "" });
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(shown));
    if writing == Writing::Aside {
        aside();
    }
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
        .with_ansi(colours::are_wanted(&io::stderr()))
        .event_format(OneLine)
        .init();
}

fn aside() {
    let (sender, jobs) = mpsc::sync_channel(WAITING);
    let write = move || {
        for job in jobs {
            match job {
                Job::Line(line) => write_line(&line),
                Job::Flush(done) => drop(done.send(())),
            }
        }
    };
    // Without the thread, lines are written by those who have something to say.
    if thread::Builder::new().name("log".to_owned()).spawn(write).is_ok() {
        let _ = THREAD.set(sender);
    }
}

/// Waits until what was said is written, if somebody takes it.
pub(crate) fn finish() {
    if let Some(thread) = THREAD.get() {
        let (done, written) = mpsc::sync_channel(1);
        if thread.try_send(Job::Flush(done)).is_ok() {
            let _ = written.recv_timeout(PATIENCE);
        }
    }
}

/// How many lines were not written.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Writes a line of a command to stderr, escaped. One that cannot be written is given up.
pub(crate) fn say(line: impl fmt::Display) {
    write_line(format!("{}\n", Escaped(line)).as_bytes());
}

/// As [`say`], after a word that may have a colour.
pub(crate) fn say_marked(mark: Mark, word: &str, line: impl fmt::Display) {
    let word = Marked { text: word, mark: Some(mark), coloured: colours::are_wanted(&io::stderr()) };
    write_line(format!("{word}{}\n", Escaped(line)).as_bytes());
}

/// Takes whole lines and never fails, since tracing would tell that to stderr, and panic.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match THREAD.get() {
            None => write_line(line),
            Some(thread) => match thread.try_send(Job::Line(line.to_vec())) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    LOST.fetch_add(1, Ordering::Relaxed);
                }
            },
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_line(line: &[u8]) {
    /// Whether the last line has no end.
    static TORN: Mutex<bool> = Mutex::new(false);
    let Ok(mut torn) = TORN.lock() else { return };
    let mut stderr = io::stderr().lock();
    // What comes after a line that was cut off is a line of its own.
    let written = if *torn { stderr.write_all(b"\n") } else { Ok(()) };
    *torn = written.is_err();
    if written.and_then(|()| stderr.write_all(line)).is_err() {
        *torn = true;
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

/// Time, level, and what there is to say with all that hides in it escaped.
struct OneLine;

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = String::new();
        context.field_format().format_fields(Writer::new(&mut said), event)?;
        if said.len() > LONGEST {
            said.truncate(said.floor_char_boundary(LONGEST));
            said.push('…');
        }
        let (bold, dim, plain) = if writer.has_ansi_escapes() {
            (colour(*event.metadata().level()), "\x1b[2m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        writer.write_str(dim)?;
        SystemTime.format_time(&mut writer)?;
        writeln!(writer, "{plain} {bold}{:>5}{plain} {}", event.metadata().level().as_str(), Escaped(said))
    }
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(say: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
        tracing::subscriber::with_default(subscriber.event_format(OneLine).finish(), say);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_a_line() {
        let evil = "a\x1b[2J\r\n2026-01-01T00:00:00Z ERROR forged\u{2028}\u{9b}31m\u{202e}";
        let text = logged(|| tracing::warn!(cgroup = evil, name = %evil, "the route of {evil}"));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.ends_with('\n') && !crate::escaped::hides(&text), "{text:?}");
        assert!(text.contains(" WARN the route of a\\x1b[2J\\r\\n2026"), "{text}");
    }

    #[test]
    fn a_line_is_not_longer_than_it_may_be() {
        let text = logged(|| tracing::info!("{}", "ä".repeat(LONGEST)));
        assert!(text.len() < LONGEST + 100 && text.ends_with("ä…\n"), "{}", text.len());
    }
}
