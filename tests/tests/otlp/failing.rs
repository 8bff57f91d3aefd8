//! A collector that is away, slow, or does not take what it is sent.

use std::time::Duration;

use tcproute_tests::{is_root, wait_for};

use crate::{
    collector::{Answer, Collector},
    fixture::{Setup, spans, told},
};

#[test]
fn a_collector_that_was_away_gets_what_it_has_missed() {
    if !is_root("a_collector_that_was_away_gets_what_it_has_missed") {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.daemon(&setup.url(), &[]);
    setup.dial(&[setup.up, setup.closed]);
    wait_for("it fails", || !told(&daemon)["failing"].is_null());
    let why = told(&daemon)["failing"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("cannot be reached"), "{why}");
    daemon.wait_for_line("does not take spans");
    assert_eq!(daemon.metric("tcproute_otlp_answering"), 0);
    assert!(String::from_utf8(daemon.status(&[]).stdout).unwrap().contains("it does not take them for"));
    setup.dial(&[setup.nobody]);

    let collector = Collector::start(setup.collector, Answer::Taken);
    wait_for("all came", || collector.taken().len() == 3);
    daemon.wait_for_line("takes spans again");
    wait_for("it is told", || told(&daemon)["failing"].is_null() && spans(&daemon, "delivered") == 3);

    // And once more.
    drop(collector);
    setup.dial(&[setup.up]);
    wait_for("it fails", || !told(&daemon)["failing"].is_null());
    let collector = Collector::start(setup.collector, Answer::Taken);
    wait_for("it came", || collector.taken().len() == 1);
}

#[test]
fn a_collector_that_is_slow_holds_nobody_up() {
    if !is_root("a_collector_that_is_slow_holds_nobody_up") {
        return;
    }
    let setup = Setup::new();
    let collector = Collector::start(setup.collector, Answer::Silence);
    let mut daemon = setup.daemon(&setup.url(), &[]);
    // They connect as fast as ever, and more of them than there is room for.
    wait_for("some find no room", || {
        setup.dial_nobody(5000);
        setup.dial(&[setup.up]);
        spans(&daemon, "crowded_out") > 0
    });
    assert!(!collector.batches().is_empty());
    let told = told(&daemon);
    assert!(told["queuedSpans"].as_u64().unwrap() <= 8192, "{told}");
    assert_eq!(told["deliveredSpans"], 0);
    daemon.wait_for_line("those that find no room are counted");
    // The agent has its own to do, and the end does not wait for long.
    assert_eq!(daemon.get("/readyz").0, 200);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_collector_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_says() {
    if !is_root("a_collector_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_says") {
        return;
    }
    let setup = Setup::new();
    let collector = Collector::start(setup.collector, Answer::Status(429, Some(3)));
    let daemon = setup.daemon(&setup.url(), &[]);
    setup.dial(&[setup.up, setup.nobody]);
    wait_for("it was asked", || collector.batches().len() == 1);
    wait_for("it is told", || {
        told(&daemon)["failing"]["why"].as_str().is_some_and(|why| why.contains("429"))
    });
    collector.say(Answer::Taken);
    wait_for("all came", || collector.taken().len() == 2);
    let batches = collector.batches();
    assert!(batches[1].at - batches[0].at >= Duration::from_secs(3));
    assert_eq!(batches[0].request, batches[1].request, "it is the same batch");
}

#[test]
fn what_is_not_wanted_is_not_sent_again() {
    if !is_root("what_is_not_wanted_is_not_sent_again") {
        return;
    }
    let setup = Setup::new();
    let collector = Collector::start(setup.collector, Answer::Status(400, None));
    let daemon = setup.daemon(&setup.url(), &[]);
    setup.dial(&[setup.up]);
    wait_for("it is counted", || spans(&daemon, "rejected") == 1);
    collector.say(Answer::Partial(1));
    setup.dial(&[setup.up, setup.closed]);
    wait_for("half of it is there", || spans(&daemon, "rejected") == 2 && spans(&daemon, "delivered") == 1);
    daemon.wait_for_line("these are too old");
    collector.say(Answer::Taken);
    setup.dial(&[setup.nobody]);
    wait_for("it came", || collector.taken().len() == 3);
    assert_eq!(collector.batches().len(), 3);
    assert_eq!(spans(&daemon, "given_up") + spans(&daemon, "crowded_out"), 0);
}
