//! Bots: each is one customer with several connections, who takes as many seats as the product lets it, holds them as long
//! as it can, never buys, and takes again what it lost. Bots are as quick as the network.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use seatwire_protocol::command::HoldInfo;
use seatwire_protocol::viewer::ShowViewer;
use seatwire_protocol::{CustomerId, ErrorBody, ErrorCode, SeatIndex, SeatStatus, ShowId};
use tokio_util::sync::CancellationToken;

use crate::client::{ClientOptions, ViewerClient, new_key, sign_token};
use crate::launcher::Addresses;
use crate::run::goals::float;

/// All of them.
pub(super) struct Bots {
    pub(super) at: Addresses,
    pub(super) show: ShowId,
    /// Connections of each; each of them tries to hold something.
    pub(super) connections: usize,
    /// Seats that one customer may have; more are never granted.
    pub(super) seats_max: usize,
    pub(super) over: CancellationToken,
    pub(super) did: Did,
}

/// What became of what they tried.
#[derive(Debug, Default)]
pub(super) struct Did {
    pub(super) granted: AtomicU64,
    pub(super) extended: AtomicU64,
    pub(super) released: AtomicU64,
    pub(super) lapsed: AtomicU64,
    /// By the answer's code.
    pub(super) refused: Mutex<BTreeMap<String, u64>>,
}

impl Did {
    pub(super) fn figures(&self) -> BTreeMap<&'static str, f64> {
        let count = |counter: &AtomicU64| float(counter.load(Ordering::Relaxed));
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |code: ErrorCode| refused.get(code.as_str()).copied().unwrap_or(0);
        let known = [ErrorCode::Taken, ErrorCode::Limit, ErrorCode::RateLimited, ErrorCode::CoolDown];
        let others = refused.values().sum::<u64>() - known.into_iter().map(of).sum::<u64>();
        BTreeMap::from([
            ("bots_holds_granted", count(&self.granted)),
            ("bots_holds_extended", count(&self.extended)),
            ("bots_holds_released", count(&self.released)),
            ("bots_holds_lapsed", count(&self.lapsed)),
            ("bots_refused_taken", float(of(ErrorCode::Taken))),
            ("bots_refused_limit", float(of(ErrorCode::Limit))),
            ("bots_refused_rate_limited", float(of(ErrorCode::RateLimited))),
            ("bots_refused_cool_down", float(of(ErrorCode::CoolDown))),
            ("bots_refused_otherwise", float(others)),
        ])
    }
}

/// What a bot does with a hold, each in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Lets it lapse.
    Lapse,
    /// Extends it as often as it may.
    Extend,
    /// Gives it back before its end and holds the same seats anew.
    Renew,
}

/// What the name of every bot begins with.
pub(super) const NAME: &str = "bot-";

impl Bots {
    /// Plays one of them until it is over; what it holds then it gives back.
    pub(super) async fn play(self: Arc<Self>, number: usize, seed: u64) -> anyhow::Result<()> {
        let name = CustomerId::new(&format!("{NAME}{}-{number}", self.show))?;
        let token = sign_token(&self.at.secrets.jwt, &name, Duration::from_secs(24 * 3_600))?;
        let mut lines = Vec::new();
        for line in 0..self.connections.max(1) {
            let gateways = &self.at.gateways;
            let gateway = gateways.get((number + line) % gateways.len().max(1)).map_or("", String::as_str);
            lines.push(ViewerClient::open(ClientOptions::new(gateway, &token)).await?);
        }
        let Some(map) = lines.first() else { return Ok(()) };
        map.watch(self.show).await?;
        let hands = lines.iter().enumerate().map(|(line, client)| {
            let rng = StdRng::seed_from_u64(seed.wrapping_add(u64::try_from(number * 100 + line).unwrap_or(0)));
            self.hand(map, client, rng)
        });
        join_all(hands).await;
        Ok(())
    }

    /// Takes seats and keeps them, again and again.
    async fn hand(&self, map: &ViewerClient, line: &ViewerClient, mut rng: StdRng) {
        while !self.over.is_cancelled() {
            let free = tokio::select! {
                free = self.free(map) => free,
                () = self.over.cancelled() => return,
            };
            let most = rng.random_range(1..=self.seats_max);
            let seats: Vec<u32> = free.choose_multiple(&mut rng, most).copied().collect();
            if !seats.is_empty()
                && let Some(hold) = self.hold(line, &seats, &mut rng).await
            {
                self.keep(line, hold, &mut rng).await;
            }
        }
    }

    /// Waits for seats that look free.
    async fn free(&self, map: &ViewerClient) -> Vec<u32> {
        if map.closed().is_some() {
            let _ = map.reconnect().await;
        }
        let free = |viewer: &ShowViewer| -> Vec<u32> {
            let Some(statuses) = viewer.map().statuses() else { return Vec::new() };
            let free = |seat: &u32| statuses.get(SeatIndex(*seat)) == Some(SeatStatus::Available);
            (0..statuses.len()).filter(free).collect()
        };
        let _ = map.wait_until("a free seat", self.show, LOOK_AGAIN, |viewer| !free(viewer).is_empty()).await;
        map.viewer(self.show, free).unwrap_or_default()
    }

    async fn hold(&self, line: &ViewerClient, seats: &[u32], rng: &mut StdRng) -> Option<HoldInfo> {
        match line.hold(self.show, &new_key(), seats).await {
            Ok(hold) => {
                self.did.granted.fetch_add(1, Ordering::Relaxed);
                Some(hold)
            }
            Err(error) => {
                self.refused(&error);
                if line.closed().is_some() {
                    let _ = line.reconnect().await;
                }
                // It is told how long to wait; it does not believe long times.
                let told = error.retry_after_ms.unwrap_or(0).min(IMPATIENT_MS);
                let pause = Duration::from_millis(told.max(rng.random_range(PAUSE_MS)));
                self.unless_over(tokio::time::sleep(pause)).await;
                None
            }
        }
    }

    async fn keep(&self, line: &ViewerClient, hold: HoldInfo, rng: &mut StdRng) {
        let mut hold = hold;
        let manner = MANNERS.choose(rng).copied().unwrap_or(Manner::Lapse);
        loop {
            let left = Duration::from_millis(hold.remaining_ms);
            if manner == Manner::Lapse {
                return self.lapse(line, &hold, left).await;
            }
            if !self.unless_over(tokio::time::sleep(left.mul_f64(LATE))).await {
                return self.give_back(line, &hold).await;
            }
            let rest = left.mul_f64(1.0 - LATE);
            if manner == Manner::Extend {
                match line.extend(self.show, &new_key(), hold.hold).await {
                    Ok(extended) => {
                        self.did.extended.fetch_add(1, Ordering::Relaxed);
                        hold = extended;
                    }
                    Err(error) => {
                        self.refused(&error);
                        return self.lapse(line, &hold, rest).await;
                    }
                }
                continue;
            }
            self.give_back(line, &hold).await;
            let seats: Vec<u32> = hold.seats.iter().map(|seat| seat.0).collect();
            match self.hold(line, &seats, rng).await {
                Some(renewed) => hold = renewed,
                None => return,
            }
        }
    }

    async fn lapse(&self, line: &ViewerClient, hold: &HoldInfo, left: Duration) {
        if self.unless_over(tokio::time::sleep(left)).await {
            self.did.lapsed.fetch_add(1, Ordering::Relaxed);
        } else {
            self.give_back(line, hold).await;
        }
    }

    async fn give_back(&self, line: &ViewerClient, hold: &HoldInfo) {
        match line.persist(LAST_WORD, || line.release(self.show, hold.hold)).await {
            Ok(_) => {
                self.did.released.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => self.refused(&error),
        }
    }

    /// False when it is over.
    async fn unless_over(&self, wait: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = wait => true,
            () = self.over.cancelled() => false,
        }
    }

    fn refused(&self, error: &ErrorBody) {
        let code = error.code.as_str().to_owned();
        *self.did.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }
}

const MANNERS: [Manner; 3] = [Manner::Lapse, Manner::Extend, Manner::Renew];
/// Of a hold's time.
const LATE: f64 = 0.8;
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const PAUSE_MS: std::ops::Range<u64> = 50..150;
const IMPATIENT_MS: u64 = 1_000;
const LAST_WORD: Duration = Duration::from_secs(10);
