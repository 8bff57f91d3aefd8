//! A client that dials one address without a pause, and tells who answers as soon as that is another one than before.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::SocketAddrV4,
    process::Stdio,
    sync::{
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tcproute_tests::{
    bench::{
        dial::{ask, dial},
        site::Site,
    },
    clock::{self, Time},
    interrupt,
    process::Process,
};

/// Where nobody answers it does not dial at once again: whatever is to answer needs the processor.
const PAUSE: Duration = Duration::from_micros(500);

/// An answer that does not come is none.
const SILENCE: Duration = Duration::from_secs(2);

/// As long as all answers are alike: some hundreds of connections.
const QUIET: Duration = Duration::from_millis(50);

/// In the client: until its input is closed.
pub(crate) fn run(address: SocketAddrV4) -> Result<()> {
    let stop = interrupt::of_input();
    let mut output = io::stdout().lock();
    let mut before = None;
    while !stop.load(Ordering::Relaxed) {
        let who = answering(address).ok();
        if before != Some(who) {
            let who = who.map_or_else(|| "nobody".to_owned(), |who| who.to_string());
            writeln!(output, "{} {who}", clock::now()?).and_then(|()| output.flush())?;
        }
        before = Some(who);
        if who.is_none() {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

fn answering(address: SocketAddrV4) -> io::Result<usize> {
    let mut stream = dial(address)?.stream;
    stream.set_read_timeout(Some(SILENCE))?;
    ask(&mut stream)
}

/// What it has told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    at: Time,
    /// The backend, if anybody has answered.
    who: Option<usize>,
}

/// One that runs. It ends with this.
pub(crate) struct Watch {
    _client: Process,
    told: Receiver<Seen>,
}

impl Watch {
    /// Starts it where the clients of a contender are.
    pub(crate) fn start(site: &Site, address: SocketAddrV4) -> Result<Self> {
        let mut command = site.client()?;
        command.args(["--watch", &address.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = command.spawn().context("cannot start the client")?;
        let output = client.stdout.take().context("its output is piped")?;
        let (sender, told) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Some(seen) = Seen::read(&line) else { return };
                if sender.send(seen).is_err() {
                    return;
                }
            }
        });
        Ok(Self { _client: Process(client), told })
    }

    /// Waits until nobody answers, which is so before anything is installed.
    pub(crate) fn until_nobody(&self, patience: Duration) -> Result<()> {
        self.until(patience, |seen| seen.who.is_none(), &mut || Ok(())).context("somebody answers")?;
        Ok(())
    }

    /// Waits until anybody answers after this moment, and tells how long after. Meanwhile it is asked whether there is
    /// a reason to wait.
    pub(crate) fn answered(
        &self,
        since: Time,
        patience: Duration,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Duration> {
        let is_it = |seen: &Seen| seen.who.is_some() && seen.at >= since;
        Ok(Duration::from_nanos(self.until(patience, is_it, check)?.at - since))
    }

    /// The same for a backend.
    pub(crate) fn answered_by(
        &self,
        who: usize,
        since: Time,
        patience: Duration,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Duration> {
        let is_it = |seen: &Seen| seen.who == Some(who) && seen.at >= since;
        Ok(Duration::from_nanos(self.until(patience, is_it, check)?.at - since))
    }

    /// Waits until all connections lead to a backend to which the last one has led, or will lead.
    pub(crate) fn settled(&self, who: usize, mut now: bool, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            interrupt::go_on()?;
            match self.told.recv_timeout(QUIET) {
                Ok(seen) => now = seen.who == Some(who),
                Err(RecvTimeoutError::Timeout) if now => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the client has ended"),
            }
        }
        bail!("it does not lead to one backend alone within {} s", patience.as_secs());
    }

    fn until(
        &self,
        patience: Duration,
        is_it: impl Fn(&Seen) -> bool,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Seen> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            interrupt::go_on()?;
            check()?;
            match self.told.recv_timeout(QUIET) {
                Ok(seen) if is_it(&seen) => return Ok(seen),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the client has ended"),
            }
        }
        bail!("not within {} s", patience.as_secs());
    }
}

impl Seen {
    fn read(line: &str) -> Option<Self> {
        let (at, who) = line.split_once(' ')?;
        let who = if who == "nobody" { None } else { Some(who.parse().ok()?) };
        Some(Self { at: at.parse().ok()?, who })
    }
}
