//! Bookings and money on a real PostgreSQL, a real Redis and the simulated provider as a process. Workers do not run by
//! themselves: tests call their steps, so that nothing has to be slept for. Every test ends with the ledger's checks.

mod cancelling;
mod checks;
mod claims;
mod contention;
mod events;
mod guards;
mod keys;
mod late;
mod limits;
mod locking;
mod mail;
mod outages;
mod payments;
mod permutations;
mod property;
mod providers;
mod refusals;
mod rig;
mod settling;
mod together;
mod unload;
mod webhooks;
