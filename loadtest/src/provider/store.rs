//! Ledger and journal under one lock: a change is computed on the ledger, written to the journal, applied, and only
//! then answered. A commit is a few microseconds of memory and one file write, so the lock is a plain one.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::entities::{Payment, Refund};
use super::error::ApiError;
use super::events::Event;
use super::journal::Journal;
use super::ledger::{Ledger, Record};
use super::timetable::Timetable;
use super::{Shapes, now_ms, operations};

/// A change that comes by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LateChange {
    Capture { payment: String },
    EndRefund { refund: String },
}

pub(crate) struct Store {
    books: Mutex<(Ledger, Journal)>,
    /// Event id and failed attempts so far, by when to send it next.
    pub(crate) deliveries: Timetable<(String, u32)>,
    late_changes: Timetable<LateChange>,
}

impl Store {
    pub(crate) fn open(dir: &Path, shapes: Shapes) -> anyhow::Result<Self> {
        let (journal, mut ledger) = Journal::open(dir)?;
        ledger.shapes = shapes;
        let store = Self {
            books: Mutex::new((Ledger::default(), journal)),
            deliveries: Timetable::new(),
            late_changes: Timetable::new(),
        };
        store.schedule(ledger.events(), ledger.payments(), ledger.refunds());
        store.books.lock().unwrap_or_else(PoisonError::into_inner).0 = ledger;
        Ok(store)
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.books.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Runs one operation. Its answer may be told once this returns.
    pub(crate) fn commit<T>(
        &self,
        operation: impl FnOnce(&Ledger) -> Result<(T, Record), ApiError>,
    ) -> Result<T, ApiError> {
        self.commit_and(operation, |record| {
            self.schedule(record.events.iter(), record.payments.iter(), record.refunds.iter());
        })
    }

    fn commit_and<T>(
        &self,
        operation: impl FnOnce(&Ledger) -> Result<(T, Record), ApiError>,
        schedule: impl FnOnce(&Record),
    ) -> Result<T, ApiError> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let (ledger, journal) = &mut *books;
        let (answer, record) = operation(ledger)?;
        if record.is_empty() {
            return Ok(answer);
        }
        if !record.events.is_empty() && ledger.events().len() >= EVENTS_MAX {
            return Err(ApiError::server("too many webhooks wait for delivery"));
        }
        journal.append(&record).map_err(|error| {
            tracing::error!(%error, "can't write the journal");
            ApiError::server("the journal can't be written")
        })?;
        schedule(&record);
        ledger.apply(record);
        Ok(answer)
    }

    /// One copy of a webhook was accepted; true when copies are left to send.
    pub(crate) fn delivered(&self, event: &str) -> Result<bool, ApiError> {
        self.commit(|ledger| {
            let left = ledger.event(event).is_some_and(|event| event.copies_left > 1);
            Ok((left, Record { delivered: Some(event.to_owned()), ..Record::default() }))
        })
    }

    /// Webhooks that are due and were held back leave in reverse, later, or more often; answers how many. Their order is
    /// kept by milliseconds between them.
    pub(crate) fn retime(&self, copies: u32, later_ms: u64, reverse: bool) -> Result<usize, ApiError> {
        let mut held: Vec<(String, u32)> = self.deliveries.take_due().into_iter().map(|(_, entry)| entry).collect();
        if reverse {
            held.reverse();
        }
        let count = held.len();
        let mut at_ms = now_ms().saturating_add(later_ms);
        for (event, attempts) in held {
            if copies > 0 {
                let more = |ledger: &Ledger| {
                    let again = ledger.event(&event).filter(|event| event.copies_left < copies).cloned();
                    let events = again.map(|event| Event { copies_left: copies, due_at_ms: at_ms, ..event });
                    Ok(((), Record { events: events.into_iter().collect(), ..Record::default() }))
                };
                // It is put into the timetable below.
                self.commit_and(more, |_| {})?;
            }
            // An attempt was made as far as the order is concerned: none is shuffled.
            self.deliveries.add(at_ms, (event, attempts.max(1)));
            at_ms += BETWEEN_MS;
        }
        Ok(count)
    }

    fn schedule<'a>(
        &self,
        events: impl Iterator<Item = &'a Event>,
        payments: impl Iterator<Item = &'a Payment>,
        refunds: impl Iterator<Item = &'a Refund>,
    ) {
        for event in events {
            self.deliveries.add(event.due_at_ms, (event.id.clone(), 0));
        }
        for payment in payments {
            if let Some(later) = &payment.later {
                self.late_changes.add(later.at_ms, LateChange::Capture { payment: payment.id.clone() });
            }
        }
        for refund in refunds {
            if let Some((at_ms, _)) = refund.later {
                self.late_changes.add(at_ms, LateChange::EndRefund { refund: refund.id.clone() });
            }
        }
    }
}

/// Carries out captures and ends of refunds that were put off. Ends with `stop`.
pub(crate) async fn run_late_changes(store: Arc<Store>, stop: CancellationToken) {
    loop {
        let change = tokio::select! {
            change = store.late_changes.next() => change,
            () = stop.cancelled() => return,
        };
        let done = store.commit(|ledger| match &change {
            LateChange::Capture { payment } => operations::capture_late(ledger, payment, now_ms()),
            LateChange::EndRefund { refund } => operations::end_refund(ledger, refund, now_ms()),
        });
        if let Err(error) = done {
            tracing::error!(error = error.description, "a late change failed; tried again");
            store.late_changes.add(now_ms().saturating_add(1000), change);
        }
    }
}

const BETWEEN_MS: u64 = 3;
/// Undelivered webhooks; payments beyond that are answered with a server error, as nobody could be told of them.
const EVENTS_MAX: usize = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_due_leaves_the_latest_first_and_as_often_as_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Shapes::Razorpay).unwrap();
        for (number, id) in ["early", "late"].into_iter().enumerate() {
            let due_at_ms = 1_000 + number as u64;
            let event = Event { id: id.to_owned(), body: String::new(), due_at_ms, copies_left: 1 };
            store.commit(|_| Ok(((), Record { events: vec![event], ..Record::default() }))).unwrap();
        }
        assert_eq!(store.retime(3, 0, true).unwrap(), 2);
        assert_eq!((store.deliveries.next().await.0, store.deliveries.next().await.0), ("late".into(), "early".into()));
        assert!(store.read(|ledger| ledger.events().all(|event| event.copies_left == 3)));
        assert_eq!(store.retime(3, 0, true).unwrap(), 0);
    }
}
