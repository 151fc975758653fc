//! What became of the payments, counted in the ledger; and whether every webhook that the provider saw accepted is there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use seatwire_protocol::ShowId;
use tokio_postgres::Client;

use crate::audit::{Check, Sources};
use crate::provider::{Delivery, deliveries};
use crate::run::report::Payments;

pub(in crate::run) struct Figures {
    pub(in crate::run) payments: Payments,
    /// Accepted means durable: each is in the inbox.
    pub(in crate::run) webhooks: Check,
}

impl Figures {
    /// `journal`: the provider's folder. Payments of one show alone, where others use the stack too; of webhooks all.
    pub(in crate::run) async fn read(sources: &Sources, journal: &Path, show: Option<ShowId>) -> anyhow::Result<Self> {
        let ledger = sources.connect_postgres().await?;
        let mut payments = counts(&ledger, show).await?;
        let mut inbox: BTreeMap<Vec<u8>, Option<String>> = BTreeMap::new();
        for row in
            ledger.query("SELECT body_hash, payment_id FROM payment_events WHERE source = 'webhook'", &[]).await?
        {
            inbox.insert(row.try_get(0)?, row.try_get(1)?);
        }
        let deliveries = deliveries(journal)?;
        let webhooks = accepted(&deliveries, &inbox);
        let mut duplicated = std::collections::BTreeSet::new();
        for delivery in deliveries.iter().filter(|delivery| delivery.accepted > 1) {
            if let Some(Some(payment)) = inbox.get(&delivery.body_hash[..]) {
                payments.duplicates_received += u64::from(delivery.accepted) - 1;
                duplicated.insert(payment.clone());
            }
        }
        payments.duplicated = duplicated.len() as u64;
        Ok(Self { payments, webhooks })
    }
}

/// What was answered with success is in the inbox, by the hash of its body.
fn accepted(deliveries: &[Delivery], inbox: &BTreeMap<Vec<u8>, Option<String>>) -> Check {
    let mut webhooks = Check::new("accepted_webhooks_are_in_the_inbox", "11 13");
    for delivery in deliveries.iter().filter(|delivery| delivery.accepted > 0) {
        let Delivery { event, body_hash, accepted } = delivery;
        webhooks.examined(1);
        let known = inbox.contains_key(&body_hash[..]);
        let text = || format!("event {event}, accepted {accepted} times, body SHA-256 {}", hex::encode(body_hash));
        webhooks.expect(known, text);
    }
    webhooks
}

async fn counts(ledger: &Client, show: Option<ShowId>) -> anyhow::Result<Payments> {
    let row = ledger.query_one(COUNTS, &[&show.map(ShowId::as_i64)]).await.context("counting payments")?;
    let count = |column: usize| anyhow::Ok(u64::try_from(row.try_get::<_, i64>(column)?)?);
    let (captured, booked, refunded) = (count(0)?, count(1)?, count(2)?);
    Ok(Payments {
        captured,
        booked,
        refunded,
        open: captured.saturating_sub(booked + refunded),
        rescued: count(3)?,
        refunded_late: count(4)?,
        refunded_double: count(5)?,
        refunded_wrong_amount: count(6)?,
        refunded_cancelled: count(7)?,
        found_by_reconciliation: count(8)?,
        duplicated: 0,
        duplicates_received: 0,
    })
}

/// What events say of a payment is gathered once: they are not indexed by payment, and there are tens of thousands.
const COUNTS: &str = "
    WITH told AS (
        SELECT payment_id, bool_or(result = 'rescued') AS rescued,
            bool_or(source = 'webhook' AND kind NOT LIKE 'refund%') AS announced
        FROM payment_events GROUP BY payment_id),
    given AS (SELECT payment_id, sum(amount) AS amount FROM refunds WHERE state = 'PROCESSED' GROUP BY payment_id)
    SELECT count(*),
        count(*) FILTER (WHERE p.outcome = 'BOOKING' AND b.state = 'CONFIRMED'),
        count(*) FILTER (WHERE given.amount = p.amount),
        count(*) FILTER (WHERE p.outcome = 'BOOKING' AND told.rescued),
        count(*) FILTER (WHERE p.outcome_reason IN ('seats_taken', 'sale_closed')),
        count(*) FILTER (WHERE p.outcome_reason = 'second_payment'),
        count(*) FILTER (WHERE p.outcome_reason = 'wrong_amount'),
        count(*) FILTER (WHERE p.outcome = 'BOOKING' AND b.state = 'CANCELLED'),
        count(*) FILTER (WHERE told.announced IS NOT TRUE)
    FROM payments p
    LEFT JOIN bookings b ON b.id = p.booking_id
    LEFT JOIN told ON told.payment_id = p.id
    LEFT JOIN given ON given.payment_id = p.id
    WHERE p.status = 'captured' AND ($1::bigint IS NULL OR b.show_id = $1)";

#[cfg(test)]
mod tests {
    use super::*;

    /// A planted violation: the inbox has lost one of two that were accepted.
    #[test]
    fn an_accepted_webhook_that_is_not_in_the_inbox_is_found_by_its_event() {
        let delivery = |event: &str, byte, accepted| Delivery { event: event.into(), body_hash: [byte; 32], accepted };
        let deliveries = [delivery("evt_kept", 1, 3), delivery("evt_lost", 2, 1), delivery("evt_refused", 3, 0)];
        let mut inbox = BTreeMap::from([(vec![1; 32], None), (vec![2; 32], Some("pay_1".to_owned()))]);
        assert_eq!(accepted(&deliveries, &inbox).violations, 0);
        inbox.remove(&vec![2; 32]);
        let check = accepted(&deliveries, &inbox);
        assert_eq!((check.examined, check.violations), (2, 1));
        assert!(check.rows[0].starts_with("event evt_lost, accepted 1 times"), "{:?}", check.rows);
    }
}
