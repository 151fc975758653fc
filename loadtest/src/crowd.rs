//! People who buy while servers die: each repeats a command with its key until it is answered, connects again, and
//! believes nothing but answers. What they were told is kept, to be looked for in the ledger at the end.

mod customer;
mod told;
mod told_checks;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use seatwire_protocol::catalogue::ShowInfo;
use seatwire_protocol::command::ShowsReply;
use seatwire_protocol::{CustomerId, SaleState, ShowId};
use serde::Serialize;

pub use customer::{Customer, Zone};
pub use told::Told;

use crate::client::{ClientError, ClientOptions, Encoding, Http, ViewerClient, sign_token};
use crate::faults::InFlight;
use crate::launcher::Addresses;

/// Where everybody buys, and what happened to them.
#[derive(Debug)]
pub struct Crowd {
    gateways: Vec<String>,
    jwt_secret: String,
    /// The largest show on sale.
    pub show: ShowInfo,
    names: AtomicU64,
    pub in_flight: InFlight,
    pub told: Told,
    pub counts: Counts,
    /// What viewers may never see: gaps, positions that go back.
    violations: Mutex<Vec<String>>,
}

/// How often something happened to somebody.
#[derive(Debug, Default)]
pub struct Counts {
    pub holds_granted: AtomicU64,
    /// Somebody else was faster.
    pub holds_refused: AtomicU64,
    /// Over before they were booked: their time, or a Redis that lost them.
    pub holds_expired: AtomicU64,
    pub hold_errors: AtomicU64,
    pub reconnects: AtomicU64,
}

/// The same as a part of a report.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Holds {
    pub granted: u64,
    pub refused: u64,
    pub expired: u64,
    pub errors: u64,
}

impl Crowd {
    /// Looks for the largest show on sale.
    ///
    /// # Errors
    /// When the gateway does not answer, or nothing is on sale.
    pub async fn gather(at: &Addresses) -> anyhow::Result<Self> {
        let shows = Http::default().get(&format!("{}/api/shows", at.gateway), &[]).await?;
        let shows: ShowsReply = shows.json()?;
        let on_sale = shows.shows.into_iter().filter(|show| show.sale == SaleState::Open);
        let show = on_sale.max_by_key(|show| show.seats).ok_or_else(|| anyhow::anyhow!("no show is on sale"))?;
        Ok(Self {
            gateways: at.gateways.clone(),
            jwt_secret: at.secrets.jwt.clone(),
            show,
            names: AtomicU64::new(0),
            in_flight: InFlight::default(),
            told: Told::default(),
            counts: Counts::default(),
            violations: Mutex::default(),
        })
    }

    /// A customer who was never here before, with a window that shows the map.
    ///
    /// # Errors
    /// When the gateway is away.
    pub async fn enter(&self, rng: &mut StdRng) -> Result<Customer<'_>, ClientError> {
        let broken = |what: &str| ClientError::Broken(what.to_owned());
        let name = format!("buyer-{}", self.names.fetch_add(1, Ordering::Relaxed));
        let name = CustomerId::new(&name).map_err(|error| broken(&error.to_string()))?;
        let token = sign_token(&self.jwt_secret, &name, Duration::from_secs(3_600))?;
        let encoding = Encoding::ALL.choose(rng).copied().unwrap_or_default();
        let gateway = self.gateways.choose(rng).ok_or_else(|| broken("there is no gateway"))?;
        let client = ViewerClient::open(ClientOptions::new(gateway, &token).encoding(encoding)).await?;
        client.watch(self.show()).await?;
        Ok(Customer::new(self, name, client))
    }

    pub fn show(&self) -> ShowId {
        self.show.show
    }

    /// What viewers saw and may never see.
    pub fn violations(&self) -> Vec<String> {
        self.lock_violations().clone()
    }

    pub fn holds(&self) -> Holds {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { holds_granted, holds_refused, holds_expired, hold_errors, .. } = &self.counts;
        Holds {
            granted: count(holds_granted),
            refused: count(holds_refused),
            expired: count(holds_expired),
            errors: count(hold_errors),
        }
    }

    fn lock_violations(&self) -> MutexGuard<'_, Vec<String>> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
