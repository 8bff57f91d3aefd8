//! Lines: contenders as services grow in number.

use anyhow::{Result, anyhow, ensure};
use plotters::{prelude::*, style::text_anchor};
use serde::Deserialize;

use super::{Contender, OWN, anchored};

/// The file, the figure in the JSON, and what it is.
const CHART: (&str, &str, &str) = (
    "services-connect.svg",
    "firstByteP50Micros",
    "From connect() to the first byte of the last of N services, median; less is better",
);

/// Of what is there, as much as is drawn.
#[derive(Deserialize)]
struct Figures {
    points: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    services: u32,
    contenders: Vec<Contender<Figure>>,
}

#[derive(Deserialize)]
struct Figure {
    median: f64,
}

/// One contender's, by the number of services.
#[derive(Debug, PartialEq)]
struct Line<'a> {
    title: &'a str,
    color: RGBColor,
    is_own: bool,
    points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (860, 420);
const OF_NAMES: u32 = 230;
/// Between two names.
const OF_A_NAME: i32 = 17;

const OTHERS: [RGBColor; 7] = [
    RGBColor(0x55, 0x5b, 0x61),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0x9a, 0xcd, 0x5c),
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0x94, 0x67, 0xbd),
    RGBColor(0xff, 0x7f, 0x0e),
    RGBColor(0x8c, 0x56, 0x4b),
];

/// The picture, by the name of its file, of what `bench services` has written.
pub(super) fn pictures(text: &str) -> Result<Vec<(&'static str, String)>> {
    let figures: Figures = serde_json::from_str(text)?;
    let (file, figure, title) = CHART;
    Ok(vec![(file, drawn(title, &lines(&figures, figure))?)])
}

/// Of all who have the figure anywhere, in the order in which they are told.
fn lines<'a>(figures: &'a Figures, figure: &str) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    let mut others = OTHERS.into_iter().cycle();
    for point in &figures.points {
        for contender in &point.contenders {
            let Contender { title, figures, .. } = contender;
            let Some(Figure { median }) = figures.get(figure) else { continue };
            let at = (f64::from(point.services), *median);
            if let Some(line) = lines.iter_mut().find(|line| line.title == title) {
                line.points.push(at);
                continue;
            }
            let is_own = contender.is_own();
            let color = if is_own { OWN } else { others.next().unwrap_or(OWN) };
            lines.push(Line { title, color, is_own, points: vec![at] });
        }
    }
    lines
}

fn drawn(title: &str, lines: &[Line<'_>]) -> Result<String> {
    ensure!(!lines.is_empty(), "nothing is measured");
    let mut picture = String::new();
    draw(title, lines, &mut picture).map_err(|error| anyhow!("cannot draw: {error}"))?;
    Ok(picture + "\n")
}

fn draw(title: &str, lines: &[Line<'_>], picture: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let all = || lines.iter().flat_map(|line| &line.points);
    let least = all().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let (most, greatest) =
        all().fold((least, 0.0_f64), |(most, greatest), it| (most.max(it.0), greatest.max(it.1)));
    let area = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .margin_right(OF_NAMES)
        .x_label_area_size(42)
        .y_label_area_size(56)
        // At one number of services alone there is no range.
        .build_cartesian_2d((least..most.max(least * 10.0)).log_scale(), 0.0..greatest * 1.05)?;
    chart
        .configure_mesh()
        .x_max_light_lines(1)
        .y_max_light_lines(1)
        .x_label_formatter(&|services| format!("{services:.0}"))
        .y_label_formatter(&|micros| format!("{micros:.0}"))
        .x_desc("services, each with two backendRefs and ten endpoints")
        .y_desc("µs")
        .draw()?;
    for Line { color, is_own, points, .. } in lines {
        let style = color.stroke_width(if *is_own { 3 } else { 2 });
        chart.draw_series([PathElement::new(points.clone(), style)])?;
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, color.filled())))?;
    }
    // Each name stands beside the end of its line, or below the one before.
    let mut ends: Vec<(i32, &Line<'_>)> = Vec::new();
    let right = chart.backend_coord(&(most, 0.0)).0;
    for line in lines {
        let Some(end) = line.points.last() else { continue };
        ends.push((chart.backend_coord(end).1, line));
    }
    ends.sort_by_key(|(y, _)| *y);
    let below = i32::try_from(ends.len())? * OF_A_NAME;
    let mut free = 0;
    for (left, (y, line)) in (0..).zip(ends) {
        // So that those which are still to come have room above the lower end.
        let lowest = i32::try_from(SIZE.1)? - 30 - (below - left * OF_A_NAME);
        let y = y.min(lowest).max(free);
        free = y + OF_A_NAME;
        let style = anchored(text_anchor::HPos::Left).color(&line.color);
        area.draw(&Text::new(line.title.replace('`', ""), (right + 12, y), style))?;
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: &str = r#"{"points": [
        {"services": 1, "contenders": [
            {"name": "tcproute", "title": "tcproute", "figures": {"firstByteP50Micros": {"median": 50.0}}},
            {"name": "iptables", "title": "iptables, `statistic`", "figures": {
                "firstByteP50Micros": {"median": 60.0}, "loadedMillis": {"median": 1.0}}}]},
        {"services": 1000, "contenders": [
            {"name": "tcproute", "title": "tcproute", "figures": {"firstByteP50Micros": {"median": 51.0}}},
            {"name": "iptables", "title": "iptables, `statistic`", "absent": "it has ended"}]}]}"#;

    #[test]
    fn who_is_measured_has_a_line_as_far_as_it_was() {
        let figures: Figures = serde_json::from_str(FIGURES).unwrap();
        let lines = lines(&figures, "firstByteP50Micros");
        let points = lines.iter().map(|line| (line.title, line.points.as_slice())).collect::<Vec<_>>();
        let expected: [(&str, &[(f64, f64)]); 2] =
            [("tcproute", &[(1.0, 50.0), (1000.0, 51.0)]), ("iptables, `statistic`", &[(1.0, 60.0)])];
        assert_eq!(points, expected);
        let pictures = pictures(FIGURES).unwrap();
        let (file, picture) = &pictures[0];
        assert_eq!(*file, "services-connect.svg");
        for expected in ["<svg", "iptables, statistic", "1000", "tcproute"] {
            assert!(picture.contains(expected), "{expected}: {picture}");
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(pictures(r#"{"points": []}"#).is_err());
    }
}
