//! A simulated payment provider: an HTTP server of its own process with the shapes of Razorpay's or Stripe's API, a
//! checkout page, webhooks signed with a real HMAC, and switches for everything that goes wrong with payments (late,
//! double, lost, failed, slow). No money moves.
//!
//! A request is answered only after its effect is in the journal, so a `kill -9` loses nothing that was told to
//! anybody; at the next start the journal is replayed and undelivered webhooks go on. The switches of `/control` are
//! the only thing that a restart clears.

mod api;
mod checkout;
mod control;
mod deliveries;
mod entities;
mod error;
mod events;
mod journal;
mod ledger;
mod operations;
mod page;
mod pay_form;
mod shapes;
mod store;
mod stripe;
mod timetable;
mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use control::Switches;
pub use deliveries::{Delivery, deliveries};
pub use shapes::Shapes;
use store::Store;
use stripe::stored::StoredAnswers;

/// Flags of `loadtest provider`.
#[derive(Clone, clap::Args)]
pub struct ProviderArgs {
    /// Address to listen on; port 0 takes a free one, see the ready line.
    #[arg(long, env = "SEATWIRE_PROVIDER_LISTEN", default_value = "127.0.0.1:7200", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Folder of the journal; made when missing. What was answered survives a kill and a restart.
    #[arg(long, env = "SEATWIRE_PROVIDER_DATA_DIR", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Whose API is spoken: names, shapes and signatures.
    #[arg(long, env = "SEATWIRE_PROVIDER_SHAPES", value_enum, default_value_t, value_name = "NAME")]
    pub shapes: Shapes,
    /// Where webhooks are posted: http only. The core's is http://HOST:PORT/webhooks/razorpay, or …/stripe.
    #[arg(long, env = "SEATWIRE_PROVIDER_WEBHOOK_URL", value_name = "URL", value_parser = webhooks::parse_url)]
    pub webhook_url: hyper::Uri,
    /// HMAC-SHA256 key of the webhooks' signature.
    #[arg(long, env = "SEATWIRE_PROVIDER_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub webhook_secret: String,
    /// User name of Razorpay's basic authentication.
    #[arg(long, env = "SEATWIRE_PROVIDER_KEY_ID", value_name = "ID")]
    pub key_id: String,
    /// Password of Razorpay's basic authentication, or Stripe's bearer key.
    #[arg(long, env = "SEATWIRE_PROVIDER_KEY_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub key_secret: String,
}

/// Without the secrets: arguments end up in error reports.
impl std::fmt::Debug for ProviderArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderArgs").field("listen", &self.listen).field("data_dir", &self.data_dir).finish()
    }
}

/// What every request handler shares.
#[derive(Clone)]
struct App {
    store: Arc<Store>,
    switches: Arc<Switches>,
    credentials: Arc<api::Credentials>,
    stored: Arc<StoredAnswers>,
    shapes: Shapes,
}

/// Serves until SIGTERM or Ctrl-C. Prints one ready line on stdout when listening.
///
/// # Errors
/// When the address is taken, or the journal can't be read, written or is in use by another provider.
pub async fn run(args: ProviderArgs) -> anyhow::Result<()> {
    let store = Arc::new(Store::open(&args.data_dir, args.shapes)?);
    let switches = Arc::new(Switches::default());
    let credentials = Arc::new(api::Credentials::new(&args.key_id, &args.key_secret));
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("can't listen on {}", args.listen))?;
    let address = listener.local_addr()?;

    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let sender = webhooks::Sender::new(args.webhook_url, args.webhook_secret, args.shapes);
    tasks.spawn(webhooks::run(Arc::clone(&store), Arc::clone(&switches), sender, tasks.clone(), stop.clone()));
    tasks.spawn(store::run_late_changes(Arc::clone(&store), stop.clone()));
    let app = App { store, switches, credentials, stored: Arc::default(), shapes: args.shapes };
    let server = axum::serve(listener, router(app)).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut server = tokio::spawn(server.into_future());

    println!("{}", serde_json::json!({"ready": true, "provider": address.to_string(), "pid": std::process::id()}));
    wait_for_signal().await?;
    stop.cancel();
    tasks.close();
    // What is cut here is in the journal; the next start goes on with it.
    let drained = async { tokio::join!(&mut server, tasks.wait()) };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        server.abort();
    }
    Ok(())
}

fn router(app: App) -> Router {
    Router::new()
        .merge(match app.shapes {
            Shapes::Razorpay => api::routes(app.clone()),
            Shapes::Stripe => stripe::api::routes(app.clone()),
        })
        .merge(checkout::routes())
        .merge(control::routes())
        .fallback(error::no_such_url)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}

async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The wall clock: due times in the journal must make sense to the next process.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Requests are small; a longer body is refused before it is read.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a stop waits for answers and webhooks under way.
const DRAIN: Duration = Duration::from_secs(3);
