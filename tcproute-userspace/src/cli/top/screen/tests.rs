//! What is on the screen, on terminals of some sizes.

use std::{net::SocketAddr, time::Duration};

use anyhow::anyhow;
use jiff::Timestamp;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, style::Color};

use super::*;
use crate::{
    admin::status::Ejected,
    cli::top::{
        app::{Answer, Daemon},
        follow::Heard,
        input::Action,
    },
    outcomes::{BackendOutcomes, Latency, Outcomes, RouteOutcomes, WorkloadOutcomes},
    top::Reading,
    trace::{Connection, Decision, Outcome},
};

const SIZES: [(u16, u16); 3] = [(80, 24), (200, 50), (40, 10)];

const HOSTILE: &str = "a\x1b[2J\nerror: forged\u{202e}\u{200b}";

fn colours() -> Look {
    Look::of("xterm", false).unwrap()
}

fn plain() -> Look {
    Look::of("xterm", true).unwrap()
}

fn daemon() -> Daemon {
    Daemon {
        version: "1.2.3".to_owned(),
        started: Timestamp::now(),
        is_ready: true,
        workloads: 1,
        rejected: 0,
        warnings: 0,
        changed: Some(Timestamp::UNIX_EPOCH),
    }
}

fn dialled(last: u8) -> SocketAddr {
    ([127, 0, 0, last], 5432).into()
}

/// Routes to services of these names, each split 3 to 1 by ten connections a step, of which two are refused.
fn reading(step: u64, services: &[&str]) -> Reading {
    let mut latency = Latency::default();
    latency.buckets[9] = step * 8;
    let backend = |target: &str, attempted, refused| {
        let outcomes = Some(Outcomes {
            attempted: step * attempted,
            refused: step * refused,
            established: step * (attempted - refused),
            latency,
            ..Outcomes::default()
        });
        let target = format!("MeshServiceSubset db {target}");
        BackendOutcomes { target, weight: 1, share: 0.5, outcomes, total: outcomes }
    };
    let route = |(number, service): (u32, &&str)| RouteOutcomes {
        service: (*service).to_owned(),
        address: std::net::Ipv4Addr::from(0x7f00_0000 + number).into(),
        port: 5432,
        selection: "random".to_owned(),
        since: None,
        split: None,
        unweighted: 0,
        unweighted_total: 0,
        backends: vec![backend("v=a", 6, 0), backend("v=b", 2, 2)],
    };
    let workload = WorkloadOutcomes {
        mesh: "default".to_owned(),
        dataplane: "web".to_owned(),
        cgroup: "/sys/fs/cgroup/web".into(),
        routes: (1..).zip(services).map(route).collect(),
    };
    Reading { at: Duration::from_secs(step), outcomes: vec![workload], ejected: Vec::new() }
}

fn take(app: &mut App, reading: Reading) {
    app.take(Answer::Reading(Ok((daemon(), reading))));
}

/// After two readings, a second apart.
fn app(services: &[&str]) -> App {
    let mut app = App::new("node-1".to_owned(), Duration::from_secs(1));
    take(&mut app, reading(1, services));
    take(&mut app, reading(2, services));
    app
}

fn drawn(app: &mut App, (width, height): (u16, u16), look: Look) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, look)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(app: &mut App, size: (u16, u16)) -> String {
    let buffer = drawn(app, size, plain());
    let cells: Vec<&str> = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    let lines = cells.chunks(size.0.into()).map(|line| line.concat().trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

fn type_in(app: &mut App, letters: &str) {
    letters.chars().for_each(|letter| app.act(Action::Type(letter)));
}

#[test]
fn a_route_is_shown_with_its_split_and_what_fails() {
    for size in SIZES {
        let mut app = app(&["db"]);
        let text = text(&mut app, size);
        let line = |has: &str| {
            text.lines().find(|line| line.contains(has)).unwrap_or_else(|| panic!("{has}: {text}"))
        };
        assert!(line("tcproute 1.2.3 on node-1").contains("ready"), "{text}");
        assert!(line("8.0 conn/s").contains("2.0 failed/s"), "{text}");
        assert!(line(">web → db").contains("127.0.0.1:5432"), "{text}");
        assert!(line("v=a").contains(" 75.0 "), "{text}");
        let failing = line("v=b");
        assert!(failing.contains(" 50.0 ") && failing.contains(" 25.0 "), "{text}");
        if size.0 >= 80 {
            assert!(failing.contains("refused 2.0") && failing.contains("<512µs"), "{text}");
            assert!(line("v=a").contains("██████"), "{text}");
        }
    }
}

#[test]
fn no_terminal_is_too_small() {
    for size in [(1, 1), (3, 2), (7, 3), (20, 4), (12, 30)] {
        let mut app = app(&["db", "cache"]);
        for action in [Action::Help, Action::Help, Action::Trace, Action::Describe, Action::Filter] {
            app.act(action);
            drawn(&mut app, size, colours());
        }
    }
}

#[test]
fn names_of_others_command_nothing_and_leave_room_for_numbers() {
    let long = "long-".repeat(60);
    for size in SIZES {
        let mut app = app(&[HOSTILE, &long, "語".repeat(90).as_str()]);
        app.host = HOSTILE.to_owned();
        let shown = text(&mut app, size);
        assert!(!crate::escaped::hides(&shown), "{shown:?}");
        assert!(shown.contains("web → a"), "{shown}");
        assert!(!shown.lines().any(|line| line.starts_with("error")), "{shown}");
        for last in 1..=3 {
            app.act(Action::Move(last - 2));
            let shown = text(&mut app, size);
            assert!(shown.contains("5432"), "{shown}");
        }
        app.act(Action::Describe);
        app.act(Action::First);
        assert!(!crate::escaped::hides(&text(&mut app, size)));
    }
}

#[test]
fn what_is_old_is_said_to_be_old_until_there_is_an_answer() {
    for size in SIZES {
        let mut app = app(&["db"]);
        app.set_now(Duration::from_secs(4));
        app.take(Answer::Reading(Err(anyhow!("no tcproute answers"))));
        app.set_now(Duration::from_secs(18));
        app.take(Answer::Reading(Err(anyhow!("no tcproute answers"))));
        let shown = text(&mut app, size);
        assert!(shown.contains("OLD VALUES: no answer for 14 s: no"), "{shown}");
        assert!(shown.contains(" 75.0 "), "{shown}");
        take(&mut app, reading(20, &["db"]));
        let shown = text(&mut app, size);
        assert!(
            !shown.contains("OLD") && shown.contains(" 75.0 ") && shown.contains("8.0 conn/s"),
            "{shown}"
        );
    }
}

#[test]
fn only_what_is_seen_is_drawn_and_the_selected_route_is_seen() {
    let names: Vec<String> = (0..5000).map(|number| format!("service-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (size, most) in SIZES.into_iter().zip([7, 16, 3]) {
        let mut app = app(&names);
        text(&mut app, size);
        assert!((1..=most).contains(&app.page), "{} of {size:?}", app.page);
        let mut seen = 0;
        for action in [
            Action::Last,
            Action::Page(-1),
            Action::Move(-1),
            Action::Move(1),
            Action::First,
            Action::Page(1),
        ] {
            app.act(action);
            let selected = app.selected().unwrap().key.dialled;
            let shown = text(&mut app, size);
            let line = shown
                .lines()
                .find(|line| line.starts_with('>'))
                .unwrap_or_else(|| panic!("{action:?}: {shown}"));
            assert!(line.contains(&selected.to_string()), "{line}");
            assert!(app.page <= most, "{}", app.page);
            seen += 1;
        }
        assert_eq!(seen, 6);
    }
}

#[test]
fn the_filter_is_typed_kept_and_given_up() {
    let mut app = app(&["db", "cache"]);
    let both = |app: &mut App| {
        let shown = text(app, (80, 24));
        (shown.contains("web → db"), shown.contains("web → cache"))
    };
    app.act(Action::Filter);
    type_in(&mut app, "CAx");
    assert_eq!(both(&mut app), (false, false));
    assert!(text(&mut app, (80, 24)).contains("no route is like that"));
    app.act(Action::Erase);
    assert_eq!(both(&mut app), (false, true));
    app.act(Action::Keep);
    assert!(text(&mut app, (80, 24)).contains("\n/CA, "), "it is told while it holds");
    app.act(Action::Close);
    assert_eq!(both(&mut app), (true, true));
}

#[test]
fn sorting_pausing_and_intervals_are_told() {
    let mut app = app(&["db"]);
    app.act(Action::NextColumn);
    app.act(Action::Reverse);
    app.act(Action::Longer);
    let shown = text(&mut app, (80, 24));
    assert!(shown.contains("by failures reversed, every 2 s"), "{shown}");
    app.act(Action::Shorter);
    app.act(Action::Shorter);
    assert_eq!(app.interval(), Duration::from_millis(500));
    app.act(Action::Pause);
    let shown = text(&mut app, (80, 24));
    assert!(shown.contains("PAUSED"), "{shown}");
    let before = app.model.totals().rate;
    take(&mut app, reading(100, &["db"]));
    assert_eq!(app.model.totals().rate, before, "an answer that comes later is not shown");
}

fn connection(cookie: u64, outcome: Outcome) -> Heard {
    let decision = Decision {
        cookie,
        time: Timestamp::UNIX_EPOCH,
        pid: Some(7),
        command: "psql\x1b".to_owned(),
        mesh: "default".to_owned(),
        dataplane: "web".to_owned(),
        service: "db".to_owned(),
        dialled: dialled(1),
        policies: Vec::new(),
        backend: Some("MeshServiceSubset db v=a".to_owned()),
        endpoint: Some(([127, 0, 1, 1], 80).into()),
        left: None,
    };
    let ended = Timestamp::UNIX_EPOCH;
    Heard::Connection(Box::new(Connection { decision, outcome, microseconds: Some(1500), ended }))
}

#[test]
fn a_trace_shows_connections_of_the_selected_route() {
    for size in SIZES {
        let mut app = app(&["db", "cache"]);
        app.act(Action::Trace);
        assert_eq!(app.traced().map(|of| of.dialled), app.selected().map(|row| row.key.dialled));
        app.hear(Heard::Listening);
        assert!(text(&mut app, size).contains("no connection yet"));
        app.hear(connection(1, Outcome::Pending));
        app.hear(connection(1, Outcome::Established));
        app.hear(connection(2, Outcome::Refused));
        app.hear(Heard::Lost(3));
        let shown = text(&mut app, size);
        assert!(shown.contains("3 events were lost"), "{shown}");
        let told: Vec<&str> = shown.lines().filter(|line| line.starts_with("00:00:00.000")).collect();
        assert_eq!(told.len(), 2, "one that was pending has one line: {shown}");
        if size.0 >= 80 {
            assert!(told[0].contains(r"psql\u{1b}") && told[0].contains("established 1.5 ms"), "{shown}");
            assert!(told[0].ends_with(" v=a"), "{shown}");
            assert!(told[1].contains("127.0.1.1:80") && told[1].contains("refused"), "{shown}");
        }
        app.hear(Heard::Ended("the daemon has ended".to_owned()));
        assert!(text(&mut app, size).contains("not listening: the daemon has ended"));
        app.act(Action::Move(1));
        assert_eq!(app.traced().map(|of| of.dialled), app.selected().map(|row| row.key.dialled));
        assert!(!text(&mut app, size).contains("00:00:00.000"), "another route has other connections");
        app.act(Action::Close);
        assert!(app.traced().is_none());
    }
}

#[test]
fn a_description_has_policies_reasons_and_endpoints_in_and_out() {
    let routes = r#"[{"mesh": "default", "dataplane": "web", "compat": "2.4", "warnings": ["beware"], "routes": [
        {"service": "db", "address": "127.0.0.1", "port": 5432, "protocol": "tcp", "action": "route",
         "reason": "a MeshTCPRoute says so", "policies": ["all", "split-db"], "plaintext": "permissive",
         "notEnforced": ["MeshTimeout slow"], "backends": [
         {"kind": "MeshServiceSubset", "name": "db", "weight": 1, "share": 0.5, "endpoints": ["127.0.1.1:80", "127.0.1.2:80"]},
         {"kind": "MeshServiceSubset", "name": "db", "weight": 1, "share": 0.5, "endpoints": []}]}]}]"#;
    let mut app = app(&["db"]);
    assert!(!app.wants_routes());
    app.act(Action::Describe);
    assert!(app.wants_routes());
    app.routes_are_asked();
    assert!(!app.wants_routes());
    app.take(Answer::Routes(Ok(serde_json::from_str(routes).unwrap())));
    let mut third = reading(3, &["db"]);
    let (dataplane, backend) = ("web".to_owned(), "MeshServiceSubset db v=a".to_owned());
    let endpoint = ([127, 0, 1, 2], 80).into();
    let until = Timestamp::UNIX_EPOCH;
    third.ejected = vec![Ejected { dataplane, dialled: dialled(1), backend, endpoint, until }];
    take(&mut app, third);
    let shown = text(&mut app, (120, 60));
    for part in [
        "1 ejected",
        "routed: a MeshTCPRoute says so",
        "in the order of 2.4: all < split-db",
        "not enforced there: MeshTimeout slow",
        "permissive mTLS",
        "in (1): 127.0.1.1:80",
        "out: 127.0.1.2:80, ejected until 1970-01-01T00:00:00Z",
        "failing: refused 2.0/s",
        "no endpoint: its connections are refused",
        "in all: 18 attempted, 18 established",
        "warning: beware",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let top = text(&mut app, (40, 10));
    app.act(Action::Page(1));
    assert_ne!(text(&mut app, (40, 10)), top, "it scrolls");
    app.act(Action::Page(-1));
    assert_eq!(text(&mut app, (40, 10)), top);
    take(&mut app, reading(4, &["cache"]));
    app.take(Answer::Routes(Err(anyhow!("no answer"))));
    assert!(text(&mut app, (80, 24)).contains("is not known: no answer"));
}

#[test]
fn help_tells_every_key() {
    let mut app = app(&["db"]);
    app.act(Action::Help);
    let shown = text(&mut app, (80, 24));
    for (key, _) in crate::cli::top::input::HELP {
        assert!(shown.lines().any(|line| line.starts_with(key)), "{key}: {shown}");
    }
    assert!(shown.contains("tmo timed out"), "{shown}");
}

#[test]
fn without_colours_all_is_black_and_white() {
    for pane in [Action::Trace, Action::Describe, Action::Help] {
        let mut app = app(&["db"]);
        app.act(pane);
        app.take(Answer::Reading(Err(anyhow!("gone"))));
        let has_colours = |app: &mut App, look| {
            let buffer = drawn(app, (80, 24), look);
            buffer.content().iter().any(|cell| (cell.fg, cell.bg) != (Color::Reset, Color::Reset))
        };
        assert!(!has_colours(&mut app, plain()));
        assert!(has_colours(&mut app, colours()));
    }
}
