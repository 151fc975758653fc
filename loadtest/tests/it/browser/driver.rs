//! chromedriver on a port of its own, ended with every browser that it started.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use seatwire_loadtest::launcher::process_tree;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const SKIP: &str = "SEATWIRE_SKIP_BROWSER";
const HOW: &str = "install chromium and chromedriver (Debian: apt-get install chromium chromium-driver), \
    or set SEATWIRE_SKIP_BROWSER to leave the browser tests out";

pub(crate) struct Driver {
    child: Child,
    pub(crate) url: String,
    pub(crate) browser: PathBuf,
}

impl Driver {
    /// Starts chromedriver; `None` when the browser tests are to be left out.
    pub(crate) async fn start() -> Option<Self> {
        if std::env::var_os(SKIP).is_some() {
            println!("left out: {SKIP} is set");
            return None;
        }
        let Some(driver) = find(&["chromedriver"]) else { panic!("no chromedriver: {HOW}") };
        let Some(browser) = find(&["chromium", "chromium-browser", "google-chrome"]) else {
            panic!("no chromium: {HOW}")
        };
        let mut child = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let port = timeout(Duration::from_secs(60), async {
            while let Some(line) = lines.next_line().await.expect("its output") {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
            panic!("chromedriver ended without a word on its port");
        });
        let url = format!("http://127.0.0.1:{}", port.await.expect("chromedriver tells its port"));
        // Read on, or it would block once the pipe is full.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self { child, url, browser })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Also after a panic: browsers are children of chromedriver and would stay behind.
        if let Some(pid) = self.child.id().and_then(|pid| pid.try_into().ok()) {
            process_tree::kill_tree(pid);
        }
    }
}

fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let candidates = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|file| file.is_file())
}
