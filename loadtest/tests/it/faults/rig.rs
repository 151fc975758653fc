//! A stack of two cores and two gateways with viewers who watch, buyers who buy all the while, and the table of what was
//! fired.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use seatwire_loadtest::audit::Sources;
use seatwire_loadtest::client::{ClientOptions, Encoding, ViewerClient, sign_token};
use seatwire_loadtest::crowd::Crowd;
use seatwire_loadtest::faults::{Fault, Normal, Report, Shot};
use seatwire_loadtest::launcher::{Service, StackOptions};
use seatwire_protocol::CustomerId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::buyers;
use crate::shop::Shop;
use crate::support::{eventually, number};

const BUYERS: u64 = 8;
const VIEWERS: u64 = 4;

/// How long holds and claims last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lives {
    /// Longer than any fault here: what is gone after it was lost.
    Long,
    /// Shorter than a fault: ends come while it lasts.
    Short,
}

const LONG: [(&str, u64); 4] = [
    ("SEATWIRE_HOLD_MS", 60_000),
    ("SEATWIRE_HOLD_GRACE_MS", 500),
    ("SEATWIRE_CLAIM_MS", 20_000),
    ("SEATWIRE_PAYING_MS", 5_000),
];
const SHORT: [(&str, u64); 4] = [
    ("SEATWIRE_HOLD_MS", 1_500),
    ("SEATWIRE_HOLD_GRACE_MS", 500),
    ("SEATWIRE_CLAIM_MS", 12_000),
    ("SEATWIRE_PAYING_MS", 4_000),
];

pub(super) struct Rig {
    pub(super) shop: Shop,
    crowd: Arc<Crowd>,
    pub(super) normal: Normal,
    report: Report,
    names: AtomicU64,
    opened: Instant,
    stop: CancellationToken,
    buyers: Vec<JoinHandle<()>>,
}

impl Rig {
    pub(super) async fn open(options: StackOptions, lives: Lives) -> Self {
        let seed = number("SEATWIRE_TEST_SEED", rand::rng().random_range(0..1_000_000));
        println!("SEATWIRE_TEST_SEED={seed}");
        let (lives, plans) = if lives == Lives::Long { (LONG, buyers::BUSY) } else { (SHORT, buyers::ALL) };
        let options = options.cores(2).gateways(2);
        let options = lives.iter().fold(options, |options, (name, ms)| options.env(Service::Core, *name, ms));
        let shop = Shop::open(options).await;
        let (stop, crowd) = (CancellationToken::new(), Arc::new(Crowd::gather(&shop.at).await.unwrap()));
        let buyers = (0..BUYERS).map(|buyer| {
            let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(buyer));
            tokio::spawn(buyers::shop_until(stop.clone(), Arc::clone(&crowd), plans, rng))
        });
        let buyers = buyers.collect();
        let names = AtomicU64::new(0);
        let mut viewers = Vec::new();
        for _ in 0..VIEWERS {
            viewers.push(enter(&shop, &names).await);
        }
        let seats = shop.last_seats(8);
        let normal = Normal::new(&shop.at, shop.show, seats, viewers);
        let begin = Instant::now();
        let without_fault = Some(normal.wait().await.unwrap().at.saturating_duration_since(begin));
        let report = Report { without_fault, ..Report::default() };
        Self { shop, crowd, normal, report, names, opened: Instant::now(), stop, buyers }
    }

    /// Somebody who watches the show; at each gateway in turn, in each encoding in turn.
    pub(super) async fn enter(&self) -> Arc<ViewerClient> {
        enter(&self.shop, &self.names).await
    }

    /// Fires at busy customers.
    pub(super) async fn fire(&mut self, fault: Fault) -> Shot {
        let shot = fault.fire(&mut self.shop.stack, &self.crowd.in_flight).await.unwrap();
        assert!(shot.in_flight > 0, "{fault:?}");
        shot
    }

    pub(super) async fn heal(&mut self, shot: &mut Shot) {
        shot.heal(&mut self.shop.stack).await.unwrap();
    }

    /// Waits until all is right again, and notes how long it took.
    pub(super) async fn measure(&mut self, shot: &Shot) {
        let outcome = shot.back_to_normal(&self.normal).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("{:?}: {error:#}", shot.fault));
        let (number, name, back_ms) = (outcome.row.number, outcome.row.name, outcome.back.as_millis());
        println!("{:>5.1} s row {number} {name}: {back_ms} ms", self.opened.elapsed().as_secs_f32());
        self.report.outcomes.push(outcome);
    }

    pub(super) fn skip(&mut self, fault: Fault, why: &'static str) {
        self.report.skipped.push((fault.row().name, why));
    }

    /// Ends the purchases and looks at everything.
    pub(super) async fn close(mut self) {
        let fired = self.report.outcomes.len();
        let enough = fired.max(10);
        eventually("as many purchases as faults", async || self.crowd.told.confirmed() >= enough).await;
        self.stop.cancel();
        for buyer in self.buyers.drain(..) {
            buyer.await.unwrap();
        }
        let (confirmed, holds) = (self.crowd.told.confirmed(), self.crowd.holds());
        println!("{confirmed} confirmed, {holds:?}");
        println!("{}", self.report);
        assert!(confirmed >= fired, "purchases came through between {fired} faults: {confirmed}");
        let begin = Instant::now();
        self.shop.audit(&[("confirmed", 10)]).await;
        for check in self.crowd.check_told(&Sources::from(&self.shop.stack.addresses())).await.unwrap() {
            assert!(check.examined > 0 && check.violations == 0, "{check:?}");
        }
        self.normal.maps_are_equal(&self.shop.stack.addresses().redis).await.unwrap();
        for viewer in self.normal.viewers() {
            let violations = viewer.read(|state| state.history().violations().to_vec());
            assert!(violations.is_empty(), "{:?} saw {violations:?}", viewer.customer());
        }
        println!("audited within {:.1} s", begin.elapsed().as_secs_f32());
        self.shop.stack.shutdown().await;
    }
}

async fn enter(shop: &Shop, names: &AtomicU64) -> Arc<ViewerClient> {
    let number = names.fetch_add(1, Ordering::Relaxed);
    let customer = CustomerId::new(&format!("watcher-{number}")).unwrap();
    let token = sign_token(&shop.at.secrets.jwt, &customer, Duration::from_secs(3_600)).unwrap();
    let turn = usize::try_from(number).unwrap();
    let gateway = &shop.at.gateways[turn % shop.at.gateways.len()];
    let encoding = Encoding::ALL[turn / shop.at.gateways.len() % Encoding::ALL.len()];
    let client = ViewerClient::open(ClientOptions::new(gateway, &token).encoding(encoding)).await.unwrap();
    client.watch(shop.show).await.unwrap();
    Arc::new(client)
}
