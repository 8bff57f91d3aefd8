//! A container of a pod as kubelet and a runtime start it, as far as that matters to a daemon on the node: its files,
//! its mounts, its capabilities. Network, cgroup and mounts are its own; processes are the node's.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{cgroup::TestCgroup, process::Process, tcproute::binary, wait_for};

/// Makes the container around itself and becomes its process. The binary is all that an image has, beside the libraries
/// that it may need; setpriv takes the part of the runtime. What a line of the table says is mounted: from, to, whether
/// it is read only, how what is mounted later comes in.
const RUNTIME: &str = r#"
set -e
root=$1 binary=$2 table=$3; shift 3
mount -t tmpfs -o mode=755 none "$root"
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/usr/bin"
for libraries in /lib /lib64 /usr/lib; do
    [ -d "$libraries" ] || continue
    mkdir -p "$root$libraries" && mount --bind "$libraries" "$root$libraries"
done
cp "$(command -v setpriv)" "$root/usr/bin/setpriv"
cp "$binary" "$root/usr/bin/tcproute"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
while read -r from to access propagation; do
    if [ -f "$from" ]; then mkdir -p "$(dirname "$root$to")" && touch "$root$to"; else mkdir -p "$root$to"; fi
    mount --rbind "$from" "$root$to"
    mount "--make-r$propagation" "$root$to"
    [ "$access" = rw ] || mount -o remount,bind,ro "$root$to"
done < "$table"
mount -o remount,ro "$root"
exec chroot "$root" /usr/bin/setpriv "$@"
"#;

/// A pod on this machine, and what is put in the place of its ConfigMaps.
pub struct Pod<'p> {
    spec: &'p Value,
    directory: tempfile::TempDir,
    cgroup: TestCgroup,
}

/// A process in a container of its own.
pub struct Container {
    process: Process,
    log: PathBuf,
}

impl<'p> Pod<'p> {
    /// By a template, with these ConfigMaps.
    pub fn new(template: &'p Value, config_maps: &[&Value]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for map in config_maps {
            let name = map["metadata"]["name"].as_str().expect("it has a name");
            let place = directory.path().join(name);
            fs::create_dir(&place).expect("a directory can be made");
            for (file, text) in map["data"].as_object().into_iter().flatten() {
                fs::write(place.join(file), text.as_str().expect("it is a text")).expect("it can be written");
            }
        }
        Self { spec: &template["spec"], directory, cgroup: TestCgroup::create() }
    }

    /// Starts a container, among the `initContainers` or the `containers`.
    pub fn start(&self, which: &str, name: &str) -> Container {
        let all = self.spec[which].as_array().expect("there are containers");
        let container = all.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        let [root, table, log] =
            ["root", "mounts", "log"].map(|it| self.directory.path().join(format!("{name}.{it}")));
        fs::create_dir_all(&root).expect("a directory can be made");
        fs::write(&table, self.mounts(container)).expect("a file can be written");
        // In this order: so its own cgroup is the root of the namespace that it sees.
        let mut command = self.cgroup.command("unshare");
        command.args(["--mount", "--cgroup", "--propagation", "slave"]);
        if self.spec["hostNetwork"] != true {
            command.arg("--net");
        }
        command.args(["sh", "-c", RUNTIME, "runtime"]).arg(&root).arg(binary()).arg(&table);
        command.args(privileges(&container["securityContext"])).arg("--").args(words(&container["command"]));
        assert_eq!(self.spec["hostPID"], true, "processes are the node's");
        let output = File::create(&log).expect("a file can be written");
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("it can be used twice")).stderr(output);
        for variable in container["env"].as_array().into_iter().flatten() {
            let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str();
            let value = variable["value"]
                .as_str()
                .or_else(|| field.filter(|it| *it == "spec.nodeName").map(|_| "node-1"));
            let name = variable["name"].as_str().expect("it has a name");
            command.env(name, value.unwrap_or_else(|| panic!("{name} has no value here")));
        }
        Container { process: Process(command.spawn().expect("sh can be started")), log }
    }

    /// Each mount on a line, as the runtime reads it.
    fn mounts(&self, container: &Value) -> String {
        let volumes = self.spec["volumes"].as_array().expect("there are volumes");
        let mount = |mount: &Value| {
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
            let from = self.source(volume.unwrap_or_else(|| panic!("no volume of {mount}")));
            let access = if mount["readOnly"] == true { "ro" } else { "rw" };
            let propagation = match mount["mountPropagation"].as_str() {
                None | Some("None") => "private",
                Some("HostToContainer") => "slave",
                Some(other) => panic!("only a privileged container may have {other}"),
            };
            let to = mount["mountPath"].as_str().expect("it is mounted somewhere");
            format!("{} {to} {access} {propagation}\n", from.display())
        };
        container["volumeMounts"].as_array().into_iter().flatten().map(mount).collect()
    }

    /// Where a volume is on this machine.
    fn source(&self, volume: &Value) -> PathBuf {
        if let Some(name) = volume["configMap"]["name"].as_str() {
            return self.directory.path().join(name);
        }
        let path = volume["hostPath"]["path"].as_str().unwrap_or_else(|| panic!("what is {volume}?"));
        match volume["hostPath"]["type"].as_str() {
            Some("DirectoryOrCreate") => fs::create_dir_all(path).expect("a directory can be made"),
            Some("Directory") => assert!(Path::new(path).is_dir(), "{path}"),
            other => panic!("what is {other:?}?"),
        }
        path.into()
    }
}

/// What setpriv is told of a security context.
fn privileges(context: &Value) -> Vec<String> {
    assert_eq!((&context["runAsUser"], &context["readOnlyRootFilesystem"]), (&0.into(), &true.into()));
    assert_eq!(words(&context["capabilities"]["drop"]), ["ALL"]);
    let added = words(&context["capabilities"]["add"]);
    let added: Vec<String> = added.iter().map(|it| format!(",+{}", it.to_lowercase())).collect();
    let mut told = vec![format!("--bounding-set=-all{}", added.concat()), "--inh-caps=-all".to_owned()];
    if context["allowPrivilegeEscalation"] == false {
        told.push("--no-new-privs".to_owned());
    }
    told
}

/// A list of words.
pub fn words(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|word| word.as_str().expect("it is a word")).collect()
}

impl Container {
    /// Runs a command in it, as a probe does.
    pub fn exec(&self, command: &[impl AsRef<OsStr>]) -> Output {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg("--target").arg(self.process.0.id().to_string());
        nsenter.args(["--mount", "--net", "--root", "--wd=/", "--"]).args(command);
        nsenter.output().expect("nsenter can be started")
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until a command in it succeeds.
    pub fn wait_for(&mut self, command: &[&str]) {
        wait_for(&format!("{command:?} succeeds"), || {
            assert!(!self.process.has_ended(), "it has ended: {}", self.log());
            self.exec(command).status.success()
        });
    }

    /// Waits for its end, and answers with its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        wait_for("it has ended", || self.process.has_ended());
        self.stop()
    }

    /// Stops it as kubelet would, and answers with its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.process.stop()
    }
}
