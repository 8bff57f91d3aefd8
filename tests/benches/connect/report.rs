//! The two tables: medians over the rounds and, since the machine is never quiet, the spread.

use std::fmt;

use crate::{client::Answer, programs::Costs};

/// A contender's rounds.
#[derive(Debug)]
pub(crate) struct Ratios {
    name: &'static str,
    p50_micros: Vec<f64>,
    p50_ratio: Vec<f64>,
    rate: Vec<f64>,
    rate_ratio: Vec<f64>,
    cpu_micros: Vec<f64>,
    cpu_ratio: Vec<f64>,
}

impl Ratios {
    /// Without any round yet.
    pub(crate) fn of(name: &'static str) -> Self {
        let [p50_micros, p50_ratio, rate, rate_ratio, cpu_micros, cpu_ratio] = [const { Vec::new() }; 6];
        Self { name, p50_micros, p50_ratio, rate, rate_ratio, cpu_micros, cpu_ratio }
    }

    /// Adds a round, with the direct connection's answer of the same round.
    pub(crate) fn add(&mut self, own: &Answer, direct: &Answer) {
        self.p50_micros.push(own.p50.as_secs_f64() * 1e6);
        self.p50_ratio.push(own.p50.as_secs_f64() / direct.p50.as_secs_f64());
        self.rate.push(own.per_second);
        self.rate_ratio.push(own.per_second / direct.per_second);
        self.cpu_micros.push(own.cpu.as_secs_f64() * 1e6);
        self.cpu_ratio.push(own.cpu.as_secs_f64() / direct.cpu.as_secs_f64());
    }
}

/// Picks one program's cost out of a round.
type Gross = fn(&Costs) -> f64;

/// Prints both tables.
pub(crate) fn print(rounds: u32, connections: u32, connects: &[Ratios], costs: &[Costs]) {
    println!(
        "\nMedians of {rounds} rounds of {connections} connections each; ratios are taken within a round; \
         [least..greatest]\n"
    );
    println!(
        "{:<24}{:>10}  {:<20}{:>8}  {:<20}{:>8}  to direct",
        "connect()", "p50 µs", "to direct", "conn/s", "to direct", "CPU µs"
    );
    for ratios in connects {
        println!(
            "{:<24}{:>10.1}  {:<20}{:>8.0}  {:<20}{:>8.1}  {}",
            ratios.name,
            median(&ratios.p50_micros),
            Spread(&ratios.p50_ratio).to_string(),
            median(&ratios.rate),
            Spread(&ratios.rate_ratio).to_string(),
            median(&ratios.cpu_micros),
            Spread(&ratios.cpu_ratio)
        );
    }
    println!("\n{:<36}{:>8}{:>8}  net to LRU balancer's connect4", "programs, one run", "gross ns", "net ns");
    let programs: [(&str, Gross); 5] = [
        ("tcproute connect4, routed", |costs| costs.routed),
        ("tcproute connect4, not routed", |costs| costs.not_routed),
        ("tcproute getpeername4, routed", |costs| costs.getpeername),
        ("tcproute sock_release, routed", |costs| costs.release),
        ("LRU balancer connect4", |costs| costs.balancer),
    ];
    for (name, gross) in programs {
        row(name, costs, gross, |costs| gross(costs) - costs.empty);
    }
    // The LRU balancer has no program at the end of a socket.
    row(
        "tcproute connect4 + sock_release",
        costs,
        |costs| costs.routed + costs.release,
        |costs| costs.routed + costs.release - 2.0 * costs.empty,
    );
    println!("{:<36}{:>8.0}", "an empty program (gross - net)", median(&each(costs, |costs| costs.empty)));
}

fn row(name: &str, costs: &[Costs], gross: impl Fn(&Costs) -> f64, net: impl Fn(&Costs) -> f64) {
    let ratios = each(costs, |costs| net(costs) / (costs.balancer - costs.empty));
    let (gross, net) = (median(&each(costs, gross)), median(&each(costs, net)));
    println!("{name:<36}{gross:>8.0}{net:>8.0}  {}", Spread(&ratios));
}

fn each(costs: &[Costs], of: impl Fn(&Costs) -> f64) -> Vec<f64> {
    costs.iter().map(of).collect()
}

/// `median [least..greatest]`
struct Spread<'a>(&'a [f64]);

impl fmt::Display for Spread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        write!(f, "{:.2} [{least:.2}..{greatest:.2}]", median(self.0))
    }
}

/// Of an even number of values the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}
