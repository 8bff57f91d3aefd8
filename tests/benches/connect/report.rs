//! The tables: medians over the rounds and, since the machine is never quiet, the spread.

use tcproute_tests::bench::statistics::{Spread, median};

use crate::{
    client::Answer,
    programs::{Costs, PodCosts},
};

/// A contender's rounds: its own answer in each, and that of whom it is compared with.
#[derive(Debug)]
pub(crate) struct Rounds {
    name: &'static str,
    answers: Vec<[Answer; 2]>,
}

impl Rounds {
    /// Without any round yet.
    pub(crate) const fn of(name: &'static str) -> Self {
        Self { name, answers: Vec::new() }
    }

    /// Adds a round.
    pub(crate) fn add(&mut self, own: &Answer, base: &Answer) {
        self.answers.push([*own, *base]);
    }
}

/// A column, and beside it its ratios.
struct Column {
    name: &'static str,
    of: fn(&Answer) -> f64,
    decimals: usize,
}

const P50: Column = Column { name: "p50 µs", of: |answer| answer.p50.as_secs_f64() * 1e6, decimals: 1 };
const P99: Column = Column { name: "p99 µs", of: |answer| answer.p99.as_secs_f64() * 1e6, decimals: 1 };
const FIRST_BYTE: Column =
    Column { name: "1st byte µs", of: |answer| answer.whole.as_secs_f64() * 1e6, decimals: 1 };
const RATE: Column = Column { name: "conn/s", of: |answer| answer.per_second, decimals: 0 };
const CPU: Column = Column { name: "CPU µs", of: |answer| answer.cpu.as_secs_f64() * 1e6, decimals: 1 };

/// Picks one program's cost out of a round.
type Gross = fn(&Costs) -> f64;

/// As [`Gross`] in a pod, less the cost of measuring.
type Net = fn(&Costs, &PodCosts) -> f64;

/// Prints all tables.
pub(crate) fn print(rounds: u32, connections: u32, loopback: &[Rounds], pods: &[Rounds], costs: &[Costs]) {
    println!(
        "\nMedians of {rounds} rounds of {connections} connections each; ratios are taken within a round; \
         [least..greatest]"
    );
    print_connects("connect()", "to direct", &[P50, RATE, CPU], loopback);
    if let Some(base) = pods.get(1) {
        let compared = format!("ratios to \"{}\"", base.name);
        print_connects("connect() in a pod", &compared, &[P50, P99, FIRST_BYTE], pods);
    }
    println!("\n{:<36}{:>8}{:>8}  net to LRU balancer's connect4", "programs, one run", "gross ns", "net ns");
    let programs: [(&str, Gross); 7] = [
        ("tcproute connect4, routed", |costs| costs.routed),
        ("  with --sidecar off", |costs| costs.off[0]),
        ("tcproute connect4, not routed", |costs| costs.not_routed),
        ("  with --sidecar off", |costs| costs.off[1]),
        ("tcproute getpeername4, routed", |costs| costs.getpeername),
        ("tcproute sock_release, routed", |costs| costs.release),
        ("LRU balancer connect4", |costs| costs.balancer),
    ];
    for (name, gross) in programs {
        row(name, costs, gross, |costs| gross(costs) - costs.empty);
    }
    // That of the LRU balancer for the end of a socket is not attached here.
    row(
        "tcproute connect4 + sock_release",
        costs,
        |costs| costs.routed + costs.release,
        |costs| costs.routed + costs.release - 2.0 * costs.empty,
    );
    println!("{:<36}{:>8.0}", "an empty program (gross - net)", median(&each(costs, |costs| costs.empty)));
    let adds: [(&str, Gross); 2] = [
        ("--sidecar auto adds, routed", |costs| costs.routed - costs.off[0]),
        ("--sidecar auto adds, not routed", |costs| costs.not_routed - costs.off[1]),
    ];
    for (name, adds) in adds {
        let Spread { least, median, greatest } = Spread::of(&each(costs, adds));
        println!("{name:<36}{median:>8.0}          [{least:.0}..{greatest:.0}]");
    }
    print_pod_costs(costs);
}

fn print_connects(title: &str, compared: &str, columns: &[Column], all: &[Rounds]) {
    print!("\n{title:<28}");
    for column in columns {
        print!("{:>12}  {:<20}", column.name, "ratio");
    }
    println!("{compared}");
    for rounds in all {
        print!("{:<28}", rounds.name);
        for Column { of, decimals, .. } in columns {
            let own: Vec<f64> = rounds.answers.iter().map(|[own, _]| of(own)).collect();
            let ratios: Vec<f64> = rounds.answers.iter().map(|[own, base]| of(own) / of(base)).collect();
            print!("{:>12.decimals$}  {:<20}", median(&own), spread(&ratios));
        }
        println!();
    }
}

/// Without a sidecar and beside one.
fn print_pod_costs(costs: &[Costs]) {
    let rounds: Vec<(&Costs, [PodCosts; 2])> =
        costs.iter().filter_map(|costs| Some((costs, costs.pods?))).collect();
    if rounds.is_empty() {
        return;
    }
    println!("\n{:<36}{:>16}{:>16}", "one routed connection, net ns", "no sidecar", "iptables-nft");
    let rows: [(&str, Net); 2] = [
        ("tcproute connect4", |costs, pod| pod.connect - costs.empty),
        ("tcproute sock_ops, all runs", |costs, pod| pod.sock_ops - costs.empty * pod.sock_ops_runs),
    ];
    for (name, net) in rows {
        let [none, beside] = [0, 1].map(|side| {
            let nets: Vec<f64> = rounds.iter().map(|(costs, pods)| net(costs, &pods[side])).collect();
            median(&nets)
        });
        println!("{name:<36}{none:>16.0}{beside:>16.0}");
    }
}

fn row(name: &str, costs: &[Costs], gross: impl Fn(&Costs) -> f64, net: impl Fn(&Costs) -> f64) {
    let ratios = each(costs, |costs| net(costs) / (costs.balancer - costs.empty));
    let (gross, net) = (median(&each(costs, gross)), median(&each(costs, net)));
    println!("{name:<36}{gross:>8.0}{net:>8.0}  {}", spread(&ratios));
}

fn each(costs: &[Costs], of: impl Fn(&Costs) -> f64) -> Vec<f64> {
    costs.iter().map(of).collect()
}

/// `median [least..greatest]`
fn spread(values: &[f64]) -> String {
    let Spread { least, median, greatest } = Spread::of(values);
    format!("{median:.2} [{least:.2}..{greatest:.2}]")
}
