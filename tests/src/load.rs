//! Clients that connect without a pause while something else is done to the node.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    process::{Child, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::{cgroup::TestCgroup, client::script, pause, sample, wait_for};

/// Processes in a workload's cgroup, each of which dials again and again. They end when this is dropped.
pub struct Load {
    directory: tempfile::TempDir,
    children: Vec<Child>,
}

/// What all of them have seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Connections by the name that the server sent.
    pub names: BTreeMap<String, u64>,
    /// Connections that failed, by what was wrong.
    pub failures: BTreeMap<String, u64>,
    /// Connections by the peer that they showed, if that is not the dialled address.
    pub other_peers: BTreeMap<String, u64>,
}

impl Load {
    /// Starts so many processes, and waits until each has connected.
    pub fn start(cgroup: &TestCgroup, dialled: SocketAddr, processes: usize) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let (host, port) = (dialled.ip(), dialled.port());
        let (pause, batch) = (pause().as_secs_f64(), sample(48));
        let body = format!(
            "
stop, progress = sys.argv[1:]
names, failures, peers = collections.Counter(), collections.Counter(), collections.Counter()
reset = struct.pack('ii', 1, 0)
n = 0
while not os.path.exists(stop):
    for _ in range({batch}):
        try:
            with dial('{host}', {port}) as s:
                peer = s.getpeername()[:2]
                if peer != ('{host}', {port}): peers[peer] += 1
                names[name(s)] += 1
                # Else the ports would run out.
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        except OSError as e:
            failures[str(e)] += 1
        n += 1
        time.sleep({pause})
    with open(progress + '~', 'w') as f: f.write(str(n))
    os.rename(progress + '~', progress)
for n, c in names.items(): print('name', n, c)
for n, c in failures.items(): print('failure', n, c)
for n, c in peers.items(): print('peer', n, c)
"
        );
        let children = (0..processes).map(|number| {
            let mut command = cgroup.command("python3");
            command.args(["-SEc", &script(&body)]).arg(directory.path().join("stop"));
            command.arg(directory.path().join(number.to_string())).stdout(Stdio::piped());
            command.spawn().expect("python3 can be started")
        });
        let load = Self { children: children.collect(), directory };
        wait_for("every client has connected", || load.counts().len() == processes);
        load
    }

    fn counts(&self) -> Vec<u64> {
        let files = (0..self.children.len()).map(|number| self.directory.path().join(number.to_string()));
        files.filter_map(|file| fs::read_to_string(file).ok()?.parse().ok()).collect()
    }

    /// Waits until so many more connections were made.
    pub fn wait_for_more(&self, connections: u64) {
        let before: u64 = self.counts().iter().sum();
        wait_for("more connections", || self.counts().iter().sum::<u64>() >= before + connections);
    }

    /// Ends the clients, and tells what they have seen.
    pub fn finish(mut self) -> Seen {
        fs::write(self.directory.path().join("stop"), "").expect("the file can be written");
        let mut seen = Seen::default();
        for child in std::mem::take(&mut self.children) {
            let output = child.wait_with_output().expect("a child can be waited for");
            assert!(output.status.success(), "{}", output.status);
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let (what, count) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
                let (kind, what) = what.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
                let counts = match kind {
                    "name" => &mut seen.names,
                    "failure" => &mut seen.failures,
                    _ => &mut seen.other_peers,
                };
                *counts.entry(what.to_owned()).or_default() += count.parse::<u64>().expect("a count");
            }
        }
        seen
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
