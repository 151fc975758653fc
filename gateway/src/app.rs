//! The shared handles that every task gets, and what happens when a connection comes or goes.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{counter, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use seatwire_protocol::client::{CoreClient, CoreClientConfig};
use seatwire_protocol::{ErrorBody, ErrorCode, ShowId};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::config::Config;
use crate::customers::Customers;
use crate::feed::{Feed, Topic};
use crate::http::Caches;
use crate::logouts::Logouts;
use crate::pace::Pace;
use crate::registry::Registry;
use crate::room::Room;
use crate::room::viewers::Viewers;
use crate::tokens::Tokens;
use crate::ws::connection::Connection;
use crate::ws::wheel::Wheel;
use crate::{clock, metrics as names};

/// Snapshots fetched at a time: ten thousand stale rooms must not all ask the core at once.
const SNAPSHOTS_AT_A_TIME: usize = 64;

/// Everything shared.
pub struct App {
    pub config: Config,
    /// Of this process, unlike any other's.
    pub name: String,
    pub core: CoreClient,
    pub tokens: Tokens,
    pub logouts: Logouts,
    pub admission: Arc<Admission>,
    pub registry: Registry,
    pub feed: Feed,
    pub customers: Customers,
    pub caches: Caches,
    /// Every open WebSocket, for drain and logout.
    pub connections: Viewers<Connection>,
    pub wheel: Wheel<Connection>,
    pub pace: Pace,
    pub snapshot_permits: Semaphore,
    pub draining: AtomicBool,
    pub metrics: PrometheusHandle,
    tracker: TaskTracker,
}

impl App {
    /// Starts connecting to the cores; the other tasks are started by `run`.
    pub fn new(config: Config, listen: SocketAddr, metrics: PrometheusHandle) -> Arc<Self> {
        // Unlike that of any other process, also on another machine: counts of viewers are kept by it.
        let name = format!("gateway-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let cores = tokio::runtime::Handle::current().metrics().num_workers();
        let core = CoreClientConfig::new(config.cores.clone(), config.core_secret.clone(), name.clone());
        Arc::new(Self {
            name,
            core: CoreClient::new(core),
            tokens: Tokens::new(&config.jwt_secret, &config.guest_secret, config.guest_token, config.token_life_max),
            logouts: Logouts::default(),
            admission: Arc::new(Admission::new(&config, listen)),
            registry: Registry::new(config.rooms_max),
            feed: Feed::default(),
            customers: Customers::default(),
            caches: Caches::default(),
            connections: Viewers::new(clock::now_ms()),
            wheel: Wheel::new(config.beat),
            pace: Pace::new(config.fanout_share, cores),
            snapshot_permits: Semaphore::new(SNAPSHOTS_AT_A_TIME),
            draining: AtomicBool::new(false),
            metrics,
            tracker: TaskTracker::new(),
            config,
        })
    }

    /// Starts a task that a drain waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// The tasks that are running.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether somebody who joined now would see something, and nobody would be let in who logged out.
    pub fn is_ready(&self) -> bool {
        !self.is_draining() && self.core.is_connected() && self.feed.is_up() && self.logouts.is_known()
    }

    /// The show's room; a new one is subscribed and filled in the background.
    ///
    /// # Errors
    /// OVERLOADED when too many shows are watched.
    pub fn open_room(&self, show: ShowId) -> Result<Arc<Room>, ErrorBody> {
        let found = self.registry.find(show);
        let found = found.map_err(|e| ErrorBody::new(ErrorCode::Overloaded, e.to_string()).retry_after_ms(1_000))?;
        if found.new {
            self.feed.add(Topic::Show(show));
        }
        Ok(found.room)
    }

    /// A WebSocket is open; answers its place among all.
    pub fn arrive(&self, connection: &Arc<Connection>) -> Option<usize> {
        counter!(names::JOINS).increment(1);
        gauge!(names::CONNECTIONS).increment(1);
        let now_ms = clock::now_ms();
        self.wheel.put(Arc::downgrade(connection), now_ms, now_ms);
        self.connections.join(connection)
    }

    /// A WebSocket is over: nothing of it may stay.
    pub fn leave(&self, connection: &Arc<Connection>, place: Option<usize>) {
        gauge!(names::CONNECTIONS).decrement(1);
        let now_ms = clock::now_ms();
        let watches = connection.outbound().take_watches();
        for watch in watches {
            watch.room.viewers.leave(watch.place, now_ms);
        }
        self.customers.leave(self, connection);
        if let Some(place) = place {
            self.connections.leave(place, now_ms);
        }
    }
}
