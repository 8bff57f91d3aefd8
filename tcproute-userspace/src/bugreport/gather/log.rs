//! What the daemon has logged last: from a file, or else from systemd's journal.

use std::{fs::File, io, io::Read as _, path::PathBuf, process::Stdio, time::Duration};

use tokio::{process::Command, task::spawn_blocking, time::timeout};

use super::{super::Content, files};

/// So much of it is taken, in bytes.
const MOST: u64 = 4 << 20;

/// And no more lines of the journal.
const LINES: &str = "5000";

/// So long the journal may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn content(file: Option<PathBuf>) -> Result<Content, String> {
    let text = match file {
        Some(path) => files::end(&path, MOST).map_err(|error| format!("{}: {error}", path.display()))?,
        None => timeout(PATIENCE, journal())
            .await
            .unwrap_or_else(|_| Err(format!("journalctl has not ended within {} s", PATIENCE.as_secs())))?,
    };
    if text.trim().is_empty() {
        return Err(
            "nothing of tcproute is logged there; --log names a file with the daemon's log".to_owned()
        );
    }
    Ok(Content::Text(text))
}

async fn journal() -> Result<String, String> {
    let mut journalctl = Command::new("journalctl");
    journalctl.args(["--unit=tcproute", "--no-pager", "--quiet", "--output=short-iso", "--lines", LINES]);
    journalctl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let cannot = |error| format!("journalctl: {error}; --log names a file with the daemon's log");
    let mut child = journalctl.spawn().map_err(cannot)?;
    let output = child.stdout.take().ok_or_else(|| cannot(io::Error::other("it has no output")))?;
    let output = File::from(output.into_owned_fd().map_err(cannot)?);
    // It ends with the child, if nobody waits for that any more.
    let reading = spawn_blocking(move || {
        let mut bytes = Vec::new();
        output.take(MOST).read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes = reading.await.map_err(io::Error::other).and_then(|read| read).map_err(cannot)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
