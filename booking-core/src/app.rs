//! The handles that every part of a running core shares, and how they are made and kept running.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{BusKind, Config, ProviderName, ProvidersConfig, Secret};
use crate::db::{Db, DbError};
use crate::events::{EventBus, ExportConfig, Exporter, RedisBus, RedisBusConfig};
use crate::holds::{HoldConfig, HoldError, HoldStore};
use crate::layouts::Layouts;
use crate::mail::{MailConfig, Mailer, Post, PostError};
use crate::metrics as names;
use crate::overview::{self, Overview};
use crate::payments::{PaymentProvider, ProviderError, Providers, Razorpay, Stripe};
use crate::saga::{Saga, SagaConfig};
use crate::shutdown::Shutdown;

/// How often readiness is looked at, and how long a server may take to answer.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_DEADLINE: Duration = Duration::from_secs(2);
/// How often the rows that wait are counted for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// The shared handles; in an `Arc` wherever it goes.
pub struct App {
    pub config: Config,
    pub db: Db,
    pub holds: HoldStore,
    pub layouts: Layouts,
    pub saga: Saga,
    pub exporter: Exporter,
    pub mailer: Mailer,
    /// For operators.
    pub overview: Overview,
}

/// A handle could not be made. Servers that are out of reach are no reason: the core starts without them.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("SEATWIRE_DATABASE_URL: {0}")]
    Database(#[from] DbError),
    #[error("SEATWIRE_REDIS_URL: {0}")]
    Holds(#[from] HoldError),
    #[error("payment provider: {0}")]
    Provider(#[from] ProviderError),
    #[error("SEATWIRE_BUS: {0}")]
    Bus(String),
    #[error("SEATWIRE_MAIL_URL: {0}")]
    Mail(#[from] PostError),
}

/// Whether the servers behind the core answer; `Err` says what is wrong.
pub struct Health {
    pub redis: Result<(), String>,
    pub postgres: Result<(), String>,
}

impl Health {
    pub fn is_good(&self) -> bool {
        self.redis.is_ok() && self.postgres.is_ok()
    }
}

impl App {
    /// Makes all handles; connects to nothing yet.
    pub fn new(config: Config) -> Result<Arc<Self>, StartError> {
        let db = Db::new(config.database_url.expose(), config.database_pool)?;
        let ledger = Arc::new(db.clone());
        let holds = HoldStore::new(hold_config(&config), config.redis_url.expose(), ledger)?;
        let saga = Saga::new(saga_config(&config), db.clone(), holds.clone(), providers(&config.providers)?);
        let layouts = Layouts::new(db.clone());
        let export = ExportConfig { replay_ms: ms(config.bus.replay) };
        let exporter = Exporter::new(export, db.clone(), bus(&config)?);
        let mailer = mailer(&config, &db)?;
        Ok(Arc::new(Self { config, db, holds, layouts, saga, exporter, mailer, overview: Overview::default() }))
    }

    /// Starts the workers: they run until the drain starts, and are waited for by it.
    pub fn spawn_workers(self: &Arc<Self>, shutdown: &Shutdown) {
        self.holds.spawn(shutdown.tracker(), shutdown.token());
        self.saga.spawn(shutdown.tracker(), shutdown.token());
        self.exporter.spawn(self.saga.event_wakes(), shutdown.tracker(), shutdown.token());
        self.mailer.spawn(self.saga.event_wakes(), shutdown.tracker(), shutdown.token());
        shutdown.spawn(watch_health(Arc::clone(self), shutdown.clone()));
        shutdown.spawn(count_backlog(Arc::clone(self), shutdown.clone()));
    }

    /// Asks both servers, side by side.
    pub async fn health(&self) -> Health {
        let (redis, postgres) = tokio::join!(
            tokio::time::timeout(LOOK_DEADLINE, self.holds.ping()),
            tokio::time::timeout(LOOK_DEADLINE, self.db.ping()),
        );
        let late = || format!("no answer within {LOOK_DEADLINE:?}");
        Health {
            redis: redis.map_err(|_| late()).and_then(|r| r.map_err(|e| e.to_string())),
            postgres: postgres.map_err(|_| late()).and_then(|r| r.map_err(|e| e.to_string())),
        }
    }
}

/// Logs each loss and return of a server once, and keeps the ready metric.
async fn watch_health(app: Arc<App>, shutdown: Shutdown) {
    let mut was_good = None;
    while !shutdown.has_started() {
        let health = app.health().await;
        let good = health.is_good();
        if was_good != Some(good) {
            let text = |state: &Result<(), String>| state.as_ref().err().cloned().unwrap_or_else(|| "ok".to_owned());
            let (redis, postgres) = (text(&health.redis), text(&health.postgres));
            if good {
                tracing::info!("redis and postgres answer");
            } else {
                tracing::warn!(redis, postgres, "not ready");
            }
        }
        was_good = Some(good);
        metrics::gauge!(names::READY).set(if good { 1.0 } else { 0.0 });
        names::upkeep();
        overview::sign_in(&app.holds, &app.config.core_name).await;
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.started() => {}
        }
    }
    metrics::gauge!(names::READY).set(0.0);
}

async fn count_backlog(app: Arc<App>, shutdown: Shutdown) {
    while !shutdown.has_started() {
        // While PostgreSQL is out of reach the last count stands; readiness tells of it.
        if let Ok(backlog) = app.saga.backlog().await {
            for (queue, rows) in backlog.queues() {
                metrics::gauge!(names::BACKLOG, "queue" => queue).set(u32::try_from(rows).unwrap_or(u32::MAX));
            }
            for (consumer, ms) in [("bus", backlog.bus_oldest_ms), ("mail", backlog.mail_oldest_ms)] {
                let seconds = Duration::from_millis(ms).as_secs_f64();
                metrics::gauge!(names::EVENT_BACKLOG_AGE, "consumer" => consumer).set(seconds);
            }
        }
        for group in app.exporter.groups().await.unwrap_or_default() {
            let lag = u32::try_from(group.lag.unwrap_or(0)).unwrap_or(u32::MAX);
            metrics::gauge!(names::BUS_GROUP_LAG, "group" => group.group).set(lag);
        }
        tokio::select! {
            () = tokio::time::sleep(COUNT_EVERY) => {}
            () = shutdown.started() => {}
        }
    }
}

fn bus(config: &Config) -> Result<Arc<dyn EventBus>, StartError> {
    let stream = config.bus.stream.clone();
    match &config.bus.kind {
        BusKind::Redis { url, length, groups } => {
            let url = url.as_ref().unwrap_or(&config.redis_url).expose().to_owned();
            let bus = RedisBus::new(RedisBusConfig { url, stream, length: *length, groups: groups.clone() });
            Ok(Arc::new(bus.map_err(|_| StartError::Bus("the Redis URL can't be read".to_owned()))?))
        }
        #[cfg(feature = "kafka")]
        BusKind::Kafka { brokers } => {
            let config = crate::events::KafkaConfig { brokers: brokers.clone(), topic: stream };
            Ok(Arc::new(crate::events::KafkaBus::new(config).map_err(|e| StartError::Bus(e.to_string()))?))
        }
    }
}

fn mailer(config: &Config, db: &Db) -> Result<Mailer, StartError> {
    let post = Post::open(config.mail.url.expose(), config.mail.authorities.as_deref())?;
    let from = config.mail.from.clone().ok_or(PostError::Address)?;
    if matches!(post, Post::Off) {
        tracing::warn!("SEATWIRE_MAIL_URL is not set: customers get no mail");
    }
    Ok(Mailer::new(MailConfig { from, public_url: config.public_url.clone() }, db.clone(), post))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn providers(config: &ProvidersConfig) -> Result<Providers, ProviderError> {
    let keys = |secrets: &[Secret]| secrets.iter().map(|secret| secret.expose().as_bytes().to_vec()).collect();
    let mut all: Vec<Arc<dyn PaymentProvider>> = Vec::new();
    if let Some(config) = &config.razorpay {
        let razorpay = Razorpay::new(&config.url, &config.key_id, config.key_secret.expose())?;
        all.push(Arc::new(razorpay.with_webhook_secrets(keys(&config.webhook_secrets))));
    }
    if let Some(config) = &config.stripe {
        let stripe = Stripe::new(&config.url, config.secret_key.expose())?;
        all.push(Arc::new(stripe.with_webhook_secrets(keys(&config.webhook_secrets))));
    }
    if config.first == ProviderName::Stripe {
        all.reverse();
    }
    let mut all = all.into_iter();
    let first = all.next().ok_or_else(|| ProviderError::Unknown("none is configured".to_owned()))?;
    Ok(Providers::new(first, all.collect()))
}

fn saga_config(config: &Config) -> SagaConfig {
    SagaConfig {
        claim_ms: ms(config.claim),
        reconcile_ms: ms(config.reconcile),
        key_hours: config.key_hours,
        seats_max: u64::from(config.hold_seats_max),
        lapse_window_ms: ms(config.lapse_window),
        cool_down_ms: ms(config.cool_down),
        checkout_url: config.providers.checkout_url.clone(),
        public_url: config.public_url.clone(),
        ..SagaConfig::default()
    }
}

fn hold_config(config: &Config) -> HoldConfig {
    HoldConfig {
        hold_secret: config.hold_secret.expose().as_bytes().to_vec(),
        hold_ms: ms(config.hold),
        extensions: config.hold_extensions,
        lifetime_ms: ms(config.hold_lifetime),
        grace_ms: ms(config.hold_grace),
        paying_ms: ms(config.paying),
        seats_max: config.hold_seats_max,
        holds_max: config.holds_max,
        lapse_window_ms: ms(config.lapse_window),
        cool_down_ms: ms(config.cool_down),
        new_holds_max: config.customer_holds,
        new_holds_window_ms: ms(config.customer_holds_window),
        commands_per_second: config.customer_commands_per_second,
        commands_burst: config.customer_commands_burst,
        ..HoldConfig::default()
    }
}
