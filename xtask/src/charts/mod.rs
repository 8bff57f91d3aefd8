//! `cargo xtask charts`: pictures of what `cargo xtask bench peers` and `services` have measured, from their JSON.

mod bars;
mod lines;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use plotters::style::{IntoFont as _, RGBColor, TextStyle, text_anchor};
use serde::Deserialize;

use crate::workspace;

/// `cargo xtask charts`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What `bench peers` has written; target/bench/peers.json, if it is there, if not given
    peers: Option<PathBuf>,
    /// What `bench services` has written; target/bench/services.json, if it is there, if not given
    #[arg(long, value_name = "FILE")]
    services: Option<PathBuf>,
}

/// Of what is there, as much as is drawn.
#[derive(Deserialize)]
struct Contender<F> {
    name: String,
    title: String,
    /// By their names; none of who is absent.
    #[serde(default = "BTreeMap::new")]
    figures: BTreeMap<String, F>,
}

impl<F> Contender<F> {
    fn is_own(&self) -> bool {
        self.name.starts_with("tcproute")
    }
}

/// Of names and numbers, on that side of a point.
fn anchored(side: text_anchor::HPos) -> TextStyle<'static> {
    let position = text_anchor::Pos::new(side, text_anchor::VPos::Center);
    TextStyle::from(("sans-serif", 14).into_font()).pos(position)
}

/// Of tcproute.
const OWN: RGBColor = RGBColor(0x1f, 0x77, 0xb4);

/// Draws all that there are figures of.
pub(crate) fn run(options: &Options) -> Result<()> {
    let drawn = [
        draw("peers", options.peers.as_deref(), bars::pictures)?,
        draw("services", options.services.as_deref(), lines::pictures)?,
    ];
    ensure!(drawn.contains(&true), "nothing is measured: run cargo xtask bench peers, or services");
    Ok(())
}

/// Of one benchmark; whether there are figures of it. What is named must be there.
fn draw(
    bench: &str,
    named: Option<&Path>,
    pictures: impl FnOnce(&str) -> Result<Vec<(&'static str, String)>>,
) -> Result<bool> {
    let path = named.map_or_else(|| workspace::figures().join(format!("{bench}.json")), Path::to_owned);
    if named.is_none() && !path.exists() {
        return Ok(false);
    }
    let at = || format!("{} (`cargo xtask bench {bench}` writes it)", path.display());
    let text = fs::read_to_string(&path).with_context(at)?;
    for (file, drawn) in pictures(&text).with_context(at)? {
        let picture = workspace::root().join("docs/pictures").join(file);
        fs::write(&picture, drawn).with_context(|| format!("cannot write {}", picture.display()))?;
        println!("{}", picture.display());
    }
    Ok(true)
}
