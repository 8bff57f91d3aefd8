//! Contenders side by side: the figures of each in rounds, and what they come to beside those of another one in the
//! same round, since other load on the machine changes over time.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    markdown::{number, table},
    statistics::{Spread, interval},
};
use crate::chi_square;

/// Something that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// In JSON.
    pub key: &'static str,
    /// In tables, with its unit.
    pub title: &'static str,
    /// In tables.
    pub decimals: usize,
    /// Whether it is compared with that of another contender.
    pub compared: bool,
}

/// One of those that are compared.
#[derive(Debug, Clone)]
pub struct Contender {
    /// In JSON and on a command line.
    pub name: &'static str,
    /// In tables.
    pub title: &'static str,
    /// With whom it is compared, by name.
    pub base: &'static str,
    /// What was measured, or why nothing was.
    pub found: Result<Found, String>,
}

/// What was measured of one that is there.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// As it says itself.
    pub version: String,
    /// Whether getpeername() answers with the address that was dialled.
    pub shows_dialled: bool,
    /// How often each backend was reached, and what its share is to be; empty if there is one alone.
    pub split: Vec<(u64, f64)>,
    /// Of a figure one for each round, by its key.
    pub rounds: BTreeMap<&'static str, Vec<f64>>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Comparison(pub Vec<Contender>);

/// What the rounds of a figure come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Summary {
    rounds: Vec<f64>,
    median: f64,
    least: f64,
    greatest: f64,
    /// Of the median, with a confidence of 95 %.
    interval: [f64; 2],
}

impl Found {
    /// Adds that of a round.
    pub fn add(&mut self, figure: Figure, value: f64) {
        self.rounds.entry(figure.key).or_default().push(value);
    }
}

impl Summary {
    fn of(rounds: Vec<f64>) -> Option<Self> {
        if rounds.is_empty() {
            return None;
        }
        let Spread { least, median, greatest } = Spread::of(&rounds);
        Some(Self { median, least, greatest, interval: interval(&rounds), rounds })
    }
}

impl Comparison {
    /// All that was found.
    pub fn json(&self, figures: &[Figure]) -> Value {
        self.0.iter().map(|contender| self.of(contender, figures)).collect()
    }

    fn of(&self, contender: &Contender, figures: &[Figure]) -> Value {
        let Contender { name, title, base, found } = contender;
        let mut json = json!({ "name": name, "title": title, "comparedWith": base });
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                json["absent"] = why.as_str().into();
                return json;
            }
        };
        json["version"] = found.version.as_str().into();
        json["showsDialled"] = found.shows_dialled.into();
        if !found.split.is_empty() {
            let (connections, shares): (Vec<u64>, Vec<f64>) = found.split.iter().copied().unzip();
            let p = chi_square::p_value(&found.split);
            json["split"] = json!({ "connections": connections, "shares": shares, "p": p });
        }
        for &figure in figures {
            let Some(summary) = self.summary(contender, figure) else { continue };
            json["figures"][figure.key] = json!(summary);
            if let Some(ratio) = self.ratio(contender, figure) {
                json["figures"][figure.key]["ratio"] = json!(ratio);
            }
        }
        json
    }

    /// A table of some figures. Who is not there has no line in it.
    pub fn table(&self, figures: &[Figure]) -> String {
        let mut head = vec!["Contender".to_owned()];
        for figure in figures {
            head.push(figure.title.to_owned());
            if figure.compared {
                head.push("ratio".to_owned());
            }
        }
        let mut rows = Vec::new();
        for contender in self.0.iter().filter(|contender| contender.found.is_ok()) {
            let mut row = vec![contender.title.to_owned()];
            for &figure in figures {
                row.push(
                    self.summary(contender, figure).map_or_else(none, |it| spread(&it, figure.decimals)),
                );
                if figure.compared {
                    row.push(self.ratio(contender, figure).map_or_else(none, |it| within(&it)));
                }
            }
            rows.push(row);
        }
        table(&head, &rows)
    }

    /// The same without how far the rounds are from each other, which is narrower.
    pub fn medians(&self, figures: &[Figure]) -> String {
        let columns = figures.iter().flat_map(|figure| [figure.title, "to direct"]).map(str::to_owned);
        let head: Vec<String> = ["Contender".to_owned()].into_iter().chain(columns).collect();
        let row = |contender: &Contender| {
            let mut row = vec![contender.title.to_owned()];
            for &figure in figures {
                let median = self.summary(contender, figure).map(|it| number(it.median, figure.decimals));
                let ratio = self.ratio(contender, figure).map(|it| within(&it));
                row.extend([median, ratio].map(|cell| cell.unwrap_or_else(none)));
            }
            row
        };
        let rows: Vec<_> = self.0.iter().filter(|it| it.found.is_ok()).map(row).collect();
        table(&head, &rows)
    }

    /// How exactly each has split.
    pub fn splits(&self) -> String {
        let head =
            ["Contender", "connections", "share of the first", "p", "getpeername()"].map(str::to_owned);
        let present = self.0.iter().filter_map(|it| Some((it, it.found.as_ref().ok()?)));
        let row = |(contender, found): (&Contender, &Found)| {
            let all: u64 = found.split.iter().map(|(count, _)| count).sum();
            let first = found.split.first().map_or(0, |&(count, _)| count);
            let peer = if found.shows_dialled { "as dialled" } else { "another" };
            vec![
                contender.title.to_owned(),
                number(chi_square::as_f64(all), 0),
                format!("{:.4}", chi_square::as_f64(first) / chi_square::as_f64(all)),
                p_text(chi_square::p_value(&found.split)),
                peer.to_owned(),
            ]
        };
        let rows: Vec<_> = present.filter(|(_, found)| !found.split.is_empty()).map(row).collect();
        table(&head, &rows)
    }

    /// Who is not there, and why.
    pub fn absent(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().filter_map(|it| Some((it.title, it.found.as_ref().err()?.as_str())))
    }

    /// The same as a part of a page; nothing if all are there.
    pub fn absentees(&self) -> String {
        let mut absent = self.absent().peekable();
        let mut text = String::new();
        if absent.peek().is_some() {
            text += "\n### Absent\n\n";
        }
        absent.for_each(|(title, why)| {
            let _ = writeln!(text, "- {title}: {why}");
        });
        text
    }

    /// Of the rounds of a figure of one who is there, and the median of its ratios.
    pub fn spread(&self, name: &str, figure: Figure) -> Option<(Spread, Option<f64>)> {
        let contender = self.0.iter().find(|contender| contender.name == name)?;
        let rounds = self.rounds(name, figure)?;
        let ratio = self.ratio(contender, figure).map(|it| it.median);
        (!rounds.is_empty()).then(|| (Spread::of(rounds), ratio))
    }

    fn rounds(&self, name: &str, figure: Figure) -> Option<&[f64]> {
        let found = self.0.iter().find(|contender| contender.name == name)?.found.as_ref().ok()?;
        found.rounds.get(figure.key).map(Vec::as_slice)
    }

    fn summary(&self, contender: &Contender, figure: Figure) -> Option<Summary> {
        Summary::of(self.rounds(contender.name, figure)?.to_vec())
    }

    /// Within each round. Nobody is compared with itself, nor with nothing.
    fn ratio(&self, contender: &Contender, figure: Figure) -> Option<Summary> {
        if !figure.compared || contender.base == contender.name {
            return None;
        }
        let own = self.rounds(contender.name, figure)?;
        let base = self.rounds(contender.base, figure)?;
        let ratios: Vec<f64> = own.iter().zip(base).map(|(own, base)| own / base).collect();
        Summary::of(ratios).filter(|it| it.rounds.iter().all(|ratio| ratio.is_finite()))
    }
}

fn none() -> String {
    "–".to_owned()
}

/// `median [least..greatest]`
fn spread(summary: &Summary, decimals: usize) -> String {
    let number = |value| number(value, decimals);
    format!("{} [{}..{}]", number(summary.median), number(summary.least), number(summary.greatest))
}

/// `median (interval)`
fn within(summary: &Summary) -> String {
    let [low, high] = summary.interval;
    format!("{:.2} ({low:.2}–{high:.2})", summary.median)
}

fn p_text(p: f64) -> String {
    if p < 0.001 { format!("{p:.0e}") } else { format!("{p:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Figure = Figure { key: "rate", title: "conn/s", decimals: 0, compared: true };
    const MEMORY: Figure = Figure { key: "memory", title: "MiB", decimals: 1, compared: false };

    fn contender(name: &'static str, found: Result<Found, String>) -> Contender {
        Contender { name, title: name, base: "direct", found }
    }

    fn three() -> Comparison {
        let mut direct = Found { version: "6.18".to_owned(), ..Found::default() };
        let mut other =
            Found { split: vec![(899, 0.9), (101, 0.1)], shows_dialled: true, ..Found::default() };
        for (base, ratio) in [(1000.0, 0.5), (2000.0, 0.25), (4000.0, 0.75)] {
            direct.add(RATE, base);
            other.add(RATE, base * ratio);
            other.add(MEMORY, 3.0);
        }
        let absent = contender("ipvs", Err("the kernel has no IPVS".to_owned()));
        Comparison(vec![contender("direct", Ok(direct)), contender("proxy", Ok(other)), absent])
    }

    #[test]
    fn ratios_are_those_of_a_round() {
        let json = three().json(&[RATE, MEMORY]);
        let rate = &json[1]["figures"]["rate"];
        assert_eq!(rate["rounds"], json!([500.0, 500.0, 3000.0]));
        assert_eq!(rate["ratio"]["rounds"], json!([0.5, 0.25, 0.75]));
        assert_eq!(rate["ratio"]["median"], 0.5);
        assert_eq!(rate["ratio"]["interval"], json!([0.25, 0.75]));
        assert_eq!(json[1]["figures"]["memory"]["ratio"], Value::Null);
        assert_eq!(json[0]["figures"]["rate"]["ratio"], Value::Null);
        assert_eq!(json[0]["figures"]["rate"]["least"], 1000.0);
        let spread = Spread { least: 500.0, median: 500.0, greatest: 3000.0 };
        assert_eq!(three().spread("proxy", RATE), Some((spread, Some(0.5))));
        assert_eq!(three().spread("ipvs", RATE), None);
    }

    #[test]
    fn what_is_absent_says_why_and_has_no_figures() {
        let comparison = three();
        let json = comparison.json(&[RATE, MEMORY]);
        assert_eq!(json[2]["absent"], "the kernel has no IPVS");
        assert_eq!(json[2]["figures"], Value::Null);
        assert_eq!(comparison.absent().collect::<Vec<_>>(), [("ipvs", "the kernel has no IPVS")]);
    }

    #[test]
    fn tables_have_the_spread_of_figures_and_the_interval_of_ratios() {
        let expected = "\
| Contender | conn/s | ratio | MiB |
|---|---:|---:|---:|
| direct | 2,000 [1,000..4,000] | – | – |
| proxy | 500 [500..3,000] | 0.50 (0.25–0.75) | 3.0 [3.0..3.0] |
";
        assert_eq!(three().table(&[RATE, MEMORY]), expected);
    }

    #[test]
    fn the_narrow_table_has_medians_and_ratios() {
        let expected = "\
| Contender | conn/s | to direct | MiB | to direct |
|---|---:|---:|---:|---:|
| direct | 2,000 | – | – | – |
| proxy | 500 | 0.50 (0.25–0.75) | 3.0 | – |
";
        assert_eq!(three().medians(&[RATE, MEMORY]), expected);
    }

    #[test]
    fn a_split_is_told_with_its_chance() {
        let text = three().splits();
        assert!(text.contains("| proxy | 1,000 | 0.8990 | 0.916 | as dialled |"), "{text}");
        assert!(!text.contains("direct"), "{text}");
    }
}
