//! In headless Chromium: what a reader sees, by eye, by keyboard and by ear.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use serde_json::Value;
use tcproute_tests::{
    Loopback,
    browser::{Browser, is_there},
    cgroup::TestCgroup,
    client::{ask, knock, script},
    is_root,
    mesh::Mesh,
    process::Process,
    replace,
    server::Server,
    tcproute::{Daemon, binary},
};

use super::fixture::Setup;

/// A name that is markup, turns the direction of writing, and does not end.
const HOSTILE: &str = "<img src=x onerror=hacked=1><script>hacked=1</script>\u{202e}gnp.exe";

fn can_run(test: &str) -> bool {
    is_root(test) && is_there(test)
}

fn open(browser: &mut Browser, admin: SocketAddr, query: &str) {
    browser.open(&format!("http://{admin}/{query}"));
    browser.wait("document.getElementById('live')?.textContent === '● live'");
}

/// Nothing was asked elsewhere, nothing was forbidden, and nothing has failed.
fn assert_well_behaved(browser: &mut Browser, admin: SocketAddr) {
    let requests = browser.events("Network.requestWillBeSent");
    assert!(requests.len() > 1);
    let ours = format!("http://{admin}/");
    for request in requests {
        let url = request["request"]["url"].as_str().unwrap();
        assert!(url.starts_with(&ours) || url.starts_with("data:image/svg+xml"), "{url}");
    }
    for kind in ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"] {
        assert_eq!(browser.events(kind), [Value::Null; 0], "{kind}");
    }
}

/// The texts of all nodes that a selector finds.
fn texts(browser: &mut Browser, selector: &str) -> Vec<String> {
    let all =
        browser.value(&format!("[...document.querySelectorAll({selector:?})].map((it) => it.textContent)"));
    serde_json::from_value(all).unwrap()
}

#[test]
fn a_browser_shows_the_split_that_is_served_and_names_as_text() {
    if !can_run("a_browser_shows_the_split_that_is_served_and_names_as_text") {
        return;
    }
    let long = "y".repeat(5000);
    let evil = format!("{HOSTILE}{long}");
    let mut setup = Setup::new(&[("a", 3), (&evil, 1)]);
    let quoted = serde_json::to_string(HOSTILE).unwrap();
    setup.mesh.document(&format!("type: MeshTCPRoute\nname: wrong\n{quoted}: 1\n"));
    let daemon = setup.daemon(&[]);
    let mut browser = Browser::start(1280, 800);
    open(&mut browser, setup.admin, "");
    knock(&setup.cgroup, setup.dialled, 200);
    let served = |daemon: &Daemon| daemon.json("/v1/outcomes")[0]["routes"][0]["split"]["observed"].clone();
    let observed: Vec<String> = served(&daemon)
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{:.1} %", it.as_f64().unwrap() * 100.0))
        .collect();
    let cells =
        "[...document.querySelectorAll('td[data-label=observed]')].map((it) => it.textContent).join('; ')";
    browser.wait(&format!("{cells} === {:?}", observed.join("; ")));
    assert_eq!(texts(&mut browser, "td[data-label=configured]"), ["75.0 %", "25.0 %"]);
    let widths = browser.value(
        "[...document.querySelectorAll('td.split .observed')].map((it) => it.width.baseVal.value / 150)",
    );
    for (width, share) in widths.as_array().unwrap().iter().zip(served(&daemon).as_array().unwrap()) {
        assert!((width.as_f64().unwrap() - share.as_f64().unwrap()).abs() < 0.01, "{widths}");
    }
    browser.call(
        "Runtime.evaluate",
        &serde_json::json!({ "expression": "document.querySelector('.open').click()" }),
    );
    let shown = browser.text("document.body.textContent");
    assert!(
        shown.contains("<img src=x onerror=hacked=1><script>hacked=1</script>\\u{202e}gnp.exe"),
        "{shown}"
    );
    assert!(!shown.contains('\u{202e}') && !shown.contains(&long));
    assert_eq!(browser.value("document.querySelectorAll('img, main script, iframe').length"), 0);
    assert_eq!(browser.value("typeof hacked"), "undefined");
    // However long names are, the page is no wider than the window.
    assert_eq!(browser.value("document.documentElement.scrollWidth <= 1280"), true);
    assert!(texts(&mut browser, ".problems .kind").contains(&"refused".to_owned()), "{shown}");
    assert_well_behaved(&mut browser, setup.admin);
    // Markup would not even be let in by the page's own script.
    let markup =
        "(() => { try { document.body.innerHTML = '<b>'; return 'let in' } catch (e) { return e.name } })()";
    assert_eq!(browser.text(markup), "TypeError");
}

#[test]
fn the_page_can_be_used_by_keyboard_and_says_what_changes() {
    if !can_run("the_page_can_be_used_by_keyboard_and_says_what_changes") {
        return;
    }
    let mut setup = Setup::new(&[("a", 3), ("b", 1)]);
    setup.more(60);
    let _daemon = setup.daemon(&[]);
    let mut browser = Browser::start(1280, 800);
    open(&mut browser, setup.admin, "");
    let mut order = Vec::new();
    for _ in 0..7 {
        browser.press("Tab");
        order.push(browser.text("document.activeElement.id || document.activeElement.className"));
    }
    // The button to the page before the first is disabled.
    assert_eq!(order, ["skip", "problem-list", "filter", "show", "sort", "next", "open"]);
    let outline = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.text(outline), "solid", "the focus is seen");
    let focused = "document.activeElement.getAttribute('aria-label')";
    assert_eq!(browser.text(focused), "Show the flow and details of web to db");
    browser.press("Enter");
    browser.wait("document.activeElement.getAttribute('aria-expanded') === 'true'");
    let label = browser.text("document.querySelector('.flow svg').getAttribute('aria-label')");
    assert!(label.starts_with("web dials db at") && label.contains("75.0 % to db v=a"), "{label}");

    // It stays where it is while the page is drawn anew, and what has changed is said.
    let before = browser.text("document.querySelector('.facts').textContent");
    ask(&setup.cgroup, setup.dialled, 50);
    browser.wait(&format!("document.querySelector('.facts').textContent !== {before:?}"));
    assert_eq!(browser.text(focused), "Hide the flow and details of web to db");
    let told = "document.getElementById('told').textContent";
    let changed = setup.mesh.text().replace("weight: 3", "weight: 1");
    replace(&setup.mesh.file_path(), &changed);
    browser.wait(&format!("{told}.includes('web to db: 50.0 % to db v=a, 50.0 % to db v=b')"));
    assert_eq!(browser.text(focused), "Hide the flow and details of web to db");
    for (expression, value) in [
        ("document.getElementById('told').getAttribute('aria-live')", "polite"),
        ("document.documentElement.lang", "en"),
        ("document.querySelector('tbody th').scope", "rowgroup"),
        ("document.querySelector('thead th').scope", "col"),
    ] {
        assert_eq!(browser.text(expression), value, "{expression}");
    }
    assert!(!browser.text("document.querySelector('caption').textContent").is_empty());

    // By keys to the next page and back to one route.
    browser.value("document.getElementById('next').focus()");
    browser.press("Enter");
    browser.wait(&format!("{told} === '61 routes, page 2 of 2'"));
    assert_eq!(browser.text("document.activeElement.id"), "routes", "there is no page beyond");
    browser.value("document.getElementById('filter').focus()");
    browser.write("svc-0042");
    browser.wait(&format!("{told} === '1 route, page 1 of 1'"));
    assert_eq!(browser.text("location.search"), "?filter=svc-0042");
    // Each control has a name, as those hear it who do not see it.
    browser.call("Accessibility.enable", &serde_json::json!({}));
    let tree = browser.call("Accessibility.getFullAXTree", &serde_json::json!({}));
    let mut controls = 0;
    for node in tree["nodes"].as_array().unwrap() {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        if ["button", "searchbox", "combobox", "link", "image", "table"].contains(&role) {
            assert!(!node["name"]["value"].as_str().unwrap_or_default().is_empty(), "{node}");
            controls += 1;
        }
    }
    assert!(controls >= 7, "{controls}");
    assert_well_behaved(&mut browser, setup.admin);
}

#[test]
fn five_thousand_routes_are_drawn_page_by_page() {
    if !can_run("five_thousand_routes_are_drawn_page_by_page") {
        return;
    }
    let mut setup = Setup::new(&[("a", 1)]);
    setup.more(4999);
    let _daemon = setup.daemon(&["--max-routes-per-workload", "6000"]);
    let mut browser = Browser::start(1280, 800);
    open(&mut browser, setup.admin, "");
    let count = "document.querySelectorAll('tbody').length";
    assert_eq!(browser.value(count), 50);
    assert_eq!(browser.text("document.getElementById('where').textContent"), "1–50 of 5,000, page 1 of 100");
    browser.value("document.getElementById('next').click()");
    browser.wait("document.getElementById('where').textContent.startsWith('51–100 ')");
    assert_eq!(browser.value(count), 50);
    open(&mut browser, setup.admin, "?page=100&sort=client");
    assert_eq!(
        browser.text("document.getElementById('where').textContent"),
        "4,951–5,000 of 5,000, page 100 of 100"
    );
    let drawn = browser
        .value("(() => { const begin = performance.now(); show(view); return performance.now() - begin })()");
    let size = browser.value("document.querySelectorAll('*').length");
    println!("drawn again in {drawn} ms, {size} elements");
    assert_well_behaved(&mut browser, setup.admin);
}

/// What somebody who keeps a shop might see.
struct Shop {
    admin: SocketAddr,
    _servers: Vec<Server>,
    cgroups: [TestCgroup; 2],
    dialled: Vec<SocketAddr>,
    _mesh: Mesh,
    _daemon: Daemon,
}

/// `(version, weight, endpoints)`.
type Versions = &'static [(&'static str, u32, u8)];

impl Shop {
    fn open() -> Self {
        let net = Loopback::claim();
        let (mut mesh, mut servers) = (Mesh::new(), Vec::new());
        let shapes: [(&str, Versions); 5] = [
            ("catalogue", &[("blue", 50, 3), ("green", 50, 2)]),
            ("checkout", &[("1", 90, 3), ("2", 10, 1)]),
            ("payments", &[("1", 4, 2), ("2", 1, 0)]),
            ("postgres", &[("primary", 1, 1)]),
            ("search", &[("1", 70, 2), ("2", 20, 2), ("3", 10, 1)]),
        ];
        let mut dialled = Vec::new();
        for (place, (service, versions)) in (1..).zip(shapes) {
            let weights: Vec<(&str, u32)> =
                versions.iter().map(|(name, weight, _)| (*name, *weight)).collect();
            mesh.split(service, &weights);
            for (version, _, count) in versions {
                for _ in 0..*count {
                    let last = u8::try_from(servers.len()).unwrap() + 1;
                    servers.push(Server::start((net.ip(place, last), 8080), version));
                    mesh.endpoint(service, version, servers.last().unwrap().address());
                }
            }
            let address = (net.ip(0, place), 5432).into();
            mesh.outbound(service, address);
            dialled.push(address);
        }
        mesh.dataplane("worker", "worker", "postgres", dialled[3]);
        mesh.document("type: MeshTCPRoute\nname: reviews\nspec:\n  to: [{targetRef: {kind: MeshService, name: reviews}, rule: []}]\n");
        let cgroups = [TestCgroup::create(), TestCgroup::create()];
        let admin = SocketAddr::from((net.ip(9, 1), 9901));
        let arguments = ["--admin-listen".to_owned(), admin.to_string()];
        let workloads = [("web", cgroups[0].path()), ("worker", cgroups[1].path())];
        // So that the pictures name no directory of a test.
        let (file, mut command) = (mesh.file(), Command::new(binary().canonicalize().unwrap()));
        command.current_dir(file.parent().unwrap());
        let file = Path::new(file.file_name().unwrap());
        let daemon = Daemon::start_with(&mut command, file, &workloads, &arguments);
        Self { admin, _servers: servers, cgroups, dialled, _mesh: mesh, _daemon: daemon }
    }

    /// Somebody who dials all of it all the time, more of the first than of the last.
    fn customers(&self) -> Process {
        let all: Vec<String> =
            self.dialled.iter().map(|it| format!("('{}', {})", it.ip(), it.port())).collect();
        let body = format!(
            "
import random
while True:
    to = random.choices([{}], [9, 6, 4, 2, 8])[0]
    s = socket.socket()
    s.connect_ex(to)
    s.close()
    time.sleep(0.004)
",
            all.join(", ")
        );
        let mut client = self.cgroups[0].command("python3");
        Process(client.args(["-SEc", &script(&body)]).spawn().unwrap())
    }
}

#[test]
fn it_is_drawn_in_the_colours_that_its_reader_prefers() {
    if !can_run("it_is_drawn_in_the_colours_that_its_reader_prefers") {
        return;
    }
    let shop = Shop::open();
    for (at, dialled) in shop.dialled.iter().enumerate() {
        knock(&shop.cgroups[0], *dialled, 1500 - 200 * at as u64);
    }
    let _customers = shop.customers();
    let mut browser = Browser::start(1280, 960);
    open(&mut browser, shop.admin, "");
    // There are rates from the second reading on.
    browser.wait("!document.querySelectorAll('.totals dd')[3].textContent.startsWith('–')");
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        grounds.push(browser.text("getComputedStyle(document.body).backgroundColor"));
        keep(&browser.picture(), scheme);
    }
    assert_eq!(grounds, ["rgb(251, 251, 250)", "rgb(20, 23, 26)"]);
    browser.prefer("light");
    open(&mut browser, shop.admin, "?filter=payments");
    browser.value("document.querySelector('[data-open]').click()");
    browser.wait("document.querySelector('.flow .refused') !== null");
    keep(&browser.picture_of("#table"), "flow");
    // In a narrow window nothing is cut off.
    browser.resize(390, 844);
    browser.wait("document.documentElement.clientWidth === 390");
    let wide = "[...document.querySelectorAll('main *')].filter((it) => !it.closest('.flow') && \
                it.getBoundingClientRect().right > 391).map((it) => it.outerHTML.slice(0, 80)).join('\\n')";
    assert_eq!(browser.text(wide), "");
    assert_well_behaved(&mut browser, shop.admin);
}

/// Where `TCPROUTE_WRITE_PICTURES` names a directory, the pictures of the guide are made anew in it.
fn keep(picture: &[u8], name: &str) {
    assert!(picture.starts_with(b"\x89PNG"), "{name}");
    println!("{name}: {} bytes", picture.len());
    if let Some(directory) = std::env::var_os("TCPROUTE_WRITE_PICTURES") {
        fs::write(Path::new(&directory).join(format!("page-{name}.png")), picture).unwrap();
    }
}
