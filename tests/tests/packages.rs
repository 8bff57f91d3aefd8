//! The packages that `cargo xtask package` makes, as dpkg and rpm install, upgrade and remove them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tcproute_tests::{
    bpftool::links_at,
    cgroup::TestCgroup,
    installation::Installation,
    is_root,
    load::Load,
    process::Process,
    routes::Split,
    sample,
    tcproute::{ask, wait_ready},
};

/// So many connections are made between two changes.
const PHASE: u32 = 300;

/// Where the packages are.
const PACKAGES: &str = "TCPROUTE_PACKAGES";

/// A binary of another version, to upgrade from and to go back to. The one in the packages if none is given.
const OLDER: &str = "TCPROUTE_OLDER_BIN";

const CONFIGURATION: &str = "/etc/tcproute/config.yaml";

/// Below the version of any package.
const OLDER_VERSION: &str = "0.0.1";

/// The file in the directory of packages whose name ends in this way.
fn package(test: &str, end: &str) -> Option<PathBuf> {
    let Some(directory) = env::var_os(PACKAGES) else {
        println!("SKIPPED {test}: {PACKAGES} names no directory that `cargo xtask package` has made");
        return None;
    };
    let mut files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let found = files.find(|path| path.to_str().unwrap().ends_with(end));
    Some(found.unwrap_or_else(|| panic!("no {end} in {}", Path::new(&directory).display())))
}

/// A root to install in, for who is root.
fn installation(test: &str) -> Option<Installation> {
    if !is_root(test) {
        return None;
    }
    match Installation::new() {
        Ok(installation) => Some(installation),
        Err(why) => {
            println!("SKIPPED {test}: {why}");
            None
        }
    }
}

/// How packages of a kind are handled.
trait Kind {
    /// Installs the package, or replaces the one that is installed: by a newer or an older one.
    fn install(&self, place: &Installation, package: &str);
    fn remove(&self, place: &Installation);
    /// The same package with an older binary, at that path of the installation.
    fn older(&self, place: &Installation, package: &str, binary: &str) -> String;
}

struct Deb;

impl Kind for Deb {
    fn install(&self, place: &Installation, package: &str) {
        place.run("dpkg", &["--install", "--force-downgrade", package]);
    }

    fn remove(&self, place: &Installation) {
        place.run("dpkg", &["--remove", "tcproute"]);
    }

    fn older(&self, place: &Installation, package: &str, binary: &str) -> String {
        place.run("dpkg-deb", &["--raw-extract", package, "/tmp/older"]);
        place.run("cp", &[binary, "/tmp/older/usr/bin/tcproute"]);
        let version = format!("s/^Version: .*/Version: {OLDER_VERSION}/");
        place.run("sed", &["-i", &version, "/tmp/older/DEBIAN/control"]);
        place.run("dpkg-deb", &["--root-owner-group", "-Znone", "--build", "/tmp/older", "/tmp/older.deb"]);
        "/tmp/older.deb".to_owned()
    }
}

struct Rpm;

impl Kind for Rpm {
    fn install(&self, place: &Installation, package: &str) {
        // The database here knows of no other package.
        place.run("rpm", &["--upgrade", "--oldpackage", "--replacepkgs", "--nodeps", package]);
    }

    fn remove(&self, place: &Installation) {
        place.run("rpm", &["--erase", "tcproute"]);
    }

    fn older(&self, place: &Installation, package: &str, binary: &str) -> String {
        let unpack = format!(
            "mkdir /tmp/older && cd /tmp/older && rpm2cpio {package} | cpio --quiet -idm
             cp {binary} usr/bin/tcproute
             rpm -qp --qf '[/%{{FILENAMES}}\n]' {package} | sed 's,^//,/,; s,^/etc,%config(noreplace) /etc,' > /tmp/files"
        );
        place.run("sh", &["-ec", &unpack]);
        let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/packages/rpm/tcproute.spec");
        place.write("/tmp/tcproute.spec", &fs::read_to_string(spec).unwrap());
        let define = [
            &*format!("package_version {OLDER_VERSION}"),
            "stage /tmp/older",
            "file_list /tmp/files",
            "_topdir /tmp/build",
            "_rpmdir /tmp",
            "_rpmfilename older.rpm",
        ];
        let defines = define.iter().flat_map(|define| ["--define", define]);
        place.run(
            "rpmbuild",
            &["-bb", "--quiet"].into_iter().chain(defines).chain(["/tmp/tcproute.spec"]).collect::<Vec<_>>(),
        );
        "/tmp/older.rpm".to_owned()
    }
}

/// A daemon of the installed binary.
fn start(place: &Installation, workload: &str) -> Process {
    let mut command = place.command("/usr/bin/tcproute");
    // As arguments, which any version knows.
    command.args(["run", "--resources", "/etc/tcproute/mesh", "--workload", workload]);
    let mut daemon = Process(command.spawn().unwrap());
    wait_ready(&mut daemon, &place.path("/run/tcproute/admin.sock"));
    daemon
}

fn version(place: &Installation) -> Value {
    serde_json::from_str(&place.run("tcproute", &["version", "--output", "json"])).unwrap()
}

/// Installs, upgrades, goes back, removes, with connections all the time.
fn live(place: &Installation, kind: &impl Kind, package: &Path) {
    let split = Split::new();
    let cgroup = TestCgroup::create();
    let package = package.to_str().unwrap();
    let newer = "/tmp/newer";
    fs::copy(package, place.path(newer)).unwrap();
    let binary = match env::var_os(OLDER) {
        Some(older) => {
            fs::copy(older, place.path("/tmp/older-binary")).unwrap();
            "/tmp/older-binary"
        }
        None => {
            kind.install(place, newer);
            place.run("cp", &["/usr/bin/tcproute", "/tmp/older-binary"]);
            kind.remove(place);
            "/tmp/older-binary"
        }
    };
    let older = kind.older(place, newer, binary);

    kind.install(place, &older);
    // As a user does, who is asked nothing when it is upgraded.
    let workload = format!("web={}", cgroup.path().display());
    let settings = format!("resources: [/etc/tcproute/mesh]\nworkload: [\"{workload}\"]\n");
    place.write(CONFIGURATION, &settings);
    place.write("/etc/tcproute/mesh/mesh.yaml", &split.mesh(&[("1", 90), ("2", 10)]).text());
    let mut daemon = start(place, &workload);
    let load = Load::start(&cgroup, split.dialled, 2);
    load.wait_for_more(sample(PHASE).into());

    for package in [newer, &older, newer] {
        kind.install(place, package);
        load.wait_for_more(sample(PHASE).into());
        // As the unit is restarted. That of before is no file any more.
        assert_eq!(daemon.stop(), Some(0));
        load.wait_for_more(sample(PHASE).into());
        daemon = start(place, &workload);
        load.wait_for_more(sample(PHASE).into());
        assert_eq!(fs::read_to_string(place.path(CONFIGURATION)).unwrap(), settings);
    }
    let status: Value =
        serde_json::from_str(&ask(&place.path("/run/tcproute/admin.sock"), "/v1/status").1).unwrap();
    assert_eq!(status["version"], version(place)["version"]);

    let seen = load.finish();
    println!("{seen:?}");
    assert_eq!((seen.failures, seen.other_peers), ([].into(), [].into()));
    assert_eq!(seen.names.keys().collect::<Vec<_>>(), ["v1", "v2"]);

    assert_eq!(daemon.stop(), Some(0));
    assert!(!links_at(cgroup.path()).is_empty());
    kind.remove(place);
    assert!(links_at(cgroup.path()).is_empty(), "removal ends the routes");
    assert!(!place.path("/usr/bin/tcproute").exists());
}

#[test]
fn a_package_of_debian_is_upgraded_rolled_back_and_removed() {
    let test = "a_package_of_debian_is_upgraded_rolled_back_and_removed";
    let Some(package) = package(test, "_amd64.deb") else { return };
    let Some(place) = installation(test) else { return };
    live(&place, &Deb, &package);
    // What the user has written is the user's.
    assert!(place.path(CONFIGURATION).exists());
    place.run("dpkg", &["--purge", "tcproute"]);
    assert!(!place.path(CONFIGURATION).exists() && !place.path("/var/lib/tcproute").exists());
}

#[test]
fn a_package_of_rpm_is_upgraded_rolled_back_and_removed() {
    let test = "a_package_of_rpm_is_upgraded_rolled_back_and_removed";
    let Some(package) = package(test, "-1.x86_64.rpm") else { return };
    let Some(place) = installation(test) else { return };
    live(&place, &Rpm, &package);
    // What the user has written is kept beside.
    assert!(place.path(&format!("{CONFIGURATION}.rpmsave")).exists());
}

/// The page, followed from its top as far as that goes without a service manager: the cluster run has one.
#[test]
fn the_page_of_the_installation_is_followed() {
    let test = "the_page_of_the_installation_is_followed";
    let Some(package) = package(test, "_amd64.deb") else { return };
    let Some(place) = installation(test) else { return };
    let page = include_str!("../../docs/guide/install.md");
    let command = |beginning: &str| {
        let line = page.lines().map(str::trim).find(|line| line.starts_with(beginning));
        let line = line.unwrap_or_else(|| panic!("the page has no {beginning}"));
        // Whoever runs this is root.
        line.split(" #").next().unwrap().trim_end().trim_start_matches("sudo ").to_owned()
    };
    let shell = |command: &str| place.run("sh", &["-ec", &format!("cd /root && {command}")]);
    let name = package.file_name().unwrap().to_str().unwrap();
    fs::copy(&package, place.path("/root").join(name)).unwrap();
    shell(&command("sudo apt install"));
    assert!(shell("tcproute doctor || true").contains("tcproute can run on this node"));
    // There is nothing to do until somebody says what.
    assert!(!shell(&command("tcproute config --changed")).contains("resources"));
    let blocks = page.split("```yaml").skip(1).map(|rest| rest.split("```").next().unwrap());
    let settings = blocks.map(|block| block.replace("\n   ", "\n")).next().unwrap();
    place.write(CONFIGURATION, &settings);
    let shown = shell(&command("tcproute config --changed"));
    for told in ["frontend-1=/system.slice/frontend.service", "/etc/tcproute/mesh", CONFIGURATION] {
        assert!(shown.contains(told), "no {told} in {shown}");
    }
}

#[test]
fn packages_have_what_users_look_for() {
    let test = "packages_have_what_users_look_for";
    let Some(deb) = package(test, "_amd64.deb") else { return };
    let Some(rpm) = package(test, "-1.x86_64.rpm") else { return };
    let printed = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = printed(Command::new("dpkg-deb").arg("--contents").arg(&deb));
    let of_deb: Vec<&str> = listed
        .lines()
        .filter(|line| !line.starts_with('d'))
        .map(|line| line.split_whitespace().last().unwrap().trim_start_matches('.'))
        .collect();
    let listed = printed(Command::new("rpm").args(["-qpl"]).arg(&rpm));
    let of_rpm: Vec<&str> = listed.lines().collect();
    for path in [
        "/usr/bin/tcproute",
        "/usr/lib/systemd/system/tcproute.service",
        "/usr/lib/tmpfiles.d/tcproute.conf",
        "/usr/share/man/man1/tcproute.1.gz",
        "/usr/share/man/man1/tcproute-run.1.gz",
        "/usr/share/bash-completion/completions/tcproute",
        "/usr/share/doc/tcproute/tcproute.cdx.json",
        CONFIGURATION,
    ] {
        assert!(of_deb.contains(&path), "no {path} among {of_deb:?}");
        assert!(of_rpm.contains(&path), "no {path} among {of_rpm:?}");
    }
    // They differ in where zsh looks.
    assert_eq!(of_deb.len(), of_rpm.len());

    let version = printed(Command::new("dpkg-deb").args(["--field"]).arg(&deb).arg("Version"));
    let of_rpm = printed(Command::new("rpm").args(["-qp", "--qf", "%{VERSION}"]).arg(&rpm));
    assert_eq!((version.trim(), &*of_rpm), (env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_VERSION")));
}
