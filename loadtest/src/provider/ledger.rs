//! The provider's books in memory: what the journal's records add up to. Pure; changed only by [`Ledger::apply`], with
//! the same records at run time and at replay.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::Shapes;
use super::entities::{Order, Payment, Refund};
use super::events::Event;

/// One atomic change: the new state of each thing that it touches. One line of the journal.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) orders: Vec<Order>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) payments: Vec<Payment>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) refunds: Vec<Refund>,
    /// Webhooks to send.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<Event>,
    /// One copy of this webhook was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delivered: Option<String>,
}

impl Record {
    pub(crate) fn is_empty(&self) -> bool {
        self.orders.is_empty()
            && self.payments.is_empty()
            && self.refunds.is_empty()
            && self.events.is_empty()
            && self.delivered.is_none()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// How new things are named and told of.
    pub(crate) shapes: Shapes,
    orders: BTreeMap<String, Order>,
    payments: BTreeMap<String, Payment>,
    refunds: BTreeMap<String, Refund>,
    orders_by_receipt: HashMap<String, String>,
    payments_by_order: HashMap<String, Vec<String>>,
    refunds_by_payment: HashMap<String, Vec<String>>,
    refunds_by_key: HashMap<String, String>,
    /// Webhooks with copies left to deliver; the store bounds their number.
    events: BTreeMap<String, Event>,
}

impl Ledger {
    pub(crate) fn apply(&mut self, record: Record) {
        for order in record.orders {
            if let Some(receipt) = &order.receipt {
                self.orders_by_receipt.insert(receipt.clone(), order.id.clone());
            }
            self.orders.insert(order.id.clone(), order);
        }
        for payment in record.payments {
            let (id, order_id) = (payment.id.clone(), payment.order_id.clone());
            if self.payments.insert(id.clone(), payment).is_none() {
                self.payments_by_order.entry(order_id).or_default().push(id);
            }
        }
        for refund in record.refunds {
            let (id, payment_id) = (refund.id.clone(), refund.payment_id.clone());
            if let Some(key) = &refund.idempotency_key {
                self.refunds_by_key.insert(key.clone(), id.clone());
            }
            if self.refunds.insert(id.clone(), refund).is_none() {
                self.refunds_by_payment.entry(payment_id).or_default().push(id);
            }
        }
        for event in record.events {
            self.events.insert(event.id.clone(), event);
        }
        if let Some(id) = record.delivered
            && let Some(event) = self.events.get_mut(&id)
        {
            event.copies_left = event.copies_left.saturating_sub(1);
            if event.copies_left == 0 {
                self.events.remove(&id);
            }
        }
    }

    pub(crate) fn order(&self, id: &str) -> Option<&Order> {
        self.orders.get(id)
    }

    pub(crate) fn order_of_receipt(&self, receipt: &str) -> Option<&Order> {
        self.orders.get(self.orders_by_receipt.get(receipt)?)
    }

    pub(crate) fn payment(&self, id: &str) -> Option<&Payment> {
        self.payments.get(id)
    }

    pub(crate) fn payments_of(&self, order_id: &str) -> impl Iterator<Item = &Payment> {
        self.payments_by_order.get(order_id).into_iter().flatten().filter_map(|id| self.payments.get(id))
    }

    pub(crate) fn refund(&self, id: &str) -> Option<&Refund> {
        self.refunds.get(id)
    }

    pub(crate) fn refund_of_key(&self, key: &str) -> Option<&Refund> {
        self.refunds.get(self.refunds_by_key.get(key)?)
    }

    pub(crate) fn refunds_of(&self, payment_id: &str) -> impl Iterator<Item = &Refund> {
        self.refunds_by_payment.get(payment_id).into_iter().flatten().filter_map(|id| self.refunds.get(id))
    }

    pub(crate) fn event(&self, id: &str) -> Option<&Event> {
        self.events.get(id)
    }

    pub(crate) fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    pub(crate) fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values()
    }

    pub(crate) fn refunds(&self) -> impl Iterator<Item = &Refund> {
        self.refunds.values()
    }

    /// Webhooks that were not delivered yet.
    pub(crate) fn events(&self) -> impl ExactSizeIterator<Item = &Event> {
        self.events.values()
    }
}
