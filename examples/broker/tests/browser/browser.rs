//! A browser without a window, driven over WebDriver.

use base64::prelude::{BASE64_STANDARD, Engine};
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use url::{ParseError, Url};

/// A busy machine may take long; but what never comes is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Under `target`, for people to look at.
const SCREENSHOTS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots");

pub struct Browser {
    client: Client,
    driver: Driver,
}

/// The process of the driver, which ends with the test.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A command that is Chromium's own.
#[derive(Debug)]
struct Chromium {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Chromium {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// Starts a browser, and opens a page.
    pub async fn open(page: &str) -> Self {
        let (driver, port) = start_driver();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("the driver starts a browser");
        client.goto(page).await.expect("the page opens");
        Self { client, driver }
    }

    /// The result of an expression.
    pub async fn get(&self, expression: &str) -> Value {
        let script = format!("return {expression};");
        let result = self.client.execute(&script, Vec::new()).await;
        result.unwrap_or_else(|error| panic!("{expression}: {error}"))
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

    pub async fn click(&self, selector: &str) {
        let element = self
            .client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(selector))
            .await;
        element
            .expect("it is there")
            .click()
            .await
            .expect("it can be clicked");
    }

    pub async fn write(&self, selector: &str, text: &str) {
        let element = self
            .client
            .find(Locator::Css(selector))
            .await
            .expect("it is there");
        element.send_keys(text).await.expect("it takes text");
    }

    /// What the browser wrote to its console since it was asked last, but for what is only of interest.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.ask("se/log", json!({ "type": "browser" })).await;
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
        self.client.close().await.expect("the browser ends");
        drop(self.driver);
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.ask(
            "goog/cdp/execute",
            json!({ "cmd": command, "params": params }),
        )
        .await
    }

    async fn ask(&self, path: &'static str, body: Value) -> Value {
        let answer = self.client.issue_cmd(Chromium { path, body }).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
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

fn capabilities() -> Capabilities {
    let capabilities = json!({
        "browserName": "chrome",
        // Containers run as root, and have little shared memory.
        "goog:chromeOptions": { "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] },
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    match capabilities {
        Value::Object(capabilities) => capabilities,
        _ => unreachable!("it is an object"),
    }
}
