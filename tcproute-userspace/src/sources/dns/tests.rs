use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
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
    let mut wanted: BTreeSet<String> = (1..AT_A_TIME).map(|i| format!("silent-{i}")).collect();
    let answer = |name: &str| if name.starts_with("silent") { silent() } else { Ok(vec![ip(1)]) };
    let dns = Dns::with(wanted.clone(), LATE, None, answer);
    assert_eq!(dns.answers().borrow().pending, AT_A_TIME - 1);
    wanted.insert("db".to_owned());
    dns.names().send_replace(Arc::new(wanted));
    let answers = wait_for(&dns, |answers| answers.contains_key("db")).await;
    assert_eq!(*answers, [("db".to_owned(), vec![ip(1)])].into());
    assert_eq!(*dns.first(SOON).await, *answers, "the first answers are not waited for without an end");
}

#[tokio::test]
async fn never_more_at_a_time_than_there_are_slots() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let count = |_: &str| {
        MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(1));
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        Ok(vec![ip(1)])
    };
    let dns = Dns::with((0..1000).map(|i| i.to_string()).collect(), LATE, None, count);
    assert_eq!(dns.first(Duration::from_mins(1)).await.len(), 1000);
    let most = MOST.load(Ordering::SeqCst);
    assert!(most > 1 && most <= AT_A_TIME, "{most} at a time");
}

#[tokio::test]
async fn an_answer_that_changes_is_told_and_one_that_fails_leaves_the_last() {
    let zone = Zone::default();
    zone.set("db", &[ip(2), ip(1), ip(2)]);
    let dns = Dns::with(names(&["db"]), SOON, None, zone.resolver());
    assert_eq!(dns.first(LATE).await["db"], [ip(1), ip(2)], "sorted, each once");
    zone.remove("db");
    zone.set("other", &[ip(9)]);
    // When this one was answered, the first had been asked for again.
    dns.names().send_replace(Arc::new(names(&["db", "other"])));
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
    assert_eq!(dns.first(LATE).await.len(), 2);
    dns.names().send_replace(Arc::new(names(&["b"])));
    wait_for(&dns, |answers| answers.len() == 1).await;
    zone.set("a", &[ip(3)]);
    dns.names().send_replace(Arc::new(names(&["a", "b"])));
    let answers = wait_for(&dns, |answers| answers.contains_key("a")).await;
    assert_eq!(answers["a"], [ip(3)], "looked up at once, since it is new");
}

#[tokio::test]
async fn nothing_is_pending_when_each_was_asked_for() {
    let dns = Dns::with(names(&["nowhere"]), LATE, None, Zone::default().resolver());
    assert_eq!(*dns.first(LATE).await, DnsAnswers::new());
    assert_eq!(dns.answers().borrow().pending, 0);
    assert_eq!(
        *Dns::with(names(&[]), LATE, None, Zone::default().resolver()).first(LATE).await,
        DnsAnswers::new()
    );
}

#[test]
fn a_name_that_fails_is_tried_again_soon_and_by_itself() {
    let start = Instant::now();
    let mut schedule = Schedule::new(LATE, DnsAnswers::new());
    schedule.want(&names(&["a", "b"]), start);
    assert_eq!(schedule.due(start), [("a".to_owned(), false), ("b".to_owned(), false)]);
    assert_eq!(schedule.next_due(), None, "while it is not known how it went");
    schedule.take("a", Err(io::Error::other("silent")), start);
    schedule.take("b", Ok(vec![ip(1)]), start);
    let again = start + Duration::from_secs(5);
    assert_eq!(schedule.next_due(), Some(again));
    assert_eq!(schedule.due(again), [("a".to_owned(), true)]);
    schedule.take("a", Ok(vec![ip(2)]), again);
    assert_eq!(schedule.next_due(), Some(start + LATE));
    assert!(schedule.has_news());
    assert_eq!(schedule.answers().addresses.len(), 2);
    assert!(!schedule.has_news());
}
