//! The authority of Seatwire: seat holds in Redis, bookings and money in PostgreSQL.

pub mod holds;
