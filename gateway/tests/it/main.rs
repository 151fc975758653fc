//! Integration tests of the gateway: `stream` drives its pure parts with random histories, `door` a process of its own
//! with every kind of bad input, `stack` a whole private Seatwire, `hot_room` one with many viewers of one show, `logout`
//! what it takes to be logged out everywhere, `feed` a gateway that falls behind, `reads` what costs a herd nothing,
//! `windows` several windows and devices of one customer there, `websocket` the standard case by case, `tidy` the sources.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod door;
mod feed;
mod hot_room;
mod logout;
mod openapi;
mod process;
mod raw;
mod reads;
mod stack;
mod stream;
mod tidy;
mod websocket;
mod windows;
