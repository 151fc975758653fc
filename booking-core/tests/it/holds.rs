//! Holds on a real Redis. The ledger is a plain struct of the test: what matters here is what Redis does with its news.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers of these tests are small")]

mod best;
mod booking;
mod clock;
mod contention;
mod drift;
mod feed;
mod ledger;
mod lifecycle;
mod limits;
mod loading;
mod orphans;
mod property;
mod scripts;
mod scrubbing;
mod stage;
