//! Sources on threads of their own: what they read may take its time, and what one thread gives back it takes again,
//! while the memory that many threads have given back adds up.

use std::{future::Future, io, sync::mpsc, thread};

use tokio::runtime::Builder;

/// Has a source served there until it ends.
pub(crate) fn serve<F: Future<Output = ()>>(
    name: &str,
    source: impl FnOnce() -> F + Send + 'static,
) -> io::Result<()> {
    let (ready, is_ready) = mpsc::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Made here, since it must not end within another one, as it would where no thread can be started.
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        drop(ready.send(Ok(())));
        runtime.block_on(source());
    })?;
    is_ready.recv().map_err(io::Error::other)?
}
