//! Where webhooks arrive: keeps the raw bytes, and refuses with 503 when told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;

#[derive(Debug, Clone)]
pub(super) struct Hook {
    /// Razorpay's header.
    pub(super) event_id: String,
    /// The header of either provider.
    pub(super) signature: String,
    pub(super) body: Vec<u8>,
    pub(super) accepted: bool,
}

impl Hook {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Shared {
    hooks: Mutex<Vec<Hook>>,
    refusing: AtomicBool,
    arrived: Notify,
}

pub(super) struct Receiver {
    pub(super) url: String,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
        let router = Router::new().route("/webhooks", post(receive)).with_state(Arc::clone(&shared));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, shared }
    }

    pub(super) fn refuse(&self, refusing: bool) {
        self.shared.refusing.store(refusing, Ordering::SeqCst);
    }

    pub(super) fn all(&self) -> Vec<Hook> {
        self.shared.hooks.lock().unwrap().clone()
    }

    /// The first `count` to arrive, or more.
    pub(super) async fn wait_for(&self, count: usize) -> Vec<Hook> {
        self.wait_until(|hooks| hooks.len() >= count).await
    }

    pub(super) async fn wait_for_event(&self, kind: &str) {
        let is_it = |hook: &Hook| {
            let body = hook.json();
            body["event"] == *kind || body["type"] == *kind
        };
        self.wait_until(|hooks| hooks.iter().any(is_it)).await;
    }

    async fn wait_until(&self, enough: impl Fn(&[Hook]) -> bool) -> Vec<Hook> {
        let wait = async {
            loop {
                let arrived = self.shared.arrived.notified();
                let hooks = self.all();
                if enough(&hooks) {
                    return hooks;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the webhooks arrive")
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let accepted = !shared.refusing.load(Ordering::SeqCst);
    let hook = Hook {
        event_id: header("x-razorpay-event-id").unwrap_or_default(),
        signature: header("x-razorpay-signature").or_else(|| header("stripe-signature")).unwrap(),
        body: body.to_vec(),
        accepted,
    };
    shared.hooks.lock().unwrap().push(hook);
    shared.arrived.notify_waiters();
    if accepted { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
