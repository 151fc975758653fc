//! `loadtest provider` as a process, and an HTTP client of its API.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

pub(super) const WEBHOOK_SECRET: &str = "webhook-secret-of-the-test";
const KEY_ID: &str = "key_test";
pub(super) const KEY_SECRET: &str = "key secret: of the test";

pub(super) struct Provider {
    child: Child,
    client: ProviderClient,
    data_dir: TempDir,
    webhook_url: String,
    shapes: &'static str,
}

struct ProviderClient {
    http: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) text: String,
    headers: HeaderMap,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn location(&self) -> Option<&str> {
        self.headers.get("location")?.to_str().ok()
    }
}

impl Provider {
    pub(super) async fn start(webhook_url: &str) -> Self {
        Self::start_as("razorpay", webhook_url).await
    }

    pub(super) async fn start_as(shapes: &'static str, webhook_url: &str) -> Self {
        let data_dir = TempDir::new().unwrap();
        let (child, base) = spawn(shapes, data_dir.path(), webhook_url).await;
        let client = ProviderClient { http: Client::builder(TokioExecutor::new()).build_http(), base };
        Self { child, client, data_dir, webhook_url: webhook_url.to_owned(), shapes }
    }

    /// kill -9, then a new process on the same journal.
    pub(super) async fn kill_and_start(&mut self) {
        self.child.kill().await.unwrap();
        (self.child, self.client.base) = spawn(self.shapes, self.data_dir.path(), &self.webhook_url).await;
    }

    pub(super) async fn order(&self, amount: u64, receipt: &str) -> String {
        let body = serde_json::json!({"amount": amount, "currency": "INR", "receipt": receipt, "notes": []});
        let answer = self.post("/v1/orders", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn pay(&self, order: &str, body: Value) -> Answer {
        self.post(&format!("/checkout/{order}/pay"), body).await
    }

    pub(super) async fn pay_form(&self, order: &str, form: &str) -> Answer {
        let request = self.client.request(Method::POST, &format!("/checkout/{order}/pay"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        self.client.send(request.unwrap()).await.unwrap()
    }

    pub(super) async fn refund(&self, payment: &str, key: &str, body: Value) -> Answer {
        self.try_refund(payment, key, body).await.unwrap()
    }

    pub(super) async fn try_refund(&self, payment: &str, key: &str, body: Value) -> anyhow::Result<Answer> {
        let request = self.client.authorized(Method::POST, &format!("/v1/payments/{payment}/refund"));
        let request = request.header("x-refund-idempotency", key).header("content-type", "application/json");
        self.client.send(request.body(body.to_string())?).await
    }

    /// A form with a bearer key, as Stripe's clients send it.
    pub(super) async fn form(&self, path: &str, key: Option<&str>, form: &str) -> anyhow::Result<Answer> {
        let mut request =
            self.client.request(Method::POST, path).header("authorization", format!("Bearer {KEY_SECRET}"));
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.client.send(request.body(form.to_owned())?).await
    }

    pub(super) async fn get_bearer(&self, path: &str) -> Answer {
        let request = self.client.request(Method::GET, path).header("authorization", format!("Bearer {KEY_SECRET}"));
        self.client.send(request.body(String::new()).unwrap()).await.unwrap()
    }

    pub(super) async fn control(&self, body: Value) {
        let answer = self.try_control(body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }

    pub(super) async fn try_control(&self, body: Value) -> Answer {
        self.post("/control", body).await
    }

    pub(super) async fn ledger(&self) -> Value {
        self.get_json("/control/ledger").await
    }

    /// Nothing is under way any more.
    pub(super) async fn wait_until_delivered(&self) {
        let wait = async {
            loop {
                let ledger = self.ledger().await;
                if ledger["webhooks_pending"] == 0 && ledger["late_pending"] == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("all webhooks are delivered");
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        let credentials = STANDARD.encode(format!("{KEY_ID}:{KEY_SECRET}"));
        self.post_as(Some(&credentials), path, body).await
    }

    pub(super) async fn post_as(&self, credentials: Option<&str>, path: &str, body: Value) -> Answer {
        let mut request = self.client.request(Method::POST, path).header("content-type", "application/json");
        request = request.header("accept", "application/json");
        if let Some(credentials) = credentials {
            request = request.header("authorization", format!("Basic {credentials}"));
        }
        self.client.send(request.body(body.to_string()).unwrap()).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        let request = self.client.authorized(Method::GET, path).body(String::new()).unwrap();
        self.client.send(request).await.unwrap()
    }

    pub(super) async fn get_json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.json()
    }
}

impl ProviderClient {
    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.base))
    }

    fn authorized(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let credentials = STANDARD.encode(format!("{KEY_ID}:{KEY_SECRET}"));
        self.request(method, path).header("authorization", format!("Basic {credentials}"))
    }

    async fn send(&self, request: Request<String>) -> anyhow::Result<Answer> {
        let answer = self.http.request(request.map(|body| Full::new(Bytes::from(body)))).await?;
        let (parts, body) = answer.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok(Answer { status: parts.status, headers: parts.headers, text })
    }
}

async fn spawn(shapes: &str, data_dir: &Path, webhook_url: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["provider", "--shapes", shapes, "--listen", "127.0.0.1:0", "--webhook-url", webhook_url])
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--webhook-secret", WEBHOOK_SECRET, "--key-id", KEY_ID, "--key-secret", KEY_SECRET])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.next_line().await.unwrap().expect("a ready line");
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["pid"].as_u64(), child.id().map(u64::from));
    (child, format!("http://{}", ready["provider"].as_str().unwrap()))
}
