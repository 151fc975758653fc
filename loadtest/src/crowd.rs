//! People who buy while servers die: each repeats a command with its key until it is answered, connects again, and
//! believes nothing but answers. What they were told is kept, to be looked for in the ledger at the end.

mod contest;
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
use serde::{Deserialize, Serialize};

use contest::Contest;
pub use customer::{Customer, Wish, Zone};
pub use told::Told;

use crate::client::{ClientError, ClientOptions, Encoding, Http, ViewerClient, sign_token};
use crate::faults::InFlight;
use crate::launcher::Addresses;
use crate::times::Times;

/// Where everybody buys, and what happened to them.
#[derive(Debug)]
pub struct Crowd {
    gateways: Vec<String>,
    jwt_secret: String,
    /// What everybody wants to see.
    pub show: ShowInfo,
    names: AtomicU64,
    pub in_flight: InFlight,
    pub told: Told,
    pub counts: Counts,
    contest: Contest,
    /// How long attempts to hold seats took, from the moment at which they were meant.
    pub hold_times: Times,
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
    /// Attempts that somebody else's attempt for a same seat met, or that found it taken.
    pub holds_contended: AtomicU64,
    pub reconnects: AtomicU64,
}

/// The same as a part of a report.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Holds {
    pub granted: u64,
    pub refused: u64,
    pub expired: u64,
    pub errors: u64,
    /// Of all attempts: at least one other wanted a seat of theirs at the same time.
    pub contended: u64,
    /// Different seats that were wanted.
    pub seats: u64,
}

impl Holds {
    /// Answered, in whatever way.
    pub fn attempts(&self) -> u64 {
        self.granted + self.refused + self.errors
    }
}

impl Crowd {
    /// Looks for the largest show on sale.
    ///
    /// # Errors
    /// When the gateway does not answer, or nothing is on sale.
    pub async fn gather(at: &Addresses) -> anyhow::Result<Self> {
        let on_sale = shows(at).await?.into_iter().filter(|show| show.sale == SaleState::Open);
        let show = on_sale.max_by_key(|show| show.seats).ok_or_else(|| anyhow::anyhow!("no show is on sale"))?;
        Self::at(at, show)
    }

    /// Gathers before the doors of a certain show.
    ///
    /// # Errors
    /// When the gateway does not answer, or does not know the show.
    pub async fn gather_at(at: &Addresses, show: ShowId) -> anyhow::Result<Self> {
        let info = shows(at).await?.into_iter().find(|info| info.show == show);
        Self::at(at, info.ok_or_else(|| anyhow::anyhow!("show {show} is not known"))?)
    }

    fn at(at: &Addresses, show: ShowInfo) -> anyhow::Result<Self> {
        Ok(Self {
            gateways: at.gateways.clone(),
            jwt_secret: at.secrets.jwt.clone(),
            show,
            names: AtomicU64::new(0),
            in_flight: InFlight::default(),
            told: Told::default(),
            counts: Counts::default(),
            contest: Contest::default(),
            hold_times: Times::new()?,
            violations: Mutex::default(),
        })
    }

    /// A customer who was never here before, with a window that shows the map.
    ///
    /// # Errors
    /// When the gateway is away.
    pub async fn enter(&self, rng: &mut StdRng) -> Result<Customer<'_>, ClientError> {
        let customer = self.enter_with(Encoding::ALL.choose(rng).copied().unwrap_or_default()).await?;
        customer.look().await?;
        Ok(customer)
    }

    /// The same without looking at the map, for commands alone.
    ///
    /// # Errors
    /// When the gateway is away.
    pub async fn enter_blind(&self) -> Result<Customer<'_>, ClientError> {
        self.enter_with(Encoding::default()).await
    }

    /// At each gateway in turn.
    async fn enter_with(&self, encoding: Encoding) -> Result<Customer<'_>, ClientError> {
        let broken = |what: &str| ClientError::Broken(what.to_owned());
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        // A stack that goes on running has seen other runs' customers.
        let name = format!("buyer-{}-{number}", self.show());
        let name = CustomerId::new(&name).map_err(|error| broken(&error.to_string()))?;
        let token = sign_token(&self.jwt_secret, &name, Duration::from_secs(24 * 3_600))?;
        let at = usize::try_from(number).unwrap_or(0) % self.gateways.len().max(1);
        let gateway = self.gateways.get(at).ok_or_else(|| broken("there is no gateway"))?;
        let client = ViewerClient::open(ClientOptions::new(gateway, &token).encoding(encoding)).await?;
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
        let Counts { holds_granted, holds_refused, holds_expired, hold_errors, holds_contended, .. } = &self.counts;
        Holds {
            granted: count(holds_granted),
            refused: count(holds_refused),
            expired: count(holds_expired),
            errors: count(hold_errors),
            contended: count(holds_contended),
            seats: self.contest.seats(),
        }
    }

    fn lock_violations(&self) -> MutexGuard<'_, Vec<String>> {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn shows(at: &Addresses) -> anyhow::Result<Vec<ShowInfo>> {
    let shows = Http::default().get(&format!("{}/api/shows", at.gateway), &[]).await?;
    Ok(shows.json::<ShowsReply>()?.shows)
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
