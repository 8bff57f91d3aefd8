//! A process that does not outlive its test.

use std::process::Child;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// It is killed when this is dropped, unless it has ended.
pub struct Process(pub Child);

impl Process {
    /// Stops it as systemd would, and answers with its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        if let Ok(pid) = i32::try_from(self.0.id())
            && matches!(self.0.try_wait(), Ok(None))
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        self.0.wait().ok().and_then(|status| status.code())
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
