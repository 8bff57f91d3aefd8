//! A value that is made of files, and made anew when they are others. It is looked at when it is used, so that nothing
//! goes on while nobody asks.

use std::{
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::spawn_blocking;
use tracing::{info, warn};

/// Which file it is, its size and when it was changed; nothing if that cannot be told.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

type Make<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

pub(super) struct Renewed<T>(Arc<Inner<T>>);

struct Inner<T> {
    /// For the log.
    what: &'static str,
    files: Vec<PathBuf>,
    make: Make<T>,
    last: Mutex<Last<T>>,
}

struct Last<T> {
    value: Arc<T>,
    /// Of the files that it was made of.
    stamps: Vec<Stamp>,
    /// Why it could not be made anew, told once.
    failure: Option<String>,
}

impl<T: Send + Sync + 'static> Renewed<T> {
    pub(super) fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let stamps = stamps(&files);
        let last = Last { value: Arc::new(make()?), stamps, failure: None };
        Ok(Self(Arc::new(Inner { what, files, make: Box::new(make), last: Mutex::new(last) })))
    }

    /// As it is in the files or, if that cannot be used, as it was.
    pub(super) async fn current(&self) -> Arc<T> {
        let inner = Arc::clone(&self.0);
        match spawn_blocking(move || inner.current()).await {
            Ok(value) => value,
            Err(_) => Arc::clone(&self.0.last.lock().unwrap_or_else(PoisonError::into_inner).value),
        }
    }
}

impl<T> Inner<T> {
    fn current(&self) -> Arc<T> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Of before they are read: what changes meanwhile is read the next time.
        let stamps = stamps(&self.files);
        if stamps != last.stamps {
            match (self.make)() {
                Ok(value) => {
                    info!("{} have been read again", self.what);
                    *last = Last { value: Arc::new(value), stamps, failure: None };
                }
                Err(why) => {
                    if last.failure.as_ref() != Some(&why) {
                        warn!("{} stay as they were: {why}", self.what);
                        last.failure = Some(why);
                    }
                }
            }
        }
        Arc::clone(&last.value)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let file = fs::metadata(path).ok()?;
        Some((file.dev(), file.ino(), file.size(), file.ctime(), file.ctime_nsec()))
    };
    files.iter().map(stamp).collect()
}

impl<T> fmt::Debug for Renewed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Renewed").field(&self.0.files).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_used_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        let write = |text: &str| {
            let new = directory.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(new, &path).unwrap();
        };
        let of_file = || {
            let path = path.clone();
            Renewed::new("numbers", vec![path.clone()], move || {
                let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
                text.parse::<u32>().map_err(|error| error.to_string())
            })
        };
        assert!(of_file().unwrap_err().contains("No such file"));
        write("1");
        let renewed = of_file().unwrap();
        assert_eq!(*renewed.current().await, 1);
        write("2");
        assert_eq!(*renewed.current().await, 2);
        write("two");
        assert_eq!(*renewed.current().await, 2);
        fs::remove_file(&path).unwrap();
        assert_eq!(*renewed.current().await, 2);
        write("3");
        assert_eq!(*renewed.current().await, 3);
    }
}
