//! `tcproute bugreport`: what is in the file, what never is, and that it comes whatever the daemon is like.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tcproute_tests::{
    cgroup::TestCgroup,
    is_root,
    mesh::Mesh,
    tcproute::{Bpffs, Daemon, binary},
};

/// The files of a bundle, by name.
fn unpacked(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(GzDecoder::new(bytes));
    let read = |entry: io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().strip_prefix("tcproute-bugreport").unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (name, bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

/// A command that writes to standard output, with a bpffs and an admin socket that nobody has unless they are there.
fn command(directory: &Path) -> Command {
    command_at(directory, &directory.join("bpffs"), &directory.join("admin.sock"))
}

/// Of this daemon.
fn command_of(daemon: &Daemon, directory: &Path) -> Command {
    command_at(directory, daemon.bpffs.path(), &daemon.admin_socket())
}

fn command_at(directory: &Path, bpffs: &Path, socket: &Path) -> Command {
    let mut command = Command::new(binary());
    command.args(["bugreport", "--output", "-", "--bpffs"]).arg(bpffs).arg("--admin-socket").arg(socket);
    // Nobody's own journal and account have a part in it.
    command
        .arg("--log")
        .arg(directory.join("log"))
        .env("HOME", directory)
        .env_remove("KUBERNETES_SERVICE_HOST");
    command
}

/// The files that such a command writes.
fn written(command: &mut Command) -> BTreeMap<String, Vec<u8>> {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    unpacked(&output.stdout)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text<'f>(files: &'f BTreeMap<String, Vec<u8>>, name: &str) -> &'f str {
    let names: Vec<_> = files.keys().collect();
    let bytes = files.get(name).unwrap_or_else(|| panic!("no {name} in {names:?}"));
    str::from_utf8(bytes).unwrap()
}

fn json_of(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Value {
    serde_json::from_str(text(files, name)).unwrap()
}

/// A route of `web`, and its daemon.
struct Setup {
    cgroup: TestCgroup,
    mesh: Mesh,
}

impl Setup {
    fn new() -> Self {
        let mut mesh = Mesh::new();
        mesh.outbound("shop-database", "127.0.0.1:1".parse().unwrap());
        mesh.endpoint("shop-database", "1", "10.9.8.7:5432".parse().unwrap());
        mesh.split("shop-database", &[("1", 1)]);
        Self { cgroup: TestCgroup::create(), mesh }
    }

    fn daemon(&self, command: &mut Command) -> Daemon {
        Daemon::start_with(command, &self.mesh.file(), &[("web", self.cgroup.path())], &[] as &[&str])
    }
}

#[test]
fn a_bundle_has_all_that_is_known_of_a_daemon_and_its_node() {
    if !is_root("a_bundle_has_all_that_is_known_of_a_daemon_and_its_node") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("log"), "routes in force\n").unwrap();
    let setup = Setup::new();
    let daemon = setup.daemon(Command::new(binary()).env("TCPROUTE_DNS_INTERVAL", "77"));
    let files = written(&mut command_of(&daemon, directory.path()));
    let manifest = json_of(&files, "manifest.json");
    let missing: Vec<&Value> =
        manifest["files"].as_array().unwrap().iter().filter(|file| !file["missing"].is_null()).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let listed: Vec<&str> =
        manifest["files"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap()).collect();
    assert!(listed.iter().all(|name| files.contains_key(*name)), "{listed:?}");
    assert_eq!(listed.len() + 1, files.len());
    for file in manifest["files"].as_array().unwrap() {
        let name = file["file"].as_str().unwrap();
        assert_eq!(file["bytes"].as_u64(), Some(files[name].len() as u64), "{name}");
        assert_eq!(file["secretsLeftOut"], 0, "{name}: {}", text(&files, name));
    }

    let path = setup.cgroup.path().display().to_string();
    assert_eq!(json_of(&files, "status.json")["workloads"][0]["cgroup"], path);
    assert_eq!(json_of(&files, "stats.json")[0]["routes"][0]["service"], "shop-database");
    assert_eq!(json_of(&files, "doctor.json")["ready"], true);
    assert!(text(&files, "metrics.txt").lines().any(|line| line.starts_with("tcproute_")));
    assert_eq!(text(&files, "ready.txt"), "ready\n");
    assert_eq!(text(&files, "log.txt"), "routes in force\n");
    assert!(text(&files, "mounts.txt").contains(&daemon.bpffs.path().display().to_string()));
    let name = setup.cgroup.path().file_name().unwrap().to_str().unwrap();
    assert!(text(&files, "cgroups.txt").lines().any(|line| line == format!("/{name}: 0")));
    let maps = json_of(&files, "maps.json");
    assert!(maps["pinned"]["routes"]["capacity"].as_u64() > Some(0), "{maps:#}");
    assert_eq!(maps["directories"]["links"], 1, "{maps:#}");
    // As that daemon was started, and not as another one would be.
    let config = json_of(&files, "config.json");
    assert!(config["of"].as_str().unwrap().contains(&daemon.pid().to_string()), "{config:#}");
    let flag = |name: &str| {
        let flags = config["flags"].as_array().unwrap();
        flags.iter().find(|flag| flag["flag"] == name).unwrap_or_else(|| panic!("{config:#}")).clone()
    };
    assert_eq!(flag("--bpffs")["values"], json!([daemon.bpffs.path()]));
    assert_eq!(flag("--bpffs")["from"], "command line");
    assert_eq!(
        (&flag("--dns-interval")["values"], &flag("--dns-interval")["from"]),
        (&json!(["77"]), &json!("TCPROUTE_DNS_INTERVAL"))
    );
}

/// Each in a place of its own.
const SECRETS: [&str; 14] = [
    "planted-token-file",
    "planted-client-key",
    "planted-kubeconfig-token",
    "planted-kubeconfig-password",
    "planted-kubeconfig-key-file",
    "planted-url-user",
    "planted-url-query",
    "planted-environment",
    "planted-environment-of-daemon",
    "planted-config-file",
    "planted-log-header",
    "planted-resource",
    "planted-status-field",
    "planted-metric",
];

#[test]
fn nothing_secret_is_in_a_bundle() {
    if !is_root("nothing_secret_is_in_a_bundle") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("token"), "planted-token-file\n").unwrap();
    fs::write(at("key.pem"), "-----BEGIN PRIVATE KEY-----\nplanted-client-key\n-----END PRIVATE KEY-----\n")
        .unwrap();
    fs::write(at("kube-key.pem"), "planted-kubeconfig-key-file\n").unwrap();
    let user = json!({"token": "planted-kubeconfig-token", "username": "u", "password": "planted-kubeconfig-password",
        "client-key": "kube-key.pem"});
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "c", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    });
    fs::write(at("kubeconfig"), kubeconfig.to_string()).unwrap();
    let config = format!(
        "url: https://planted-url-user:x@127.0.0.1:1/?sig=planted-url-query\ntoken-file: {}\nclient-cert: {}\nclient-key: {}\n\
         api-token: planted-config-file\n",
        at("token").display(),
        at("key.pem").display(),
        at("key.pem").display(),
    );
    fs::write(at("config.yaml"), config).unwrap();
    // Whatever is known to be secret, and whatever looks like it, may have got into the log.
    let mut log = SECRETS.map(|secret| format!("a password={secret}\n")).concat();
    for secret in &SECRETS[..5] {
        log.extend(["a line with ", secret, " in it\n"]);
    }
    log += "Authorization: Basic planted-log-header\nasking https://a:planted-url-user@cp/?x=planted-url-query\n";
    fs::write(at("log"), log).unwrap();

    let setup = Setup::new();
    let file = setup.mesh.file();
    let resource = "type: MeshHTTPRoute\nname: r\nmesh: default\nspec:\n  token: planted-resource\n  \
                    rules: 'Bearer planted-resource'\n";
    fs::write(file.parent().unwrap().join("other.yaml"), resource).unwrap();
    let mut run = Command::new(binary());
    run.env("DATABASE_PASSWORD", "planted-environment-of-daemon");
    let daemon = Daemon::start_with(
        &mut run,
        &file,
        &[("web", setup.cgroup.path())],
        &["--resources".into(), file.parent().unwrap().join("other.yaml")],
    );
    let secret_of = |files: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
        let mut found = Vec::new();
        for (name, bytes) in files {
            let text = String::from_utf8_lossy(bytes);
            found.extend(
                SECRETS
                    .iter()
                    .filter(|secret| text.contains(*secret))
                    .map(|secret| format!("{secret} in {name}")),
            );
        }
        found
    };
    let kubeconfig = at("kubeconfig");
    let with_all = |command: &mut Command| {
        command.arg("--kubeconfig").arg(&kubeconfig).env("TCPROUTE_CONFIG", at("config.yaml"));
        command.env("SOME_TOKEN", "planted-environment").env("KUBECONFIG", &kubeconfig);
        written(command)
    };
    let files = with_all(&mut command_of(&daemon, directory.path()));
    assert_eq!(secret_of(&files), Vec::<String>::new());
    assert!(text(&files, "log.txt").contains("a line with [left out] in it"), "{}", text(&files, "log.txt"));
    assert!(json_of(&files, "doctor.json")["checks"].is_array());
    drop(daemon);

    // Without a daemon the configuration is what one would go by: it cannot be used, and is quoted.
    let files = with_all(&mut command(directory.path()));
    assert_eq!(secret_of(&files), Vec::<String>::new());
    let why = text(&files, "config.json.missing");
    assert!(why.contains("config.yaml"), "{why}");
    let usable =
        fs::read_to_string(at("config.yaml")).unwrap().replace("api-token: planted-config-file\n", "");
    let usable = usable.replace("planted-url-user:x@", "").replace("/?sig=planted-url-query", "");
    fs::write(at("config.yaml"), usable).unwrap();
    let files = with_all(&mut command(directory.path()));
    assert_eq!(secret_of(&files), Vec::<String>::new());
    let token_file = at("token").display().to_string();
    assert!(text(&files, "config.json").contains(&token_file), "{}", text(&files, "config.json"));

    // A daemon that tells more than it should.
    let status = json!({"secretField": "planted-status-field", "token": "planted-token-file"});
    let metrics = "tcproute_routes{why=\"planted-token-file\"} 1\nother planted-metric\n";
    let _daemon = Impostor::start(&at("admin.sock"), move |stream, path| {
        let body = if path == "/metrics" { metrics.to_owned() } else { status.to_string() };
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    });
    let files = with_all(&mut command(directory.path()));
    assert_eq!(secret_of(&files), Vec::<String>::new());
    assert_eq!(text(&files, "metrics.txt"), "tcproute_routes{why=\"[left out]\"} 1\n");
    assert!(text(&files, "status.json.missing").contains("not that of this version"));
}

/// Somebody else at the admin socket.
struct Impostor {
    path: PathBuf,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Impostor {
    /// Has each request answered, by its path, on a thread of its own.
    fn start(
        path: &Path,
        answer: impl Fn(&mut UnixStream, &str) -> io::Result<()> + Clone + Send + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (mut stream, answer) = (stream.unwrap(), answer.clone());
                thread::spawn(move || {
                    let mut request = [0; 4096];
                    let length = stream.read(&mut request).unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..length]).into_owned();
                    let path = request.split(' ').nth(1).unwrap_or_default();
                    // Who asks may have gone.
                    let _ = answer(&mut stream, path);
                });
            }
        });
        Self { path: path.to_path_buf(), is_over, thread: Some(thread) }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It looks up for each connection.
        let _ = UnixStream::connect(&self.path);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// How an impostor answers, whatever it is asked for.
type Answer = fn(&mut UnixStream) -> io::Result<()>;

/// Chunks without an end.
fn without_end(stream: &mut UnixStream) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let chunk = vec![b'a'; 1 << 16];
    loop {
        write!(stream, "10000\r\n")?;
        stream.write_all(&chunk)?;
        write!(stream, "\r\n")?;
    }
}

#[test]
fn a_daemon_that_is_none_is_not_waited_for_and_nothing_of_it_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin.sock");
    let of_daemon = ["ready.txt", "status.json", "stats.json", "metrics.txt"];
    let garbage: Answer = |stream| stream.write_all(b"\x00\xff garbage\r\n\r\n");
    let silent: Answer = |stream| stream.read(&mut [0]).map(drop);
    let deep: Answer = |stream| {
        let body = "[".repeat(1 << 20);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let refusing: Answer = |stream| {
        let body = "why ".repeat(1 << 20);
        write!(stream, "HTTP/1.1 500 No\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    for (answer, why) in [
        (refusing, "with 500"),
        (garbage, "cannot read the answer"),
        (silent, "no answer from"),
        (deep, "not that of this version"),
        (without_end, "is longer than"),
    ] {
        let _impostor = Impostor::start(&socket, move |stream, _| answer(stream));
        let files = written(&mut command(directory.path()));
        for name in &of_daemon[1..3] {
            let told = text(&files, &format!("{name}.missing"));
            // A slow machine may not have got to the bound in time.
            assert!(told.contains(why) || told.contains("no answer from"), "{name}: {told}");
            assert!(told.len() < 1100, "{name}: {told}");
        }
        assert!(files.contains_key("about.json") && files.contains_key("doctor.json"));
        assert!(files.values().map(Vec::len).sum::<usize>() < 32 << 20);
    }
    let files = written(&mut command(directory.path()));
    for name in of_daemon {
        let told = text(&files, &format!("{name}.missing"));
        assert!(told.contains("no tcproute answers at"), "{name}: {told}");
    }
}

#[test]
fn the_file_is_its_owners_alone_and_takes_the_place_of_none() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.tar.gz");
    let mut bugreport = Command::new(binary());
    bugreport.args(["bugreport", "--bpffs", "/nowhere", "--admin-socket", "/nowhere", "--log", "/nowhere"]);
    bugreport.arg("--output").arg(&file).env("HOME", directory.path()).env_remove("KUBERNETES_SERVICE_HOST");
    let output = bugreport.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(line.starts_with(&format!("{}: ", file.display())) && line.contains(" KiB"), "{line}");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let bytes = fs::read(&file).unwrap();
    assert!(unpacked(&bytes).contains_key("manifest.json"));

    let output = bugreport.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("is there already"), "{}", told(&output));
    assert_eq!(fs::read(&file).unwrap(), bytes);
    // Not even a link to nowhere.
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(directory.path().join("target"), &link).unwrap();
    let mut through_link = Command::new(binary());
    through_link.args(["bugreport", "--output"]).arg(&link);
    let output = through_link.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(!directory.path().join("target").exists());
}

#[test]
fn without_root_it_says_what_it_could_not_have() {
    if !is_root("without_root_it_says_what_it_could_not_have") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("tcproute");
    fs::copy(binary(), &copy).unwrap();
    let bpffs = Bpffs::mount();
    let mut user = Command::new("setpriv");
    user.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy);
    user.args(["bugreport", "--output", "-", "--log", "/nowhere", "--admin-socket", "/nowhere", "--bpffs"]);
    user.arg(bpffs.path()).env("HOME", "/nowhere").env_remove("KUBERNETES_SERVICE_HOST");
    let files = written(&mut user);
    assert_eq!(json_of(&files, "about.json")["root"], false);
    assert_eq!(json_of(&files, "doctor.json")["ready"], false);
    assert!(
        text(&files, "maps.json.missing").contains("tcproute: "),
        "{}",
        text(&files, "maps.json.missing")
    );
    assert!(text(&files, "log.txt.missing").contains("/nowhere"));
    let manifest = json_of(&files, "manifest.json");
    let missing = manifest["files"].as_array().unwrap().iter().filter(|file| !file["missing"].is_null());
    assert_eq!(missing.count(), files.keys().filter(|name| name.ends_with(".missing")).count());
}

#[test]
fn names_and_addresses_may_be_left_out() {
    if !is_root("names_and_addresses_may_be_left_out") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("log"), "shop-database at 10.9.8.7:5432 and 10.9.8.70\n").unwrap();
    let setup = Setup::new();
    let daemon = setup.daemon(&mut Command::new(binary()));
    let files = written(command_of(&daemon, directory.path()).arg("--redact"));
    assert_eq!(json_of(&files, "manifest.json")["redacted"], true);
    for (name, bytes) in &files {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("shop-database") && !text.contains("10.9.8.7"), "{name}: {text}");
    }
    let service = json_of(&files, "stats.json")[0]["routes"][0]["service"].clone();
    let service = service.as_str().unwrap();
    assert!(service.starts_with("name-"), "{service}");
    let log = text(&files, "log.txt");
    assert!(log.starts_with(&format!("{service} at address-")), "{log}");
}
