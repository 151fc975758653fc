//! Holds on a real Redis. The ledger is a plain struct of the test: what matters here is what Redis does with its news.

mod booking;
mod contention;
mod feed;
mod ledger;
mod lifecycle;
mod loading;
mod stage;
