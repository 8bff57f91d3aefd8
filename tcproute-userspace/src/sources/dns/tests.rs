use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;

/// Names of one Dataplane.
fn names(names: &[&str]) -> Names {
    of_one(names.iter().map(|name| (*name).to_owned()).collect())
}

fn of_one(names: BTreeSet<String>) -> Names {
    Arc::new([("web".into(), names)].into())
}

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// A name whose server is silent is never answered.
fn silent() -> Found {
    loop {
        thread::park();
    }
}

async fn wait_for(dns: &Dns, what: impl Fn(&DnsAnswers) -> bool) -> Arc<DnsAnswers> {
    let mut answers = dns.answers();
    let waited = timeout(Duration::from_secs(20), answers.wait_for(|answers| what(&answers.addresses))).await;
    Arc::clone(&waited.expect("it comes in time").expect("it is still looked up").addresses)
}

/// A resolver whose answers can be changed.
#[derive(Clone, Default)]
struct Zone(Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>);

impl Zone {
    fn set(&self, name: &str, addresses: &[IpAddr]) {
        self.0.lock().unwrap().insert(name.to_owned(), addresses.to_vec());
    }

    fn remove(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    fn resolver(&self) -> impl Resolver + use<> {
        let zone = self.clone();
        move |name: &str| {
            let known = zone.0.lock().unwrap().get(name).cloned();
            known.ok_or_else(|| io::Error::other("no such name"))
        }
    }
}

const SOON: Duration = Duration::from_millis(10);
const LATE: Duration = Duration::from_hours(1);

#[tokio::test]
async fn silent_names_keep_nobody_waiting() {
    let mut wanted: BTreeSet<String> = (1..AT_A_TIME.each).map(|i| format!("silent-{i}")).collect();
    let answer = |name: &str| if name.starts_with("silent") { silent() } else { Ok(vec![ip(1)]) };
    let dns = Dns::with(of_one(wanted.clone()), LATE, None, answer);
    assert_eq!(dns.answers().borrow().pending, AT_A_TIME.each - 1);
    wanted.insert("db".to_owned());
    dns.names().send_replace(of_one(wanted));
    let answers = wait_for(&dns, |answers| answers.contains_key("db")).await;
    assert_eq!(*answers, [("db".to_owned(), vec![ip(1)])].into());
    assert_eq!(
        *dns.first(SOON).await.addresses,
        *answers,
        "the first answers are not waited for without an end"
    );
}

#[tokio::test]
async fn never_more_at_a_time_than_may_be() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let count = |_: &str| {
        MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(1));
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        Ok(vec![ip(1)])
    };
    let names = (0..10).map(|owner| {
        (Owner::from(owner.to_string()), (0..100).map(|name| format!("{owner}-{name}")).collect())
    });
    let dns = Dns::with(Arc::new(names.collect()), LATE, None, count);
    assert_eq!(dns.first(Duration::from_mins(1)).await.addresses.len(), 1000);
    let most = MOST.load(Ordering::SeqCst);
    assert!(most > 1 && most <= AT_A_TIME.all, "{most} at a time");
}

#[tokio::test]
async fn an_answer_that_changes_is_told_and_one_that_fails_leaves_the_last() {
    let zone = Zone::default();
    zone.set("db", &[ip(2), ip(1), ip(2)]);
    let dns = Dns::with(names(&["db"]), SOON, None, zone.resolver());
    assert_eq!(dns.first(LATE).await.addresses["db"], [ip(1), ip(2)], "sorted, each once");
    zone.remove("db");
    zone.set("other", &[ip(9)]);
    // When this one was answered, the first had been asked for again.
    dns.names().send_replace(names(&["db", "other"]));
    let answers = wait_for(&dns, |answers| answers.contains_key("other")).await;
    assert_eq!(answers["db"], [ip(1), ip(2)]);
    zone.set("db", &[ip(3)]);
    wait_for(&dns, |answers| answers["db"] == [ip(3)]).await;
}

#[tokio::test]
async fn what_is_not_wanted_any_more_is_forgotten() {
    let zone = Zone::default();
    zone.set("a", &[ip(1)]);
    zone.set("b", &[ip(2)]);
    let dns = Dns::with(names(&["a", "b"]), LATE, None, zone.resolver());
    assert_eq!(dns.first(LATE).await.addresses.len(), 2);
    dns.names().send_replace(names(&["b"]));
    wait_for(&dns, |answers| answers.len() == 1).await;
    zone.set("a", &[ip(3)]);
    dns.names().send_replace(names(&["a", "b"]));
    let answers = wait_for(&dns, |answers| answers.contains_key("a")).await;
    assert_eq!(answers["a"], [ip(3)], "looked up at once, since it is new");
}

#[tokio::test]
async fn nothing_is_pending_when_each_was_asked_for() {
    let dns = Dns::with(names(&["nowhere"]), LATE, None, Zone::default().resolver());
    assert_eq!(*dns.first(LATE).await.addresses, DnsAnswers::new());
    assert_eq!(dns.answers().borrow().pending, 0);
    assert_eq!(
        *Dns::with(names(&[]), LATE, None, Zone::default().resolver()).first(LATE).await.addresses,
        DnsAnswers::new()
    );
}

#[test]
fn a_name_that_fails_is_tried_again_soon_and_by_itself() {
    let start = Instant::now();
    let mut schedule = Schedule::new(LATE, DnsAnswers::new());
    schedule.want(&names(&["a", "b"]), start);
    assert_eq!(
        schedule.due(start),
        [("web".into(), "a".to_owned(), false), ("web".into(), "b".to_owned(), false)]
    );
    assert_eq!(schedule.next_due(), None, "while it is not known how it went");
    schedule.take("a", Err(io::Error::other("silent")), start);
    schedule.take("b", Ok(vec![ip(1)]), start);
    let again = start + Duration::from_secs(5);
    assert_eq!(schedule.next_due(), Some(again));
    assert_eq!(schedule.due(again), [("web".into(), "a".to_owned(), true)]);
    schedule.take("a", Ok(vec![ip(2)]), again);
    assert_eq!(schedule.next_due(), Some(start + LATE));
    assert!(schedule.has_news());
    assert_eq!(schedule.answers().addresses.len(), 2);
    assert!(!schedule.has_news());
}

#[tokio::test]
async fn who_has_very_many_silent_names_keeps_nobody_waiting() {
    let silent: BTreeSet<String> = (0..5_000).map(|i| format!("silent-{i}")).collect();
    let answer = |name: &str| if name.starts_with("silent") { self::silent() } else { Ok(vec![ip(1)]) };
    let mut wanted: BTreeMap<Owner, BTreeSet<String>> = [("many".into(), silent)].into();
    let dns = Dns::with(Arc::new(wanted.clone()), LATE, None, answer);
    let Shares { names, largest, left_out } = dns.answers().borrow().shares.clone();
    assert_eq!((names, largest, left_out), (SHARE, SHARE, [("many".into(), 5_000 - SHARE)].into()));
    wanted.insert("one".into(), ["db".to_owned()].into());
    dns.names().send_replace(Arc::new(wanted));
    assert_eq!(wait_for(&dns, |answers| !answers.is_empty()).await["db"], [ip(1)]);
}

#[test]
fn a_name_that_waits_for_one_is_looked_up_for_whoever_is_first() {
    let start = Instant::now();
    let mut schedule = Schedule::new(LATE, DnsAnswers::new());
    let wanted =
        |owners: &[&str]| owners.iter().map(|owner| (Owner::from(*owner), ["a".to_owned()].into())).collect();
    schedule.want(&wanted(&["x"]), start);
    assert_eq!(schedule.due(start), [("x".into(), "a".to_owned(), false)]);
    schedule.want(&wanted(&["x", "y"]), start);
    assert_eq!(schedule.due(start).len(), 2, "also for the other");
    assert!(schedule.is_waiting("a"));
    schedule.begin("a");
    assert!(!schedule.is_waiting("a"));
    schedule.want(&wanted(&["y"]), start);
    assert_eq!(schedule.due(start), []);
}

#[tokio::test]
async fn an_answer_has_no_more_addresses_than_count() {
    let many = (0..1_000u32).map(|i| IpAddr::from(i.to_be_bytes())).collect::<Vec<_>>();
    let dns = Dns::with(names(&["db"]), LATE, None, move |_: &str| Ok(many.clone()));
    assert_eq!(dns.first(LATE).await.addresses["db"].len(), ADDRESSES_OF_A_NAME);
}
