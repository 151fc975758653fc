//! Compares our books with the provider's: every capture of ours is known here, every refund there is one of ours.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;
use tokio_postgres::Transaction;

use super::Sources;
use super::report::Check;
use crate::client::Http;

/// The provider's answer to `/control/ledger`.
#[derive(Debug, Deserialize)]
pub(super) struct Books {
    orders: Vec<Order>,
    payments: Vec<Payment>,
    refunds: Vec<Refund>,
    /// What it will still do by itself.
    pub(super) webhooks_pending: u64,
    pub(super) late_pending: u64,
}

#[derive(Debug, Deserialize)]
struct Order {
    id: String,
    amount: i64,
    currency: String,
    receipt: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Payment {
    id: String,
    order_id: String,
    amount: i64,
    currency: String,
    captured: bool,
}

#[derive(Debug, Deserialize)]
struct Refund {
    id: String,
    payment_id: String,
    amount: i64,
    status: String,
}

/// `None` when there is no provider to ask.
pub(super) async fn read(sources: &Sources) -> anyhow::Result<Option<Books>> {
    let Some(provider) = &sources.provider else { return Ok(None) };
    let reply = Http::default().get(&format!("{provider}/control/ledger"), &[]).await?;
    anyhow::ensure!(reply.status == 200, "the provider's ledger: status {}", reply.status);
    serde_json::from_slice(&reply.body).map(Some).context("the provider's ledger can't be read")
}

pub(super) async fn run(ledger: &Transaction<'_>, books: &Books) -> anyhow::Result<Vec<Check>> {
    let ours = Ours::read(ledger).await?;
    Ok(vec![orders(&ours, books), payments(&ours, books), refunds(&ours, books)])
}

/// Captures of ours that our ledger does not know yet: open money.
pub(super) async fn unknown_captures(ledger: &Transaction<'_>, books: &Books) -> anyhow::Result<usize> {
    let ours = Ours::read(ledger).await?;
    let of_ours = captures_of_ours(&ours, books);
    Ok(of_ours.filter(|payment| ours.payments.get(&payment.id).is_none_or(|known| !known.captured)).count())
}

/// By the provider's ids.
struct Ours {
    orders: BTreeMap<String, Order>,
    payments: BTreeMap<String, Payment>,
    /// By payment: the refunds that have not failed.
    refunds: BTreeMap<String, Vec<Refund>>,
}

impl Ours {
    async fn read(ledger: &Transaction<'_>) -> anyhow::Result<Self> {
        let mut ours = Self { orders: BTreeMap::new(), payments: BTreeMap::new(), refunds: BTreeMap::new() };
        for row in ledger.query("SELECT id, amount, currency, receipt FROM orders", &[]).await? {
            let id: String = row.try_get(0)?;
            let (amount, currency, receipt) = (row.try_get(1)?, row.try_get(2)?, Some(row.try_get(3)?));
            ours.orders.insert(id.clone(), Order { id, amount, currency, receipt });
        }
        let query = "SELECT id, order_id, amount, currency, status = 'captured' FROM payments";
        for row in ledger.query(query, &[]).await? {
            let id: String = row.try_get(0)?;
            let (order_id, amount, currency) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            ours.payments.insert(id.clone(), Payment { id, order_id, amount, currency, captured: row.try_get(4)? });
        }
        let query = "SELECT coalesce(provider_refund_id, ''), payment_id, amount, lower(state)
            FROM refunds WHERE state <> 'FAILED'";
        for row in ledger.query(query, &[]).await? {
            let payment: String = row.try_get(1)?;
            let refund = Refund {
                id: row.try_get(0)?,
                payment_id: payment.clone(),
                amount: row.try_get(2)?,
                status: row.try_get(3)?,
            };
            ours.refunds.entry(payment).or_default().push(refund);
        }
        Ok(ours)
    }
}

/// Orders that nobody paid for need not be known here: their claims never committed.
fn orders(ours: &Ours, books: &Books) -> Check {
    let mut check = Check::new("orders_are_the_providers", "4 9");
    let theirs: BTreeMap<&str, &Order> = books.orders.iter().map(|order| (order.id.as_str(), order)).collect();
    check.examined(ours.orders.len());
    for order in ours.orders.values() {
        let same = theirs.get(order.id.as_str()).is_some_and(|theirs| {
            (theirs.amount, &theirs.currency, &theirs.receipt) == (order.amount, &order.currency, &order.receipt)
        });
        check.expect(same, || format!("{order:?}"));
    }
    check
}

/// Both ways: no capture of ours is unknown here, none here is unknown there.
fn payments(ours: &Ours, books: &Books) -> Check {
    let mut check = Check::new("captures_are_the_providers", "5 8 11 13");
    let theirs: BTreeMap<&str, &Payment> = books
        .payments
        .iter()
        .filter(|payment| payment.captured)
        .map(|payment| (payment.id.as_str(), payment))
        .collect();
    for payment in captures_of_ours(ours, books) {
        check.examined(1);
        let known = ours.payments.get(&payment.id).is_some_and(|known| known.captured);
        check.expect(known, || format!("captured there, unknown here: {payment:?}"));
    }
    for payment in ours.payments.values().filter(|payment| payment.captured) {
        let same = theirs.get(payment.id.as_str()).is_some_and(|theirs| {
            (&theirs.order_id, theirs.amount, &theirs.currency)
                == (&payment.order_id, payment.amount, &payment.currency)
        });
        check.expect(same, || format!("captured here, not so there: {payment:?}"));
    }
    check
}

fn refunds(ours: &Ours, books: &Books) -> Check {
    let mut check = Check::new("refunds_are_the_providers", "5 7");
    let mut theirs: BTreeMap<&str, Vec<&Refund>> = BTreeMap::new();
    for refund in books.refunds.iter().filter(|refund| refund.status != "failed") {
        theirs.entry(refund.payment_id.as_str()).or_default().push(refund);
    }
    for payment in captures_of_ours(ours, books) {
        let there = theirs.get(payment.id.as_str()).map_or(&[][..], Vec::as_slice);
        let here = ours.refunds.get(&payment.id).map_or(&[][..], Vec::as_slice);
        check.examined(there.len().max(here.len()));
        let same = match (there, here) {
            ([], []) => true,
            ([there], [here]) => {
                (&there.id, there.amount, &there.status) == (&here.id, here.amount, &here.status)
                    && there.amount == payment.amount
            }
            _ => false,
        };
        check.expect(same, || format!("{payment:?}: there {there:?}, here {here:?}"));
    }
    check
}

/// Others may share the merchant account: what bears neither a known order nor a receipt of ours is not looked at.
fn captures_of_ours<'a>(ours: &'a Ours, books: &'a Books) -> impl Iterator<Item = &'a Payment> {
    let receipts: BTreeMap<&str, &str> =
        books.orders.iter().filter_map(|order| Some((order.id.as_str(), order.receipt.as_deref()?))).collect();
    let is_ours = move |order: &str| {
        ours.orders.contains_key(order) || receipts.get(order).is_some_and(|receipt| is_own_receipt(receipt))
    };
    books.payments.iter().filter(move |payment| payment.captured && is_ours(&payment.order_id))
}

fn is_own_receipt(receipt: &str) -> bool {
    receipt.strip_prefix("sw_").is_some_and(|booking| booking.parse::<seatwire_protocol::BookingId>().is_ok())
}
