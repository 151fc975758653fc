//! One stack on which faults are met, one after the other. Several lanes work side by side: a fault is mostly waiting.

use std::time::{Duration, Instant};

use seatwire_loadtest::audit::{AuditOptions, audit};
use seatwire_loadtest::launcher::{Service, StackOptions};

use super::Known;
use super::control::{Action, Control};
use super::rig::Rig;
use super::routes::{self, Ended, Route};
use crate::shop::Shop;

/// Longer than a restart of the core on a busy machine, so that a hold outlives it.
const OPTIONS: [(&str, u64); 4] = [
    ("SEATWIRE_HOLD_MS", 10_000),
    ("SEATWIRE_HOLD_GRACE_MS", 300),
    ("SEATWIRE_CLAIM_MS", 30_000),
    ("SEATWIRE_PAYING_MS", 10_000),
];
/// Some places only a worker's round leads to.
const FIRES_WITHIN: Duration = Duration::from_secs(20);
/// Some only a core's start: one that did not fire until then is given another.
const STARTS_AFTER: Duration = Duration::from_secs(2);
/// A payment that is settled together with somebody else's passes other places than one alone: then once more.
const STRIKES_AGAIN: usize = 2;
const NEVER_FIRED: &str = "never fired";

pub(super) struct Lane {
    control: Control,
    rig: Rig,
    shop: Shop,
}

impl Lane {
    pub(super) async fn open() -> Self {
        let control = Control::new();
        let mail = control.folder().join("mail");
        std::fs::create_dir(&mail).unwrap();
        let options = StackOptions::new().env(Service::Core, "SEATWIRE_FAILPOINTS", control.folder().display()).env(
            Service::Core,
            "SEATWIRE_MAIL_URL",
            format!("file:{}", mail.display()),
        );
        let options = OPTIONS.iter().fold(options, |options, (name, ms)| options.env(Service::Core, *name, ms));
        let shop = Shop::beside_others(options).await;
        let rig = Rig::of(&shop, mail).await;
        Self { control, rig, shop }
    }

    /// Works while its core is started again whenever it dies.
    pub(super) async fn work<T>(&mut self, work: impl AsyncFnOnce(&At<'_>) -> T) -> T {
        let Self { control, rig, shop } = self;
        let at = At { control, rig };
        tokio::select! {
            done = work(&at) => done,
            () = rig.keep_up(&mut shop.stack) => unreachable!("it ends with the work"),
        }
    }

    /// Nothing that was told is lost, and the books balance; answers how many bookings were told as confirmed.
    pub(super) async fn close(self) -> usize {
        let told = self.rig.check_told().await;
        self.shop.audit(&[("confirmed", 1)]).await;
        self.shop.stack.shutdown().await;
        told
    }
}

/// What the work on a lane needs.
pub(super) struct At<'a> {
    control: &'a Control,
    rig: &'a Rig,
}

impl At<'_> {
    /// Walks a route without a fault, and waits until all that it set off is over: no place is put down to the next route.
    pub(super) async fn survey(&self, route: &'static Route) -> Result<Known, String> {
        self.control.forget_reached();
        self.rig.restart_core().await;
        let start = Instant::now();
        let end = route.1(self.rig).await?;
        let (took, passes) = (start.elapsed(), self.control.reached());
        self.rig.comes_to_rest().await?;
        Ok(Known { route, end, took, passes, leads_to: self.control.reached() })
    }

    /// One fault on a route. One that never fired is tried again.
    pub(super) async fn strike(&self, known: &Known, name: &str, action: Action) -> Ended {
        let mut result = self.strike_once(known, name, action).await;
        for _ in 0..STRIKES_AGAIN {
            if !matches!(&result, Err(error) if error == NEVER_FIRED) {
                break;
            }
            result = self.strike_once(known, name, action).await;
        }
        result
    }

    /// One fault on a route, beside somebody else's purchase.
    async fn strike_once(&self, known: &Known, name: &str, action: Action) -> Ended {
        let Self { control, rig } = self;
        control.arm(name, action);
        let beside = async {
            // Whoever holds something when Redis loses everything has to begin anew.
            if known.route.0 == "load" { Ok("Confirmed []".to_owned()) } else { routes::purchase(rig).await }
        };
        let (end, beside) = tokio::join!(known.route.1(rig), beside);
        let (over, mut restarted) = (Instant::now(), false);
        while end.is_ok() && beside.is_ok() && !control.has_fired() && over.elapsed() < FIRES_WITHIN {
            if over.elapsed() > STARTS_AFTER && !restarted {
                restarted = true;
                rig.restart_core().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let fired = control.has_fired();
        control.disarm();
        rig.core_is_ready().await;
        let when = if fired { "" } else { ", and the fault did not fire" };
        let end = end.map_err(|error| format!("{error}{when}"))?;
        let beside = beside.map_err(|error| format!("the purchase beside it: {error}{when}"))?;
        match () {
            () if !fired => Err(NEVER_FIRED.to_owned()),
            () if end != known.end => Err(format!("ended as {end}, and without a fault as {}", known.end)),
            () if !beside.starts_with("Confirmed") => Err(format!("the purchase beside it: {beside}")),
            () => Ok(end),
        }
    }

    pub(super) async fn audited(&self) -> Result<(), String> {
        let report = audit(&self.rig.at, AuditOptions::default().wait(Duration::from_secs(60))).await;
        let clean = report.and_then(seatwire_loadtest::audit::AuditReport::into_clean);
        clean.map(drop).map_err(|error| format!("audit: {error:#}"))
    }
}
