//! The figures, beside the goals.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    change::Changes,
    input::Size,
    measure::Measured,
    rest::Rest,
    usage::{Cpu, Memory},
};

/// A line of the table: what, how it is written, and what is wanted.
type Line = (&'static str, fn(&Measured) -> String, &'static str);

const LINES: [Line; 18] = [
    ("bodies of one reading of all lists", |it| mb(it.bodies.bytes as u64), ""),
    ("of these, the Dataplanes", |it| mb(it.bodies.of_dataplanes as u64), ""),
    ("requests of one reading", |it| it.bodies.requests.to_string(), ""),
    ("from the start to `routes in force`", |it| ms(it.ready), ""),
    ("requests until then", |it| it.requests_at_start.to_string(), ""),
    (
        "nothing changes, all lists read each time: CPU of a reading",
        |it| cpu(it.lively.per_reading()),
        "100 ms",
    ),
    ("CPU of a second", |it| cpu(it.lively.per_second()), ""),
    ("seen", |it| seen(&it.lively), ""),
    (
        "30 s later, the large list read less often: CPU of a reading",
        |it| cpu(it.quiet.per_reading()),
        "100 ms",
    ),
    ("CPU of a second", |it| cpu(it.quiet.per_second()), ""),
    ("seen", |it| seen(&it.quiet), ""),
    ("memory of an empty mesh, resident / peak", |it| memory(it.empty), ""),
    (
        "memory at the start, resident / peak, and beyond an empty mesh by bodies",
        |it| beyond(it, it.at_start),
        "8",
    ),
    ("the same after the readings above", |it| beyond(it, it.after_lively), "8"),
    ("the same after all changes", |it| beyond(it, it.after_changes), "8"),
    ("a changed weight in force", |it| changes(&it.weight), "1100 ms"),
    ("a moved endpoint in force", |it| changes(&it.endpoint), "1100 ms"),
    ("a moved endpoint in force, after 35 s without a change", after_quiet, ""),
];

/// For people, as Markdown.
pub(crate) fn table(all: &[Measured]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let transport = all.iter().map(|it| if it.tls { "TLS" } else { "plain HTTP" }.to_owned());
    let mut text = line([vec!["What".to_owned()], transport.collect(), vec!["Goal".to_owned()]].concat());
    text += &"|---".repeat(all.len() + 2);
    text += "|\n";
    for (what, show, goal) in LINES {
        let shown = all.iter().map(show).collect();
        text += &line([vec![what.to_owned()], shown, vec![goal.to_owned()]].concat());
    }
    text
}

/// For programs.
pub(crate) fn json(size: Size, all: &[Measured]) -> Value {
    let one = |it: &Measured| {
        json!({
            "tls": it.tls, "bodiesBytes": it.bodies.bytes, "dataplanesBytes": it.bodies.of_dataplanes,
            "requestsOfReading": it.bodies.requests, "readyMs": millis(it.ready),
            "requestsAtStart": it.requests_at_start, "lively": rest_json(&it.lively), "quiet": rest_json(&it.quiet),
            "memoryEmpty": memory_json(it.empty), "memoryAtStart": memory_json(it.at_start),
            "memoryAfterLively": memory_json(it.after_lively), "memoryAfterQuiet": memory_json(it.after_quiet),
            "memoryAfterChanges": memory_json(it.after_changes), "weight": changes_json(&it.weight),
            "endpoint": changes_json(&it.endpoint), "endpointAfterQuiet": changes_json(&it.endpoint_after_quiet),
        })
    };
    let measured: Vec<Value> = all.iter().map(one).collect();
    json!({"dataplanes": size.dataplanes, "services": size.services, "measured": measured})
}

fn rest_json(rest: &Rest) -> Value {
    json!({
        "seconds": rest.time.as_secs_f64(), "polls": rest.polls, "readings": rest.readings,
        "requests": rest.requests, "threadMsPerReading": millis(rest.per_reading().thread),
        "processMsPerReading": millis(rest.per_reading().process),
        "processMsPerSecond": millis(rest.per_second().process),
        "serverMsPerReading": millis(rest.server_per_reading()),
    })
}

fn memory_json(memory: Memory) -> Value {
    json!({"residentBytes": memory.resident, "peakBytes": memory.peak})
}

fn changes_json(changes: &Changes) -> Value {
    json!({
        "p50Ms": millis(changes.p50()), "maxMs": millis(changes.max()), "tries": changes.count(),
        "readings": changes.readings, "processMs": millis(changes.daemon.process),
    })
}

fn seen(rest: &Rest) -> String {
    format!(
        "{:.0} s: {} polls, {} with the Dataplanes, one each {:.1} s, {} requests; the server needs {} for a reading",
        rest.time.as_secs_f64(),
        rest.polls,
        rest.readings,
        rest.interval().as_secs_f64(),
        rest.requests,
        ms(rest.server_per_reading())
    )
}

fn after_quiet(it: &Measured) -> String {
    // As the daemon does, whose interval is a second.
    let mib = quotient(it.bodies.of_dataplanes as u64, 1 << 20);
    format!("{}; read each {:.1} s, by its size", changes(&it.endpoint_after_quiet), mib.clamp(1.0, 10.0))
}

fn changes(changes: &Changes) -> String {
    let tries = changes.count();
    let (p50, max, process) = (ms(changes.p50()), ms(changes.max()), ms(changes.daemon.process));
    let readings = changes.readings;
    format!(
        "p50 {p50}, max {max}, of {tries}; meanwhile {process} of CPU, {readings} readings of the Dataplanes"
    )
}

fn beyond(it: &Measured, memory: Memory) -> String {
    let by_bodies = |bytes: u64| quotient(bytes.saturating_sub(it.empty.resident), it.bodies.bytes as u64);
    let (resident, peak) = (by_bodies(memory.resident), by_bodies(memory.peak));
    format!("{}: {resident:.1} / {peak:.1}", self::memory(memory))
}

fn memory(Memory { resident, peak }: Memory) -> String {
    format!("{} / {}", mb(resident), mb(peak))
}

/// Of the thread that follows the control plane, and of all.
fn cpu(Cpu { process, thread }: Cpu) -> String {
    format!("{}, with the other threads {}", ms(thread), ms(process))
}

fn mb(bytes: u64) -> String {
    format!("{:.2} MB", quotient(bytes, 1_000_000))
}

#[expect(clippy::cast_precision_loss, reason = "some millions")]
fn quotient(bytes: u64, by: u64) -> f64 {
    bytes as f64 / by as f64
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", millis(time))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
