//! [`HoldStore`]: the shared handle, and the operations of customers on holds. Cheap to clone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Cmd;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use seatwire_protocol::command::{BestAvailable, HoldInfo, HoldPhase, Released};
use seatwire_protocol::feed::ControlMessage;
use seatwire_protocol::limits::SEATS_PER_HOLD_MAX;
use seatwire_protocol::ws::Push;
use seatwire_protocol::{CustomerId, HoldId, IdempotencyKey, SeatIndex, ShowId};

use crate::metrics as names;

use super::expiry::{self, Wheel};
use super::keys::{Kept, ShowKeys};
use super::link::{Connected, Link};
use super::loader::{Landed, Loader};
use super::push::{self, Pusher};
use super::reply::{self, Ended, Reply};
use super::scripts::{Script, Scripts};
use super::scrubber::{self, Watched};
use super::secret::{Purpose, Secret, digest, seat_bytes};
use super::vitals::{VitalSigns, Vitals};
use super::{HoldConfig, HoldError, LedgerReader, Outcome, Refusal};

/// Told to callers whose show was not loaded in time.
const RETRY_AFTER_MS: u64 = 100;

/// All operations on holds and on the seat map in Redis.
#[derive(Clone)]
pub struct HoldStore(Arc<Shared>);

struct Shared {
    config: HoldConfig,
    secret: Secret,
    link: Arc<Link>,
    loader: Arc<Loader>,
    ledger: Arc<dyn LedgerReader>,
    pusher: Pusher,
    wheel: Wheel,
    watched: Mutex<Watched>,
    /// What the background tasks take when they start.
    inboxes: Mutex<Option<(mpsc::Receiver<push::Message>, mpsc::Receiver<expiry::Due>)>>,
}

impl HoldConfig {
    pub(super) fn kept(&self) -> Kept {
        Kept { ended_ms: self.ended_kept_ms, lapse_ms: self.lapse_window_ms }
    }
}

impl HoldStore {
    /// A store for the Redis at `url`; connects at the first use, and again after every loss.
    ///
    /// # Errors
    /// When the address can't be read.
    pub fn new(config: HoldConfig, url: &str, ledger: Arc<dyn LedgerReader>) -> Result<Self, HoldError> {
        let link = Arc::new(Link::new(url)?);
        let (pusher, pushes) = Pusher::new(config.grace_ms);
        let (wheel, dues) = Wheel::new();
        Ok(Self(Arc::new(Shared {
            secret: Secret::new(&config.hold_secret)?,
            loader: Arc::new(Loader::new(link.clone(), ledger.clone(), pusher.clone(), &config)),
            link,
            ledger,
            pusher,
            wheel,
            watched: Mutex::default(),
            inboxes: Mutex::new(Some((pushes, dues))),
            config,
        })))
    }

    /// Starts the background tasks: expiry, scrubber, and the publisher of pushes. Only the first call does anything.
    pub fn spawn(&self, tracker: &TaskTracker, shutdown: &CancellationToken) {
        let inboxes = self.0.inboxes.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((pushes, dues)) = inboxes else { return };
        tracker.spawn(push::run(self.0.link.clone(), pushes, shutdown.clone()));
        tracker.spawn(expiry::run_wheel(self.clone(), dues, shutdown.clone()));
        tracker.spawn(expiry::run_sweeps(self.clone(), shutdown.clone()));
        tracker.spawn(scrubber::run(self.clone(), shutdown.clone()));
    }

    pub(super) fn config(&self) -> &HoldConfig {
        &self.0.config
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.0.secret
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.0.link
    }

    pub(super) fn scripts(&self) -> &Scripts {
        &self.0.link.scripts
    }

    pub(super) fn loader(&self) -> &Arc<Loader> {
        &self.0.loader
    }

    pub(super) fn wheel(&self) -> &Wheel {
        &self.0.wheel
    }

    pub(super) fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn vitals(&self) -> &Vitals {
        &self.0.pusher.vitals
    }

    /// How this core does, for operators.
    #[must_use]
    pub fn vital_signs(&self) -> VitalSigns {
        self.vitals().signs()
    }

    pub(super) fn ledger(&self) -> &Arc<dyn LedgerReader> {
        &self.0.ledger
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), HoldError> {
        let connected = self.0.link.get().await?;
        self.0.link.command(&connected, &redis::cmd("PING")).await.map(drop)
    }

    /// Holds seats, all or none. The same key answers the same hold in its current state.
    ///
    /// # Errors
    /// When Redis or, for a show that is not loaded, the ledger is out of reach.
    pub async fn hold(
        &self,
        show: ShowId,
        customer: &CustomerId,
        key: &IdempotencyKey,
        seats: &[SeatIndex],
        best: Option<&BestAvailable>,
    ) -> Outcome<HoldInfo> {
        let seats = match wanted(seats, best) {
            Ok(seats) => seats,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let id = self.0.secret.hold_id(Purpose::Customer, customer, show, key.as_str());
        let request = HoldRequest { id, customer, seats: &seats, best, hold_ms: self.0.config.hold_ms, mode: "" };
        let placed = self.place(show, &request).await?;
        if let Ok(hold) = &placed {
            if hold.phase != HoldPhase::Ended {
                self.announce(customer, hold);
            }
            metrics::counter!(names::HOLDS_GRANTED).increment(1);
        } else {
            metrics::counter!(names::HOLDS_REFUSED).increment(1);
        }
        Ok(placed)
    }

    pub(super) async fn place(&self, show: ShowId, request: &HoldRequest<'_>) -> Outcome<HoldInfo> {
        let config = &self.0.config;
        let (count, tier) = request.best.map_or((0, -1), |b| (b.count, b.tier.map_or(-1, i64::from)));
        let body = digest(&[&seat_bytes(request.seats), &count.to_be_bytes(), &tier.to_be_bytes()]);
        let arguments = |cmd: &mut Cmd| {
            cmd.arg(&request.id.0).arg(request.customer.as_str()).arg(&body).arg(request.hold_ms);
            cmd.arg(config.grace_ms).arg(config.seats_max).arg(config.holds_max);
            cmd.arg(config.lapses_max).arg(config.cool_down_ms).arg(request.mode).arg(count).arg(tier);
            for seat in request.seats {
                cmd.arg(seat.0);
            }
        };
        let reply = match self.call_ready(&self.scripts().hold, show, &arguments).await? {
            Ok(reply) => reply,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.tell_ended(show, &reply.ended(1)?);
        match reply.code() {
            "OK" => reply::hold_info(show, reply.field(0)?, config).map(Ok),
            _ => reply.refusal(config).map(Err),
        }
    }

    /// More time; the same key extends once.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn extend(
        &self,
        show: ShowId,
        customer: &CustomerId,
        hold: HoldId,
        key: &IdempotencyKey,
    ) -> Outcome<HoldInfo> {
        let config = &self.0.config;
        let key = digest(&[key.as_str().as_bytes()]);
        let arguments = |cmd: &mut Cmd| {
            cmd.arg(&hold.0).arg(customer.as_str()).arg(&key).arg(config.hold_ms).arg(config.grace_ms);
            cmd.arg(config.extensions).arg(config.lifetime_ms);
        };
        let extended = self.own_hold(&self.scripts().extend, show, &arguments).await?;
        if let Ok(hold) = &extended {
            self.announce(customer, hold);
        }
        Ok(extended)
    }

    /// Gives the seats back.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn release(&self, show: ShowId, customer: &CustomerId, hold: HoldId) -> Outcome<Released> {
        self.end(show, Some(customer), hold, "").await
    }

    /// Ends a hold by an operator's act.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn force_release(&self, show: ShowId, hold: HoldId) -> Outcome<Released> {
        self.end(show, None, hold, "").await
    }

    pub(super) async fn end(
        &self,
        show: ShowId,
        customer: Option<&CustomerId>,
        hold: HoldId,
        mode: &str,
    ) -> Outcome<Released> {
        let customer = customer.map_or("", CustomerId::as_str);
        let arguments = |cmd: &mut Cmd| {
            cmd.arg(&hold.0).arg(customer).arg(self.0.config.grace_ms).arg(mode);
        };
        let reply = match self.call_ready(&self.scripts().release, show, &arguments).await? {
            Ok(reply) => reply,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if reply.code() != "OK" {
            return reply.refusal(&self.0.config).map(Err);
        }
        let position = reply.position(0)?;
        self.tell_ended(show, &reply.ended(2)?);
        Ok(Ok(Released { hold, position }))
    }

    /// Calls a script that answers the caller's own hold.
    pub(super) async fn own_hold(
        &self,
        script: &Script,
        show: ShowId,
        arguments: &(dyn Fn(&mut Cmd) + Send + Sync),
    ) -> Outcome<HoldInfo> {
        let reply = match self.call_ready(script, show, arguments).await? {
            Ok(reply) => reply,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match reply.code() {
            "OK" => reply::hold_info(show, reply.field(0)?, &self.0.config).map(Ok),
            _ => reply.refusal(&self.0.config).map(Err),
        }
    }

    /// Calls a script of a show, with what all of them start with.
    pub(super) async fn call(
        &self,
        script: &Script,
        show: ShowId,
        generation: u64,
        arguments: &(dyn Fn(&mut Cmd) + Send + Sync),
    ) -> Result<Reply, HoldError> {
        let keys = ShowKeys::new(show);
        let kept = self.0.config.kept();
        let fill = |cmd: &mut Cmd, connected: &Connected| {
            keys.arguments(cmd, connected, generation, kept);
            arguments(cmd);
        };
        Reply::read(self.0.link.run(script, &fill).await?)
    }

    /// Calls a script of a show, after loading the show where that is needed.
    pub(super) async fn call_ready(
        &self,
        script: &Script,
        show: ShowId,
        arguments: &(dyn Fn(&mut Cmd) + Send + Sync),
    ) -> Outcome<Reply> {
        let deadline = Instant::now() + Duration::from_millis(self.0.config.load_wait_ms);
        loop {
            let reply = self.call(script, show, self.0.loader.floor(show), arguments).await?;
            if !matches!(reply.code(), "NOT_LOADED" | "NOT_READY" | "BEHIND") {
                return Ok(Ok(reply));
            }
            match self.0.loader.ensure(show, deadline).await {
                Some(Landed::Ready) if Instant::now() < deadline => {}
                Some(Landed::NoSuchShow) => return Ok(Err(Refusal::NoSuchShow)),
                Some(Landed::Failed(error)) => return Err(error),
                Some(Landed::Ready) | None => {
                    return Ok(Err(Refusal::NotReady { retry_after_ms: RETRY_AFTER_MS }));
                }
            }
        }
    }

    /// Loads a show in the background; what is below `generation` is not served any more.
    pub(super) fn start_loading(&self, show: ShowId, generation: u64) {
        self.0.loader.raise_floor(show, generation);
        let loader = self.0.loader.clone();
        tokio::spawn(async move { loader.ensure(show, Instant::now()).await });
    }

    /// Tells every gateway that listens.
    ///
    /// # Errors
    /// [`HoldError`], when Redis did not take it.
    pub async fn tell_gateways(&self, message: &ControlMessage) -> Result<(), HoldError> {
        push::tell_gateways(&self.0.link, message).await
    }

    /// Tells a customer's gateways something of his own. Lost when Redis is out of reach: gateways ask again then.
    pub async fn push(&self, customer: &CustomerId, push: &Push) {
        self.0.pusher.push(customer, push);
    }

    /// Tells the owner the present state of a hold, and notes its end for the timing wheel.
    pub(super) fn announce(&self, customer: &CustomerId, hold: &HoldInfo) {
        self.0.wheel.note(hold.show, hold.remaining_ms + self.0.config.grace_ms);
        self.0.pusher.push(customer, &Push::Hold { hold: hold.clone() });
    }

    /// Tells the owners of holds that ended.
    pub(super) fn tell_ended(&self, show: ShowId, ended: &[Ended]) {
        self.0.pusher.tell_ended(show, ended);
    }
}

/// What [`HoldStore::place`] passes on.
pub(super) struct HoldRequest<'a> {
    pub(super) id: HoldId,
    pub(super) customer: &'a CustomerId,
    /// Ascending, without repetition.
    pub(super) seats: &'a [SeatIndex],
    pub(super) best: Option<&'a BestAvailable>,
    pub(super) hold_ms: u64,
    pub(super) mode: &'static str,
}

/// The seats of a request in ascending order, when it makes sense.
fn wanted(seats: &[SeatIndex], best: Option<&BestAvailable>) -> Result<Vec<SeatIndex>, Refusal> {
    let invalid = |field, message| Err(Refusal::Invalid { field, message });
    if let Some(best) = best {
        if !seats.is_empty() {
            return invalid("best", "either seats or best, not both");
        }
        if best.count == 0 || best.count as usize > SEATS_PER_HOLD_MAX {
            return invalid("best.count", "1 to 10 seats");
        }
        return Ok(Vec::new());
    }
    if seats.is_empty() || seats.len() > SEATS_PER_HOLD_MAX {
        return invalid("seats", "1 to 10 seats");
    }
    let mut sorted = seats.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != seats.len() {
        return invalid("seats", "the same seat is named twice");
    }
    Ok(sorted)
}
