//! A private chromedriver and its windows; each window is a browser of its own, so a customer of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use serde_json::json;

use crate::support::eventually;

/// Keeps Chromium from looking for hosts of its own, and from needing a display or a sandbox.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Whether the caller wants to go without a browser.
pub(super) fn skip() -> bool {
    let skip = std::env::var_os("SEATWIRE_SKIP_BROWSER").is_some();
    if skip {
        println!("left out: SEATWIRE_SKIP_BROWSER is set");
    }
    skip
}

pub(super) struct Browser {
    driver: Child,
    url: String,
    profiles: tempfile::TempDir,
    shots: Option<PathBuf>,
}

impl Browser {
    pub(super) async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| {
                panic!("chromedriver: {e}; install chromium and chromedriver, or set SEATWIRE_SKIP_BROWSER")
            });
        let shots = std::env::var_os("SEATWIRE_SCREENSHOTS").map(PathBuf::from);
        if let Some(folder) = &shots {
            std::fs::create_dir_all(folder).unwrap();
        }
        let browser =
            Self { driver, url: format!("http://127.0.0.1:{port}"), profiles: tempfile::tempdir().unwrap(), shots };
        let status = format!("{}/status", browser.url);
        eventually("chromedriver answers", async || crate::support::get(&status).await == 200).await;
        browser
    }

    /// A new window in a profile of its own.
    pub(super) async fn window(&self, width: u32, height: u32) -> Client {
        let profile = tempfile::tempdir_in(self.profiles.path()).unwrap().keep();
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.display()));
        let capabilities: Capabilities = serde_json::from_value(json!({
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        }))
        .unwrap();
        let window = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&self.url)
            .await
            .unwrap();
        window.set_window_size(width, height).await.unwrap();
        window
    }

    pub(super) async fn shot(&self, window: &Client, name: &str) {
        if let Some(folder) = &self.shots {
            std::fs::write(folder.join(format!("{name}.png")), window.screenshot().await.unwrap()).unwrap();
        }
    }

    /// Warnings and errors that the page left in the console.
    pub(super) async fn console(&self, window: &Client) -> Vec<String> {
        let session = window.session_id().await.unwrap().unwrap();
        let request = hyper::Request::post(format!("{}/session/{session}/se/log", self.url))
            .header("content-type", "application/json")
            .body(http_body_util::Full::new(bytes::Bytes::from(json!({ "type": "browser" }).to_string())))
            .unwrap();
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
        let body = http_body_util::BodyExt::collect(client.request(request).await.unwrap()).await.unwrap().to_bytes();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let entries = answer["value"].as_array().unwrap_or_else(|| panic!("no log: {answer}"));
        entries.iter().filter(|e| e["level"] != "INFO" && e["level"] != "DEBUG").map(ToString::to_string).collect()
    }

    pub(super) async fn stop(mut self, windows: impl IntoIterator<Item = Client>) {
        for window in windows {
            window.close().await.unwrap();
        }
        self.driver.kill().unwrap();
        self.driver.wait().unwrap();
    }
}

/// A failed test leaves no browser: chromedriver ends its browsers when it gets SIGTERM.
impl Drop for Browser {
    fn drop(&mut self) {
        let Ok(pid) = self.driver.id().try_into() else { return };
        if matches!(self.driver.try_wait(), Ok(None)) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
            let _ = self.driver.wait();
        }
    }
}
