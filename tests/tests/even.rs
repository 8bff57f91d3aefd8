//! `--selection even`: after any number of connections every backend has had its share.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, net::SocketAddr, process::Command};

use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::{script, stdout},
    is_root,
    mesh::Mesh,
    sample,
    server::Server,
    tcproute::{Daemon, binary},
};

/// Dials with 64 threads in four processes on all CPUs, `n` times in all for each `n`, and prints after each how often
/// which backend has answered since the beginning.
fn client(dialled: SocketAddr, rounds: &[u32]) -> String {
    script(&format!(
        "
import itertools, threading
def dial_some(count, names):
    for _ in range(count):
        with dial('{}', {}) as s: names.append(name(s))
def run(counts):
    held_by_each = [[] for _ in counts]
    threads = [threading.Thread(target=dial_some, args=pair) for pair in zip(counts, held_by_each)]
    for t in threads: t.start()
    for t in threads: t.join()
    return collections.Counter(itertools.chain(*held_by_each))
seen = collections.Counter()
for n in {rounds:?}:
    shares = [n // 64 + (i < n % 64) for i in range(64)]
    pipes = []
    for p in range(4):
        r, w = os.pipe()
        if os.fork() == 0:
            cpus = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, [cpus[p % len(cpus)]])
            os.write(w, repr(dict(run(shares[p::4]))).encode())
            os._exit(0)
        os.close(w); pipes.append(r)
    for r in pipes: seen.update(eval(os.read(r, 65536)))
    for _ in range(4): assert os.wait()[1] == 0
    print(' '.join(f'{{k}}={{v}}' for k, v in sorted(seen.items())))
",
        dialled.ip(),
        dialled.port()
    ))
}

#[test]
fn after_any_number_of_connections_every_backend_is_near_its_share() {
    if !is_root("after_any_number_of_connections_every_backend_is_near_its_share") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let weights = [("a", 90), ("b", 10), ("c", 35), ("d", 1), ("off", 0)];
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).split("db", &weights);
    let servers: Vec<Server> =
        (1_u8..).zip(weights).map(|(last, (name, _))| Server::start((net.ip(1, last), 5432), name)).collect();
    for (server, (name, _)) in servers.iter().zip(weights) {
        mesh.endpoint("db", name, server.address());
    }
    let cgroup = TestCgroup::create();
    let workloads = [("web", cgroup.path())];
    let mut command = Command::new(binary());
    let _daemon = Daemon::start_with(&mut command, &mesh.file(), &workloads, &["--selection", "even"]);
    let rounds = [1, 2, 7, 64, 135, 136, 137, sample(640), sample(1500)];
    let out = stdout(&cgroup.command("python3").args(["-SEc", &client(dialled, &rounds)]).output().unwrap());
    let mut dialled_so_far = 0;
    assert_eq!(out.lines().count(), rounds.len());
    for (line, n) in out.lines().zip(rounds) {
        dialled_so_far += n;
        println!("after {dialled_so_far}: {line}");
        let pairs = line.split(' ').map(|pair| pair.split_once('=').unwrap());
        let counts: BTreeMap<&str, u32> = pairs.map(|(name, count)| (name, count.parse().unwrap())).collect();
        assert_eq!(counts.values().sum::<u32>(), dialled_so_far, "{line}");
        for (name, weight) in weights {
            let share = f64::from(dialled_so_far) * f64::from(weight) / 136.0;
            let count = counts.get(name).copied().unwrap_or(0);
            assert!((f64::from(count) - share).abs() <= 2.0, "{name} has {count} instead of {share}: {line}");
        }
    }
}

#[test]
fn too_many_turns_stay_random_with_a_warning() {
    if !is_root("too_many_turns_stay_random_with_a_warning") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let server = Server::start((net.ip(1, 1), 0), "backend");
    let mut mesh = Mesh::new();
    // Halved they are one turn too many.
    mesh.outbound("db", dialled).split("db", &[("x", 131_072), ("y", 2)]);
    mesh.endpoint("db", "x", server.address()).endpoint("db", "y", server.address());
    let mut exec = Command::new(binary());
    exec.arg("exec").arg("--resources").arg(mesh.file());
    exec.args(["--selection", "even", "--dataplane", "web", "--", "python3", "-SEc"]);
    let body = format!("print(name(dial('{}', {})))", dialled.ip(), dialled.port());
    let output = exec.arg(script(&body)).output().unwrap();
    assert_eq!(stdout(&output), "backend");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("more than 65536 turns, so backends are chosen at random"), "{stderr}");
}
