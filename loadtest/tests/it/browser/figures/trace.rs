//! A browser's own trace, over the port of its developer tools: what the page's main thread did in each sixtieth of a
//! second.

use std::collections::BTreeMap;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// Whatever a thread does is in such an event.
const TASK: &str = "ThreadControllerImpl::RunTask";
/// A call of one of the page's functions.
const CALL: &str = "FunctionCall";
const FRAME_US: f64 = 1_000_000.0 / 60.0;

/// A trace under way.
pub(super) struct Trace(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Trace {
    pub(super) async fn start(url: &str) -> Self {
        // Reports of a trace are large.
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, _) = connect_async_with_config(url, Some(config), false).await.expect("developer tools");
        let mut trace = Self(socket);
        let categories = json!({ "includedCategories": ["toplevel", "devtools.timeline"], "excludedCategories": ["*"],
            "recordMode": "recordAsMuchAsPossible", "traceBufferSizeInKb": 1_000_000 });
        trace.send("Tracing.start", json!({ "transferMode": "ReportEvents", "traceConfig": categories })).await;
        while trace.next().await["id"] != 1 {}
        trace
    }

    async fn send(&mut self, method: &str, params: Value) {
        let command = json!({ "id": 1, "method": method, "params": params });
        self.0.send(Message::text(command.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.0.next().await.expect("an answer").unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Ends it; the events that [`main_thread`] needs.
    pub(super) async fn end(mut self) -> Vec<Value> {
        self.send("Tracing.end", json!({})).await;
        let mut events = Vec::new();
        loop {
            let mut message = self.next().await;
            if message["method"] == "Tracing.tracingComplete" {
                return events;
            }
            if let Value::Array(batch) = message["params"]["value"].take() {
                let wanted = |event: &Value| matches!(event["name"].as_str(), Some(CALL | TASK));
                events.extend(batch.into_iter().filter(wanted));
            }
        }
    }
}

/// Milliseconds for each frame, those with nothing to do included.
pub(super) struct Frames {
    pub(super) wall: Vec<f64>,
    pub(super) cpu: Vec<f64>,
    /// CPU in all: in the page's functions, and the rest of the tasks.
    pub(super) script: f64,
    pub(super) rest: f64,
}

/// Sums the tasks of the page's main thread by the frame in which they began.
pub(super) fn main_thread(events: &[Value]) -> Frames {
    let thread = |event: &Value| Some((event["pid"].as_u64()?, event["tid"].as_u64()?));
    // Not every trace names its threads; the page's is the one that calls its functions.
    let mut calls: BTreeMap<_, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| event["name"] == CALL) {
        *calls.entry(thread(event).expect("a thread")).or_default() += 1;
    }
    let (main, _) = calls.into_iter().max_by_key(|(_, count)| *count).expect("a page's main thread");
    let of = |main| events.iter().filter(move |event| event["ph"] == "X" && thread(event) == Some(main));
    let ms = |event: &Value, field: &str| event[field].as_f64().unwrap_or(0.0) / 1_000.0;

    let mut frames: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    let mut all = 0.0;
    for task in of(main).filter(|event| event["name"] == TASK) {
        // Times come as numbers with a fraction when they are large.
        #[expect(clippy::cast_possible_truncation, reason = "microseconds of the machine's uptime")]
        let number = (task["ts"].as_f64().expect("a time") / FRAME_US) as i64;
        let frame = frames.entry(number).or_default();
        frame.0 += ms(task, "dur");
        frame.1 += ms(task, "tdur");
        all += ms(task, "tdur");
    }
    let script = script_ms(of(main), &ms);
    let (first, last) = (*frames.keys().next().expect("a task"), *frames.keys().last().expect("a task"));
    let (wall, cpu) = (first..=last).map(|frame| frames.get(&frame).copied().unwrap_or_default()).unzip();
    Frames { wall, cpu, script, rest: all - script }
}

/// CPU of the page's functions, each counted once although they call each other.
fn script_ms<'a>(events: impl Iterator<Item = &'a Value>, ms: &impl Fn(&Value, &str) -> f64) -> f64 {
    let mut calls: Vec<&Value> = events.filter(|event| event["name"] == CALL).collect();
    calls.sort_by(|a, b| ms(a, "ts").total_cmp(&ms(b, "ts")));
    let mut end = 0.0;
    let mut sum = 0.0;
    for call in calls {
        if ms(call, "ts") < end {
            continue;
        }
        end = ms(call, "ts") + ms(call, "dur");
        sum += ms(call, "tdur");
    }
    sum
}
