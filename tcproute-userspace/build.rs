//! Gives the library the eBPF object that `cargo xtask build-ebpf` made.
//!
//! Not built from here: that takes another compiler and a linker, and whoever only reads or tests the pure part
//! needs neither. Without an object the file is empty, and loading says so.

use std::{env, fs, io, path::Path, time::SystemTime};

const REMEDY: &str = "run `cargo xtask build-ebpf` and build again";

fn main() -> io::Result<()> {
    let package = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    let Some(root) = Path::new(&package).parent() else {
        return Err(io::Error::other("the package is not in a workspace"));
    };
    let objects = root.join("target/bpf");
    let object = objects.join("tcproute.bpf.o");
    let sources = [root.join("tcproute-ebpf"), root.join("tcproute-common/src")];
    let embedded = Path::new(&out).join("tcproute.bpf.o");

    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=TCPROUTE_TARGET={}", env::var("TARGET").map_err(io::Error::other)?);
    for directory in &sources {
        println!("cargo::rerun-if-changed={}", directory.display());
    }
    if object.is_file() {
        println!("cargo::rerun-if-changed={}", object.display());
        // Not fs::copy: the permissions must not come along, a read-only file could not be replaced.
        fs::write(embedded, fs::read(&object)?)?;
        let built = object.metadata()?.modified()?;
        if newest(&sources[0])?.max(newest(&sources[1])?) > built {
            println!("cargo::warning=the eBPF object is older than its sources: {REMEDY}");
        }
    } else {
        // The directory, since cargo would compile the crate anew every time while a watched file is missing.
        // Where it cannot be made, that is what happens.
        let _ = fs::create_dir_all(&objects);
        println!("cargo::rerun-if-changed={}", objects.display());
        fs::write(embedded, [])?;
        println!("cargo::warning=the eBPF object is not built yet: {REMEDY}");
    }
    Ok(())
}

/// When a source in this directory was changed last. As in xtask's `build_ebpf.rs`.
fn newest(directory: &Path) -> io::Result<SystemTime> {
    let mut latest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            latest = latest.max(newest(&path)?);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "toml") {
            latest = latest.max(path.metadata()?.modified()?);
        }
    }
    Ok(latest)
}
