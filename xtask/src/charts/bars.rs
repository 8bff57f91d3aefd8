//! Bars: contenders beside each other.

use anyhow::{Context as _, Result, anyhow, ensure};
use plotters::{prelude::*, style::text_anchor};
use serde::Deserialize;

use super::{Contender, OWN, anchored};

/// What is drawn: the name of the file, the figure in the JSON, and what it is.
const CHARTS: [(&str, &str, &str); 4] = [
    (
        "peers-first-byte.svg",
        "firstByteP50Micros1",
        "From connect() to the first byte, median; less is better",
    ),
    ("peers-connections.svg", "connectionsPerSecond4", "Connections per second, 4 threads; more is better"),
    (
        "peers-cpu.svg",
        "cpuMicrosPerConnection4",
        "CPU of client, server and proxy for a connection; less is better",
    ),
    ("peers-stream.svg", "gigabytesPerSecond", "Throughput of a stream; more is better"),
];

/// Of what is there, as much as is drawn.
#[derive(Deserialize)]
struct Figures {
    contenders: Vec<Contender<Figure>>,
}

#[derive(Deserialize)]
struct Figure {
    ratio: Option<Ratio>,
}

/// To a direct connection.
#[derive(Deserialize)]
struct Ratio {
    median: f64,
    /// Of the median.
    interval: [f64; 2],
}

/// One contender's.
struct Bar<'a> {
    title: &'a str,
    ratio: &'a Ratio,
    is_own: bool,
}

const WIDTH: u32 = 860;
const OF_A_BAR: u32 = 30;
const OF_TITLE_AND_AXIS: u32 = 110;
const OF_NAMES: u32 = 270;

const OTHER: RGBColor = RGBColor(0xa0, 0xa8, 0xb0);

/// The pictures, by the names of their files, of what `bench peers` has written.
pub(super) fn pictures(text: &str) -> Result<Vec<(&'static str, String)>> {
    let figures: Figures = serde_json::from_str(text)?;
    let picture = |(file, figure, title)| {
        let drawn = drawn(title, &bars(&figures, figure)).with_context(|| format!("the figure {figure}"))?;
        Ok((file, drawn))
    };
    CHARTS.into_iter().map(picture).collect()
}

/// Of all who are compared with somebody.
fn bars<'a>(figures: &'a Figures, figure: &str) -> Vec<Bar<'a>> {
    let bar = |contender: &'a Contender<Figure>| {
        let ratio = contender.figures.get(figure)?.ratio.as_ref()?;
        Some(Bar { title: &contender.title, ratio, is_own: contender.is_own() })
    };
    figures.contenders.iter().filter_map(bar).collect()
}

/// A bar for each, the first on top, with the interval of its median as a line.
fn drawn(title: &str, bars: &[Bar<'_>]) -> Result<String> {
    ensure!(!bars.is_empty(), "nothing is compared");
    let mut picture = String::new();
    draw(title, bars, &mut picture).map_err(|error| anyhow!("cannot draw: {error}"))?;
    Ok(picture + "\n")
}

fn draw(title: &str, bars: &[Bar<'_>], picture: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let count = u32::try_from(bars.len())?;
    let greatest = bars.iter().map(|bar| bar.ratio.interval[1].max(bar.ratio.median)).fold(1.0, f64::max);
    let area = SVGBackend::with_string(picture, (WIDTH, OF_TITLE_AND_AXIS + OF_A_BAR * count));
    let area = area.into_drawing_area();
    area.fill(&WHITE)?;
    // A place has its bar in the middle; the first is on top.
    let height = f64::from(count);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(OF_NAMES)
        // Room for the number behind the longest.
        .build_cartesian_2d(0.0..greatest * 1.12, height..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_max_light_lines(1)
        .disable_y_axis()
        .y_labels(0)
        .x_desc("times that of a direct connection; lines: 95 % interval of the median")
        .draw()?;
    let places = (0..count).map(f64::from);
    for (top, bar) in places.clone().zip(bars) {
        let color = if bar.is_own { OWN } else { OTHER };
        let of_bar = [(0.0, top + 0.2), (bar.ratio.median, top + 0.8)];
        chart.draw_series([Rectangle::new(of_bar, color.filled())])?;
        let [low, high] = bar.ratio.interval;
        let middle = top + 0.5;
        chart.draw_series([PathElement::new(vec![(low, middle), (high, middle)], BLACK)])?;
    }
    chart.draw_series([PathElement::new(vec![(1.0, 0.0), (1.0, height)], BLACK.mix(0.4))])?;
    let (right, left) = (anchored(text_anchor::HPos::Right), anchored(text_anchor::HPos::Left));
    for (top, bar) in places.zip(bars) {
        let (zero, middle) = chart.backend_coord(&(0.0, top + 0.5));
        area.draw(&Text::new(bar.title.replace('`', ""), (zero - 8, middle), right.clone()))?;
        let end = bar.ratio.interval[1].max(bar.ratio.median);
        let (end, middle) = chart.backend_coord(&(end, top + 0.5));
        area.draw(&Text::new(format!("{:.2}", bar.ratio.median), (end + 6, middle), left.clone()))?;
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: &str = r#"{"contenders": [
        {"name": "direct", "title": "direct", "figures": {"rate": {"median": 5.0}}},
        {"name": "tcproute", "title": "tcproute `a` <b>", "figures": {
            "rate": {"median": 4.9, "ratio": {"median": 0.98, "interval": [0.9, 1.02], "rounds": []}}}},
        {"name": "proxy", "title": "a proxy", "figures": {
            "rate": {"median": 2.0, "ratio": {"median": 0.4, "interval": [0.35, 0.5]}}}},
        {"name": "ipvs", "title": "IPVS", "absent": "the kernel has none"}]}"#;

    #[test]
    fn who_is_compared_has_a_bar() {
        let figures: Figures = serde_json::from_str(FIGURES).unwrap();
        let bars = bars(&figures, "rate");
        assert_eq!(
            bars.iter().map(|bar| (bar.title, bar.is_own)).collect::<Vec<_>>(),
            [("tcproute `a` <b>", true), ("a proxy", false)]
        );
        let picture = drawn("Rate & co", &bars).unwrap();
        for expected in ["<svg", "Rate &amp; co", "tcproute a &lt;b&gt;", "a proxy", "0.98", "0.40"] {
            assert!(picture.contains(expected), "{expected}: {picture}");
        }
        assert_eq!(drawn("Rate & co", &bars).unwrap(), picture);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let figures: Figures = serde_json::from_str(FIGURES).unwrap();
        assert!(drawn("None", &bars(&figures, "other")).is_err());
    }
}
