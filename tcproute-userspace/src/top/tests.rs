//! Readings that come to rows, and rows that are arranged.

#![allow(
    clippy::large_types_passed_by_value,
    clippy::unnecessary_wraps,
    reason = "as a reading has them, in a test"
)]

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::{
    super::{
        Filter, View,
        order::{Column, Order},
        window::tests::TAKEN,
    },
    *,
};
use crate::outcomes::Outcomes;

const SPAN: Duration = Duration::from_secs(1);

fn backend(target: &str, share: f64, outcomes: Option<Outcomes>) -> BackendOutcomes {
    BackendOutcomes { target: target.to_owned(), weight: 1, share, outcomes, total: outcomes }
}

fn route(last: u8, backends: Vec<BackendOutcomes>) -> RouteOutcomes {
    RouteOutcomes {
        service: format!("service-{last}"),
        address: Ipv4Addr::new(127, 0, 0, last).into(),
        port: 80,
        selection: "random".to_owned(),
        since: None,
        split: None,
        unweighted: 0,
        unweighted_total: 0,
        backends,
    }
}

fn reading(seconds: u64, routes: Vec<RouteOutcomes>) -> Reading {
    let workload = WorkloadOutcomes {
        mesh: "default".to_owned(),
        dataplane: "web".to_owned(),
        cgroup: "/sys/fs/cgroup/web".into(),
        routes,
    };
    Reading { at: Duration::from_secs(seconds), outcomes: vec![workload], ejected: Vec::new() }
}

/// Of so many connections: some were established, some refused, and for some there was no endpoint.
fn outcomes(established: u64, refused: u64, no_endpoint: u64) -> Option<Outcomes> {
    let attempted = established + refused;
    let mut latency = Latency::default();
    latency.buckets[6] = established;
    Some(Outcomes { attempted, established, refused, no_endpoint, latency, ..Outcomes::default() })
}

fn split(seconds: u64, left: Option<Outcomes>, right: Option<Outcomes>) -> Reading {
    reading(seconds, vec![route(1, vec![backend("v=a", 0.5, left), backend("v=b", 0.5, right)])])
}

fn is_near(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-6
}

#[test]
fn shares_rates_and_failures_are_those_between_readings() {
    let mut model = Model::default();
    model.take(&split(10, outcomes(1000, 0, 0), outcomes(5, 5, 5)), SPAN);
    let [row] = model.rows() else { panic!("one route") };
    assert_eq!((row.rate, row.failing, row.backends[0].observed), (None, None, None));
    model.take(&split(12, outcomes(1030, 0, 0), outcomes(5, 7, 13)), SPAN);
    let [row] = model.rows() else { panic!("one route") };
    assert_eq!((row.rate, row.failing, row.deviation), (Some(20.0), Some(5.0), Some(0.25)));
    assert_eq!((row.backends[0].observed, row.backends[1].observed), (Some(0.75), Some(0.25)));
    assert_eq!(row.backends[0].failures, []);
    assert_eq!(row.backends[1].failures, [(Cause::Refused, 1.0), (Cause::NoEndpoint, 4.0)]);
    assert_eq!(row.latency.quantile(0.99), Some(Duration::from_micros(64)));
    assert_eq!(row.backends[1].whole.map(|whole| whole.no_endpoint), Some(13));
    let totals = model.totals();
    assert_eq!((totals.rate, totals.failing, totals.refused), (Some(20.0), Some(5.0), Some(5.0)));
}

#[test]
fn routes_and_backend_refs_come_and_go() {
    let mut model = Model::default();
    let one = |target: &str, count| backend(target, 0.5, outcomes(count, 0, 0));
    model.take(&reading(1, vec![route(1, vec![one("v=a", 10), one("v=b", 20)])]), SPAN);
    // In another order, with one that is new, and a route that is new.
    let routes = vec![
        route(1, vec![one("v=b", 24), one("v=c", 9), one("v=a", 11)]),
        route(2, vec![backend("v=a", 1.0, outcomes(7000, 0, 0))]),
    ];
    model.take(&reading(2, routes), SPAN);
    let rates: Vec<_> = model.rows()[0].backends.iter().map(|backend| backend.rate).collect();
    assert_eq!(rates, [Some(4.0), None, Some(1.0)]);
    assert_eq!(model.rows()[0].backends[0].observed, None, "of the new one it is not known how many");
    assert_eq!(model.rows()[1].rate, None, "nobody knows when its 7000 were");
    model.take(&reading(3, vec![]), SPAN);
    assert!(model.rows().is_empty());
    model.take(&reading(4, vec![route(1, vec![one("v=b", 30)])]), SPAN);
    assert_eq!(model.rows()[0].rate, None, "it was gone");
}

#[test]
fn what_is_not_counted_has_no_rate_and_what_is_taken_out_is_told() {
    let mut model = Model::default();
    let mut first = split(1, outcomes(1, 0, 0), None);
    let dialled = SocketAddr::from(([127, 0, 0, 1], 80));
    let endpoint = SocketAddr::from(([127, 0, 1, 1], 8080));
    let until = jiff::Timestamp::UNIX_EPOCH;
    let out = |dataplane: &str| {
        let (dataplane, backend) = (dataplane.to_owned(), "v=b".to_owned());
        Ejected { dataplane, dialled, backend, endpoint, until }
    };
    first.ejected = vec![out("web"), out("other")];
    model.take(&first, SPAN);
    model.take(&Reading { at: Duration::from_secs(2), ..first }, SPAN);
    let backends = &model.rows()[0].backends;
    assert_eq!((backends[0].rate, backends[1].rate, backends[0].observed), (Some(0.0), None, None));
    assert_eq!(backends[0].out, []);
    assert_eq!(backends[1].out, [Out { endpoint, until }]);
}

#[test]
fn rows_are_sorted_filtered_and_the_selected_one_stays_selected() {
    let mut model = Model::default();
    let routes = |counts: [(u64, u64); 3]| {
        let one = |(last, (up, down))| route(last, vec![backend("v=a", 1.0, outcomes(up, down, 0))]);
        (1..).zip(counts).map(one).collect::<Vec<_>>()
    };
    model.take(&reading(1, routes([(0, 0); 3])), SPAN);
    model.take(&reading(2, routes([(5, 0), (1, 1), (9, 0)])), SPAN);
    let mut view = View::default();
    let shown = |view: &View, model: &Model| -> Vec<u8> {
        let rows = (0..view.len()).filter_map(|place| view.row(place, model.rows()));
        rows.map(|row| row.service.bytes().last().unwrap() - b'0').collect()
    };
    view.arrange(model.rows());
    assert_eq!(shown(&view, &model), [3, 1, 2]);
    view.move_by(1, model.rows());
    view.order.reversed = true;
    view.arrange(model.rows());
    assert_eq!((shown(&view, &model), view.at()), (vec![2, 1, 3], 1));
    view.order = Order { column: Column::Failing, reversed: false };
    view.arrange(model.rows());
    assert_eq!((shown(&view, &model), view.at()), (vec![2, 1, 3], 1));
    view.only_failing = true;
    view.arrange(model.rows());
    assert_eq!((shown(&view, &model), view.at()), (vec![2], 0), "what is gone leaves its place");
    view.only_failing = false;
    "WEB service-3".chars().for_each(|letter| view.filter.push(letter));
    view.arrange(model.rows());
    assert_eq!(shown(&view, &model), [3]);
    view.filter.push('x');
    view.arrange(model.rows());
    assert!(view.selected(model.rows()).is_none());
    view.filter = Filter::default();
    view.move_by(-1, model.rows());
    view.arrange(model.rows());
    assert_eq!(view.selected(model.rows()).map(|row| row.service.as_str()), Some("service-3"));
    view.move_by(isize::MAX, model.rows());
    assert_eq!(view.at(), 2);
    view.move_by(isize::MIN, model.rows());
    assert_eq!(view.at(), 0);
}

#[test]
fn a_step_looks_at_each_backend_ref_once() {
    let many = |count: u32, seconds| {
        let one = |number: u32| {
            let backends = vec![backend("v=a", 0.5, outcomes(9, 0, 0)), backend("v=b", 0.5, None)];
            RouteOutcomes { address: Ipv4Addr::from(number).into(), ..route(1, backends) }
        };
        reading(seconds, (0..count).map(one).collect())
    };
    let steps = |count: u32| {
        let mut model = Model::default();
        model.take(&many(count, 1), SPAN);
        let before = TAKEN.get();
        model.take(&many(count, 2), SPAN);
        assert_eq!(model.rows().len(), count as usize);
        TAKEN.get() - before
    };
    assert_eq!((steps(2500), steps(5000)), (2500, 5000));
}

/// What happens to a backendRef from one reading to the next.
#[derive(Debug, Clone, Copy)]
enum Change {
    More(u64, u64, u64),
    Anew(u64),
    Gone,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => (0..50u64, 0..5u64, 0..5u64).prop_map(|(up, down, none)| Change::More(up, down, none)),
        1 => (0..50u64).prop_map(Change::Anew),
        1 => Just(Change::Gone),
    ]
}

proptest! {
    /// All that is counted of what goes on is in the rates, and nothing else is.
    #[test]
    fn sums_of_rates_are_what_was_counted(
        steps in prop::collection::vec((1..9u64, prop::collection::vec(change(), 6)), 1..12)
    ) {
        let mut counts: Vec<Option<[u64; 3]>> = vec![Some([0; 3]); 6];
        let (mut model, mut now) = (Model::default(), 0);
        let read = |counts: &[Option<[u64; 3]>], now| {
            let backend = |(index, count): (usize, &Option<[u64; 3]>)| {
                let [up, down, none] = (*count)?;
                Some(backend(&index.to_string(), 0.5, outcomes(up, down, none)))
            };
            let routes = counts.chunks(2).zip(1..).map(|(pair, last)| {
                route(last, pair.iter().enumerate().filter_map(backend).collect())
            });
            reading(now, routes.collect())
        };
        model.take(&read(&counts, now), SPAN);
        for (seconds, changes) in steps {
            now += seconds;
            let (mut all, mut failed) = (0, 0);
            for (count, change) in counts.iter_mut().zip(changes) {
                *count = match (*count, change) {
                    (_, Change::Gone) => None,
                    (None, Change::More(up, ..) | Change::Anew(up)) => Some([up, 0, 0]),
                    (Some([up, down, none]), Change::More(more, fails, without)) => {
                        all += more + fails + without;
                        failed += fails + without;
                        Some([up + more, down + fails, none + without])
                    }
                    // With fewer than before, or else it could not be told from going on.
                    (Some([up, ..]), Change::Anew(new)) => (new < up).then_some([new, 0, 0]),
                };
            }
            model.take(&read(&counts, now), SPAN);
            let of = |rate: Option<f64>| rate.unwrap_or(0.0);
            let sum = |of: fn(&Row) -> Option<f64>| model.rows().iter().filter_map(of).sum::<f64>();
            #[expect(clippy::cast_precision_loss, reason = "they are few")]
            let (seconds, all, failed) = (seconds as f64, all as f64, failed as f64);
            let totals = model.totals();
            prop_assert!(is_near(of(totals.rate), sum(|row| row.rate)));
            prop_assert!(is_near(of(totals.failing), sum(|row| row.failing)));
            prop_assert!(is_near(of(totals.rate) * seconds, all));
            prop_assert!(is_near(of(totals.failing) * seconds, failed));
            prop_assert!(of(totals.failing).is_sign_positive() && of(totals.refused).is_sign_positive());
            for row in model.rows() {
                let rates = row.backends.iter().filter_map(|backend| backend.rate);
                prop_assert!(rates.clone().all(|rate| rate >= 0.0));
                prop_assert!(is_near(of(row.rate), rates.sum()));
                let shares: Vec<f64> = row.backends.iter().filter_map(|it| it.observed).collect();
                prop_assert!(shares.is_empty() || is_near(shares.iter().sum(), 1.0));
            }
        }
    }
}
