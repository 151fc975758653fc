//! Who may open a WebSocket: caps of the process, of an address and of a customer, a bucket for the rate of joins, and
//! the exact list of origins. All answers are given before the upgrade, but for a customer whose token comes later.

mod places;
mod waiting_line;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use seatwire_protocol::CustomerId;

use self::places::{Owner, Places};
use self::waiting_line::WaitingLine;
use crate::clock;
use crate::config::Config;

/// Addresses remembered by a limiter; above it, those with nothing to remember are forgotten.
const ADDRESSES_MAX: usize = 100_000;

/// Why a WebSocket is not admitted; the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    Process,
    Address,
    Customer,
    Rate,
}

impl NotAdmitted {
    pub fn label(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Address => "address",
            Self::Customer => "customer",
            Self::Rate => "rate",
        }
    }

    /// For the client.
    pub fn text(self) -> &'static str {
        match self {
            Self::Process => "the gateway is full",
            Self::Address => "too many connections of this address",
            Self::Customer => "too many connections of this customer",
            Self::Rate => "too many connect at this moment",
        }
    }
}

/// The gate.
pub struct Admission {
    open: AtomicU32,
    open_max: u32,
    per_address: Places,
    per_customer: Places,
    refused: WaitingLine,
    joins: DefaultDirectRateLimiter,
    guests: DefaultKeyedRateLimiter<IpAddr>,
    requests: DefaultKeyedRateLimiter<IpAddr>,
    origins: Vec<String>,
    trusted_proxies: Vec<IpAddr>,
}

/// A place among the open WebSockets; given back when dropped.
pub struct Admitted {
    gate: Arc<Admission>,
    address: Owner,
    customer: Option<Owner>,
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
            per_address: Places::new(config.connections_per_address_max),
            per_customer: Places::new(config.connections_per_customer_max),
            refused: WaitingLine::new(config.joins_per_second_max),
            joins: RateLimiter::direct(joins),
            guests: RateLimiter::dashmap(guests),
            requests: RateLimiter::dashmap(Quota::per_second(per_second(config.requests_per_second_max))),
            origins,
            trusted_proxies: config.trusted_proxies.clone(),
        }
    }

    /// Takes a place for a WebSocket of `address`, and of its customer where the token came with it.
    ///
    /// # Errors
    /// The cap that was reached.
    pub fn admit(self: &Arc<Self>, address: IpAddr, customer: Option<&CustomerId>) -> Result<Admitted, NotAdmitted> {
        if self.joins.check().is_err() {
            return Err(NotAdmitted::Rate);
        }
        let more = |open: u32| (open < self.open_max).then_some(open.saturating_add(1));
        let address = self.per_address.owner(&address);
        if !self.per_address.take(address) {
            return Err(NotAdmitted::Address);
        }
        if self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            self.per_address.give_back(address);
            return Err(NotAdmitted::Process);
        }
        let mut admitted = Admitted { gate: Arc::clone(self), address, customer: None };
        customer.map_or(Ok(()), |customer| admitted.speak_for(customer))?;
        Ok(admitted)
    }

    /// When somebody who was refused should come back, ms.
    pub fn come_back_after_ms(&self) -> u64 {
        self.refused.wait_ms(clock::now_ms())
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
}

fn may(limiter: &DefaultKeyedRateLimiter<IpAddr>, address: IpAddr) -> bool {
    if limiter.len() > ADDRESSES_MAX {
        limiter.retain_recent();
    }
    limiter.check_key(&address).is_ok()
}

impl Admitted {
    /// The connection is this customer's from now on.
    ///
    /// # Errors
    /// [`NotAdmitted::Customer`]; then nothing has changed.
    pub fn speak_for(&mut self, customer: &CustomerId) -> Result<(), NotAdmitted> {
        let customer = self.gate.per_customer.owner(customer);
        // A fresh token of the same customer takes no second place.
        if self.customer != Some(customer) {
            if !self.gate.per_customer.take(customer) {
                return Err(NotAdmitted::Customer);
            }
            self.give_customer_back();
            self.customer = Some(customer);
        }
        Ok(())
    }

    fn give_customer_back(&mut self) {
        if let Some(customer) = self.customer.take() {
            self.gate.per_customer.give_back(customer);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.give_customer_back();
        self.gate.per_address.give_back(self.address);
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
        let first = gate.admit(a, None).ok().unwrap();
        let _second = gate.admit(a, None).ok().unwrap();
        assert_eq!(gate.admit(a, None).err(), Some(NotAdmitted::Address));
        let _third = gate.admit(b, None).ok().unwrap();
        assert_eq!(gate.admit(b, None).err(), Some(NotAdmitted::Process));
        drop(first);
        assert!(gate.admit(a, None).is_ok());
        assert_eq!(gate.open(), 2, "the last one was dropped at once");
    }

    #[test]
    fn a_customer_has_so_many_places_wherever_it_comes_from() {
        let gate = gate(|c| c.connections_per_customer_max = 2);
        let [anna, ben] = ["anna", "ben"].map(|name| CustomerId::new(name).unwrap());
        let from = |last: u8, customer| gate.admit(IpAddr::from([10, 0, 0, last]), customer);
        let mut first = from(1, Some(&anna)).ok().unwrap();
        let mut late = from(2, None).ok().unwrap();
        assert_eq!(late.speak_for(&anna), Ok(()));
        assert_eq!(late.speak_for(&anna), Ok(()), "a fresh token takes no second place");
        assert_eq!(from(3, Some(&anna)).err(), Some(NotAdmitted::Customer));
        let mut third = from(3, None).ok().unwrap();
        assert_eq!(third.speak_for(&anna), Err(NotAdmitted::Customer));
        assert_eq!(third.speak_for(&ben), Ok(()));
        assert_eq!(first.speak_for(&ben), Ok(()), "its old place is free again");
        assert!(from(4, Some(&anna)).is_ok());
        assert_eq!(gate.open(), 3, "who was refused keeps no place");
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
