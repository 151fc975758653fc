//! One browser window with a profile of its own: a customer of its own.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::wd::{WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use super::driver::Driver;

const PATIENCE: Duration = Duration::from_secs(150);

/// What a window looks like.
#[derive(Clone, Copy)]
pub(crate) enum Size {
    Desk,
    Phone,
}

pub(crate) struct Window {
    client: Client,
    gateway: String,
    name: &'static str,
    profile: TempDir,
}

impl Window {
    pub(crate) async fn open(driver: &Driver, gateway: &str, name: &'static str, size: Size) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let args = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--window-size=1280,1000".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({
            "goog:chromeOptions": { "binary": driver.browser, "args": args },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&driver.url).await.expect("a browser session");
        let window = Self { client, gateway: gateway.to_owned(), name, profile };
        if matches!(size, Size::Phone) {
            let phone = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true });
            window.devtools("Emulation.setDeviceMetricsOverride", phone).await;
            window
                .devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": true, "maxTouchPoints": 5 }))
                .await;
        }
        window
    }

    /// Where the browser takes commands of its developer tools.
    pub(crate) fn devtools_url(&self) -> String {
        let said = std::fs::read_to_string(self.profile.path().join("DevToolsActivePort")).unwrap();
        let (port, path) = said.split_once('\n').expect("port and path");
        format!("ws://127.0.0.1:{port}{}", path.trim())
    }

    /// Goes to a place of the page, such as `/#/show/7`.
    pub(crate) async fn visit(&self, place: &str) {
        self.client.goto(&format!("{}{place}", self.gateway)).await.unwrap();
    }

    /// Goes away from the page.
    pub(crate) async fn leave(&self) {
        self.client.goto("about:blank").await.unwrap();
    }

    pub(crate) async fn refresh(&self) {
        self.client.refresh().await.unwrap();
    }

    /// The value of a JavaScript expression.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        self.client.execute(&format!("return ({expression})"), Vec::new()).await.unwrap()
    }

    /// Runs a script, as one of the page's would be if its policy let others in.
    pub(crate) async fn run(&self, script: &str) {
        self.client.execute(script, Vec::new()).await.unwrap();
    }

    /// What a script gives to the function that is the last of its arguments.
    pub(crate) async fn ask(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute_async(script, arguments).await.unwrap()
    }

    /// Runs a script in every document from now on, before the document's own.
    pub(crate) async fn before_each(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// What the customer's system prefers, such as a dark colour scheme; nothing: as it was.
    pub(crate) async fn prefer(&self, features: &[(&str, &str)]) {
        let features: Vec<_> = features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Touches the screen: each step says where the fingers are, and at the end they are lifted.
    pub(crate) async fn touch(&self, steps: &[Vec<(f64, f64)>]) {
        for (at, fingers) in steps.iter().enumerate() {
            let points: Vec<_> =
                fingers.iter().enumerate().map(|(id, (x, y))| json!({ "id": id, "x": x, "y": y })).collect();
            let kind = if at == 0 || steps[at - 1].len() < fingers.len() { "touchStart" } else { "touchMove" };
            self.devtools("Input.dispatchTouchEvent", json!({ "type": kind, "touchPoints": points })).await;
        }
        self.devtools("Input.dispatchTouchEvent", json!({ "type": "touchEnd", "touchPoints": [] })).await;
    }

    /// Opens another tab of the same customer and goes there; answers how to come back.
    pub(crate) async fn new_tab(&self) -> WindowHandle {
        let here = self.client.window().await.unwrap();
        let tab = self.client.new_window(true).await.unwrap().handle;
        self.go_to(tab).await;
        here
    }

    /// Goes to a tab.
    pub(crate) async fn go_to(&self, tab: WindowHandle) {
        self.client.switch_to_window(tab).await.unwrap();
    }

    /// Presses one key after another, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let start = KeyActions::new("keyboard".to_owned());
        let presses = keys
            .chars()
            .fold(start, |actions, value| actions.then(KeyAction::Down { value }).then(KeyAction::Up { value }));
        self.client.perform_actions(presses).await.unwrap();
    }

    /// Moves on by Tab until an element has the focus.
    pub(crate) async fn tab_to(&self, selector: &str) {
        let there = format!("document.activeElement.matches({selector:?})");
        for _ in 0..60 {
            self.press(&Key::Tab.to_string()).await;
            if self.value(&there).await == Value::Bool(true) {
                return;
            }
        }
        panic!("window {}: Tab never comes to {selector}", self.name);
    }

    /// Waits until a JavaScript expression is true; one that throws is not.
    pub(crate) async fn until(&self, expression: &str) {
        let script = format!("try {{ return Boolean({expression}) }} catch {{ return false }}");
        let deadline = Instant::now() + PATIENCE;
        while self.client.execute(&script, Vec::new()).await.ok() != Some(Value::Bool(true)) {
            if Instant::now() > deadline {
                let picture = self.save_picture(env!("CARGO_TARGET_TMPDIR").into(), "never-happened").await;
                let said = self.value("document.body.innerText").await;
                panic!("window {}: never happened: {expression}\npicture: {picture:?}\n{said}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until an element's text contains something.
    pub(crate) async fn sees(&self, selector: &str, text: &str) {
        self.until(&format!("document.querySelector({selector:?}).textContent.includes({text:?})")).await;
    }

    /// Waits until each of the seats has the status on the map.
    pub(crate) async fn sees_seats(&self, labels: &[String], status: &str) {
        let labels = json!(labels);
        self.until(&format!(
            "document.querySelector('#seat-map').dataset.live === 'true' && {labels}.every((label) => \
             document.querySelector(`[data-seat][data-label=\"${{label}}\"]`).dataset.status === {status:?})"
        ))
        .await;
    }

    /// Clicks an element as soon as it is there; one that is drawn anew in the same moment is looked for again.
    pub(crate) async fn click(&self, selector: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let clicked = match self.client.find(Locator::Css(selector)).await {
                Ok(element) => element.click().await,
                Err(error) => Err(error),
            };
            let Err(error) = clicked else { return };
            assert!(Instant::now() < deadline, "window {}: {selector} was never clicked: {error}", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn click_seats(&self, labels: &[String]) {
        for label in labels {
            self.click(&format!("[data-seat][data-label=\"{label}\"]")).await;
        }
    }

    /// Types into an element as soon as it is there.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let written = match self.client.find(Locator::Css(selector)).await {
                Ok(element) => element.send_keys(text).await,
                Err(error) => Err(error),
            };
            let Err(error) = written else { return };
            assert!(Instant::now() < deadline, "window {}: {selector} never took a text: {error}", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Saves what the window shows for people who asked for pictures.
    pub(crate) async fn picture(&self, what: &str) {
        if let Some(folder) = std::env::var_os("SEATWIRE_SCREENSHOTS") {
            self.save_picture(PathBuf::from(folder), what).await;
        }
    }

    async fn save_picture(&self, folder: PathBuf, what: &str) -> PathBuf {
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{what}-{}.png", self.name));
        std::fs::write(&file, self.client.screenshot().await.unwrap()).unwrap();
        file
    }

    /// What the browser's console says of the page itself, warnings and errors; the checkout page is somebody else's.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser").await;
        let serious = entries.iter().filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")));
        let texts = serious.filter_map(|entry| entry["message"].as_str().map(str::to_owned));
        texts.filter(|text| !text.starts_with("http://") || text.starts_with(&self.gateway)).collect()
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.client.issue_cmd(Chrome { path: "se/log", body: json!({ "type": kind }) }).await.unwrap();
        let Value::Array(entries) = log else { panic!("a list: {log}") };
        entries
    }

    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }

    async fn devtools(&self, command: &str, params: Value) {
        let body = json!({ "cmd": command, "params": params });
        self.client.issue_cmd(Chrome { path: "goog/cdp/execute", body }).await.unwrap();
    }
}

/// A command that only chromedriver has.
#[derive(Debug)]
struct Chrome {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Chrome {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
