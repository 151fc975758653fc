//! Who may open a WebSocket: caps of the process and of an address, a bucket for the rate of joins, and the exact list
//! of origins. All answers are given before the upgrade.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::Config;

/// Addresses remembered by a limiter; above it, those with nothing to remember are forgotten.
const ADDRESSES_MAX: usize = 100_000;

/// Why a WebSocket is not admitted; the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    Process,
    Address,
    Rate,
}

impl NotAdmitted {
    pub fn label(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Address => "address",
            Self::Rate => "rate",
        }
    }
}

/// The gate.
pub struct Admission {
    open: AtomicU32,
    open_max: u32,
    per_address: Mutex<HashMap<IpAddr, u32>>,
    per_address_max: u32,
    joins: DefaultDirectRateLimiter,
    guests: DefaultKeyedRateLimiter<IpAddr>,
    requests: DefaultKeyedRateLimiter<IpAddr>,
    origins: Vec<String>,
    trusted_proxies: Vec<IpAddr>,
}

/// A place among the open WebSockets; given back when dropped.
pub struct Admitted {
    gate: Arc<Admission>,
    address: IpAddr,
}

/// What an `Origin` header means for a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// One of ours.
    Ours,
    /// None: not a browser.
    Absent,
    /// Somebody else's page.
    Foreign,
}

impl Admission {
    /// The gate; `listen` is the address that the page is served at.
    pub fn new(config: &Config, listen: std::net::SocketAddr) -> Self {
        let per_second = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let joins = Quota::per_second(per_second(config.joins_per_second_max))
            .allow_burst(per_second(config.joins_per_second_max.saturating_mul(2)));
        let guests = Quota::per_minute(per_second(config.guests_per_minute_max));
        let mut origins = config.origins.clone();
        origins.push(format!("http://{listen}"));
        origins.push(format!("http://localhost:{}", listen.port()));
        Self {
            open: AtomicU32::new(0),
            open_max: config.connections_max,
            per_address: Mutex::default(),
            per_address_max: config.connections_per_address_max,
            joins: RateLimiter::direct(joins),
            guests: RateLimiter::dashmap(guests),
            requests: RateLimiter::dashmap(Quota::per_second(per_second(config.requests_per_second_max))),
            origins,
            trusted_proxies: config.trusted_proxies.clone(),
        }
    }

    /// Takes a place for a WebSocket of `address`.
    ///
    /// # Errors
    /// The cap that was reached.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, NotAdmitted> {
        if self.joins.check().is_err() {
            return Err(NotAdmitted::Rate);
        }
        let more = |open: u32| (open < self.open_max).then_some(open.saturating_add(1));
        if self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            return Err(NotAdmitted::Process);
        }
        let mut per_address = self.lock_addresses();
        let count = per_address.entry(address).or_default();
        if *count >= self.per_address_max {
            drop(per_address);
            self.open.fetch_sub(1, Ordering::AcqRel);
            return Err(NotAdmitted::Address);
        }
        *count = count.saturating_add(1);
        drop(per_address);
        Ok(Admitted { gate: Arc::clone(self), address })
    }

    /// Whether an address may have one more guest token.
    pub fn may_mint(&self, address: IpAddr) -> bool {
        may(&self.guests, address)
    }

    /// Whether an address may send one more request.
    pub fn may_request(&self, address: IpAddr) -> bool {
        may(&self.requests, address)
    }

    /// WebSockets open now.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Acquire)
    }

    /// Compares the whole header, byte by byte; two headers are foreign.
    pub fn origin(&self, headers: &HeaderMap) -> Origin {
        let mut values = headers.get_all(ORIGIN).iter();
        match (values.next(), values.next()) {
            (None, _) => Origin::Absent,
            (Some(value), None) if self.origins.iter().any(|ours| ours.as_bytes() == value.as_bytes()) => Origin::Ours,
            (Some(_), _) => Origin::Foreign,
        }
    }

    /// The client's address: what a trusted proxy says of it, else the peer's own.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusted_proxies.contains(&peer) {
            return peer;
        }
        // Only the last entry that no trusted proxy wrote of another can be believed.
        let lines = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        let mut hops = hops.into_iter().rev().map_while(|hop| hop.parse::<IpAddr>().ok());
        hops.find(|hop| !self.trusted_proxies.contains(hop)).unwrap_or(peer)
    }

    fn lock_addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.per_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn may(limiter: &DefaultKeyedRateLimiter<IpAddr>, address: IpAddr) -> bool {
    if limiter.len() > ADDRESSES_MAX {
        limiter.retain_recent();
    }
    limiter.check_key(&address).is_ok()
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut per_address = self.gate.lock_addresses();
        if let Some(count) = per_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                per_address.remove(&self.address);
            }
        }
        drop(per_address);
        self.gate.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn gate(change: impl FnOnce(&mut Config)) -> Arc<Admission> {
        let mut config = crate::config::tests::config(&["--origins", "https://good.com"]);
        change(&mut config);
        Arc::new(Admission::new(&config, "127.0.0.1:7000".parse().unwrap()))
    }

    #[test]
    fn caps_count_and_places_come_back() {
        let gate = gate(|c| (c.connections_max, c.connections_per_address_max) = (3, 2));
        let [a, b]: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let first = gate.admit(a).ok().unwrap();
        let _second = gate.admit(a).ok().unwrap();
        assert_eq!(gate.admit(a).err(), Some(NotAdmitted::Address));
        let _third = gate.admit(b).ok().unwrap();
        assert_eq!(gate.admit(b).err(), Some(NotAdmitted::Process));
        drop(first);
        assert!(gate.admit(a).is_ok());
        assert_eq!(gate.open(), 2, "the last one was dropped at once");
    }

    #[test]
    fn only_exact_origins_are_ours() {
        let gate = gate(|_| ());
        let origin = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_str(value).unwrap());
            gate.origin(&headers)
        };
        for ours in ["https://good.com", "http://127.0.0.1:7000", "http://localhost:7000"] {
            assert_eq!(origin(ours), Origin::Ours, "{ours}");
        }
        let foreign =
            ["null", "https://good.com.evil.com", "https://GOOD.com", "http://good.com", "https://good.com:443"];
        for foreign in foreign {
            assert_eq!(origin(foreign), Origin::Foreign, "{foreign}");
        }
        assert_eq!(gate.origin(&HeaderMap::new()), Origin::Absent);
    }

    #[test]
    fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
        let proxy: IpAddr = "10.0.0.9".parse().unwrap();
        let gate = gate(|c| c.trusted_proxies = vec![proxy]);
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 1.2.3.4, 10.0.0.9"));
        let stranger: IpAddr = "9.9.9.9".parse().unwrap();
        assert_eq!(gate.client_address(stranger, &headers), stranger);
        assert_eq!(gate.client_address(proxy, &headers), "1.2.3.4".parse::<IpAddr>().unwrap());
        assert_eq!(gate.client_address(proxy, &HeaderMap::new()), proxy);
    }
}
