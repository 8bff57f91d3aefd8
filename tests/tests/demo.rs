//! The demo shows what README.md shows of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use tcproute_tests::{
    client::stdout,
    is_root,
    sample::{Block, Sample, blocks, is_as_shown},
};

#[test]
fn the_demo_shows_what_the_readme_shows() {
    if !is_root("the_demo_shows_what_the_readme_shows") {
        return;
    }
    let Some(cargo) = env::var_os("CARGO") else {
        println!("SKIPPED the_demo_shows_what_the_readme_shows: there is no cargo");
        return;
    };
    let blocks = blocks(include_str!("../../README.md"));
    let console = blocks.iter().filter(|block| block.info == "console");
    let samples: Vec<Sample> = console.flat_map(Block::samples).collect();
    let commands: Vec<&str> = samples.iter().map(|sample| sample.command.as_str()).collect();
    // The second one runs this test.
    assert_eq!(commands, ["cargo xtask demo", "cargo xtask test"]);

    let mut demo = Command::new(cargo);
    demo.args(["xtask", "demo"]).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let output = stdout(&demo.stdin(Stdio::null()).output().unwrap());
    let Sample { shown, .. } = &samples[0];
    assert!(is_as_shown(shown, &output), "{output}\nand not\n{shown}");
}
