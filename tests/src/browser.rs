//! Debian's Chromium without a screen, told what to do by the DevTools protocol over two pipes.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{patience, process::Process, wait_for};

/// Whether there is one; if not, says why the test is skipped.
pub fn is_there(test: &str) -> bool {
    let there = program().is_some();
    if !there {
        println!("SKIPPED {test}: no chromium (Debian: apt-get install chromium)");
    }
    there
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join("chromium")).find(|program| program.exists())
}

/// With one page. It is ended when this is dropped.
pub struct Browser {
    input: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    last: u64,
    /// What it has told unasked.
    events: Vec<Value>,
    _process: Process,
    _home: tempfile::TempDir,
}

impl Browser {
    /// Starts it with a window of this size.
    pub fn start(width: u32, height: u32) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        // Its pipes are the descriptors 3 and 4.
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"]);
        shell.arg(program().expect("Chromium is there"));
        shell.args(["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"]);
        shell.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        shell.args(["--disable-quic", "--no-first-run", "--hide-scrollbars", "--disable-dev-shm-usage"]);
        shell.args(["--disable-extensions", "--force-device-scale-factor=1"]);
        shell.arg(format!("--window-size={width},{height}"));
        shell.arg(format!("--user-data-dir={}", home.path().display())).env("HOME", home.path());
        // It leaves files there when it is killed.
        shell.env("TMPDIR", home.path());
        let mut child =
            shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Chromium can be started");
        let input = child.stdin.take().expect("it is piped");
        let output = child.stdout.take().expect("it is piped");
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            input,
            messages,
            session: String::new(),
            last: 0,
            events: Vec::new(),
            _process: Process(child),
            _home: home,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let to = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", &to);
        attached["sessionId"].as_str().expect("a session has a name").clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.resize(width, height);
        browser
    }

    /// Asks it, and waits for its answer.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let mut request = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        self.input.write_all(format!("{request}\0").as_bytes()).expect("Chromium runs");
        let deadline = Instant::now() + patience();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut message =
                self.messages.recv_timeout(left).unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] != self.last {
                self.events.push(message);
                continue;
            }
            assert_eq!(message["error"], Value::Null, "{method} {parameters}");
            return message["result"].take();
        }
    }

    /// How large the page is drawn.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Whether its reader prefers `dark` or `light`.
    pub fn prefer(&mut self, scheme: &str) {
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", &feature);
    }

    /// Goes to a page.
    pub fn open(&mut self, url: &str) {
        let gone = self.call("Page.navigate", &json!({ "url": url }));
        assert_eq!(gone["errorText"], Value::Null, "{url}");
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let what = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.call("Runtime.evaluate", &what);
        assert_eq!(result["exceptionDetails"], Value::Null, "{expression}");
        result["result"]["value"].take()
    }

    /// As [`Self::value`], of a text.
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression}: {value}")).to_owned()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        wait_for(expression, || self.value(expression) == true);
    }

    /// Presses and releases a key, such as `Tab`.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            _ => panic!("{key:?} has no code here"),
        };
        let press = |kind: &str| json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
        self.call("Input.dispatchKeyEvent", &press("keyDown"));
        self.call("Input.dispatchKeyEvent", &press("keyUp"));
    }

    /// Types a text where the focus is.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// A picture of what is seen, as PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        self.captured(&json!({ "format": "png" }))
    }

    /// A picture of the first element that a selector finds.
    pub fn picture_of(&mut self, selector: &str) -> Vec<u8> {
        let mut clip =
            self.value(&format!("document.querySelector({selector:?}).getBoundingClientRect().toJSON()"));
        clip["scale"] = json!(1);
        self.captured(&json!({ "format": "png", "clip": clip, "captureBeyondViewport": true }))
    }

    fn captured(&mut self, how: &Value) -> Vec<u8> {
        let picture = self.call("Page.captureScreenshot", how);
        let data = picture["data"].as_str().expect("a picture has data");
        BASE64_STANDARD.decode(data).expect("a picture is in base64")
    }

    /// What it has told so far of that kind, such as `Network.requestWillBeSent`.
    pub fn events(&mut self, kind: &str) -> Vec<Value> {
        // What was told until now is before the answer.
        self.value("0");
        while let Ok(event) = self.messages.recv_timeout(Duration::ZERO) {
            self.events.push(event);
        }
        self.events.iter().filter(|event| event["method"] == kind).map(|it| it["params"].clone()).collect()
    }
}
