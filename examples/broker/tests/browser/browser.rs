//! A browser without a window, driven over WebDriver.

use base64::prelude::{BASE64_STANDARD, Engine};
use broker::client::Client;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A busy machine may take long; but what never comes is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Under `target`, for people to look at.
const SCREENSHOTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots");

/// The name of the one field with which the protocol refers to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session of the driver: the calls are those of the W3C's WebDriver.
pub struct Browser {
    client: Client,
    session: String,
    _driver: Driver,
}

/// The process of the driver, which ends with the test.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Browser {
    /// Starts a browser, and opens a page.
    pub async fn open(page: &str) -> Self {
        let (driver, port) = start_driver();
        let client = Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let session = String::from("/session");
        let mut browser = Self {
            client,
            session,
            _driver: driver,
        };
        let made = browser.ask("", capabilities()).await;
        let id = made["sessionId"]
            .as_str()
            .expect("the driver starts a browser");
        browser.session = format!("/session/{id}");
        browser.ask("/url", json!({ "url": page })).await;
        browser
    }

    /// The result of an expression.
    pub async fn get(&self, expression: &str) -> Value {
        let script = format!("return {expression};");
        let body = json!({ "script": script, "args": [] });
        self.ask("/execute/sync", body).await
    }

    /// The text of the first element that a selector finds, as a person sees it; empty if there is none. Elements of
    /// drawings have no inner text.
    pub async fn text(&self, selector: &str) -> String {
        let text = self
            .get(&format!(
                "((it) => it?.innerText ?? it?.textContent ?? '')(document.querySelector({selector:?}))"
            ))
            .await;
        text.as_str().expect("it is text").replace('\u{a0}', " ")
    }

    /// Waits until an element has a text.
    pub async fn wait_for(&self, selector: &str, part: &str) {
        let start = Instant::now();
        loop {
            let text = self.text(selector).await;
            if text.contains(part) {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{selector} has no {part:?}, but {text:?}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Clicks an element, once it is there.
    pub async fn click(&self, selector: &str) {
        let start = Instant::now();
        let there = format!("!!document.querySelector({selector:?})");
        while self.get(&there).await != true {
            assert!(start.elapsed() < PATIENCE, "there is no {selector}");
            sleep(Duration::from_millis(50)).await;
        }
        self.ask_element(selector, "click", json!({})).await;
    }

    pub async fn write(&self, selector: &str, text: &str) {
        self.ask_element(selector, "value", json!({ "text": text }))
            .await;
    }

    async fn ask_element(&self, selector: &str, what: &str, body: Value) {
        let found = json!({ "using": "css selector", "value": selector });
        let found = self.ask("/element", found).await;
        let id = found[ELEMENT].as_str().expect("it is there");
        self.ask(&format!("/element/{id}/{what}"), body).await;
    }

    /// What the browser wrote to its console since it was asked last, but for what is only of interest.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.ask("/se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().expect("a list of entries").iter();
        let complaints =
            entries.filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        complaints
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    /// Shows the page to eyes that want light or dark, so many pixels wide.
    pub async fn look(&self, scheme: &str, width: u32) {
        let params = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", params).await;
        let params =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", params)
            .await;
    }

    /// Writes a picture of the whole page to a file under `target`.
    pub async fn picture(&self, name: &str) {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.devtools("Page.captureScreenshot", params).await;
        let data = picture["data"].as_str().expect("a picture");
        let bytes = BASE64_STANDARD.decode(data).expect("it is encoded");
        let folder = Path::new(SCREENSHOTS);
        std::fs::create_dir_all(folder).expect("the folder can be made");
        std::fs::write(folder.join(name).with_extension("png"), bytes).expect("it can be written");
    }

    /// Ends the browser.
    pub async fn close(self) {
        self.call(Method::DELETE, "", None).await;
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        let body = json!({ "cmd": command, "params": params });
        self.ask("/goog/cdp/execute", body).await
    }

    async fn ask(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let path = format!("{}{path}", self.session);
        let answer = self.client.call(method, &path, None, body).await;
        let answer = answer.expect("the driver answers");
        let value = answer.json()["value"].clone();
        assert_eq!(answer.status, StatusCode::OK, "{path}: {value}");
        value
    }
}

/// On a port that is free, which it prints.
fn start_driver() -> (Driver, u16) {
    let mut child = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .spawn()
        .expect("chromedriver is installed: apt install chromium-driver");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let port = lines.map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    (Driver(child), port.expect("the driver starts"))
}

fn capabilities() -> Value {
    // Containers run as root, and have little shared memory.
    let args = [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
    ];
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": { "args": args },
        "goog:loggingPrefs": { "browser": "ALL" },
    } } })
}
