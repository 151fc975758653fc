//! Integration tests of the test tools and of the whole stack: real processes, real sockets.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod calibrate;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod cold_show;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod failpoints;
#[cfg(test)]
mod fault_proxy;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod late_payments;
#[cfg(test)]
mod liar;
#[cfg(test)]
mod orphans;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod stack;
#[cfg(test)]
mod support;
#[cfg(test)]
mod thundering_herd;
#[cfg(test)]
mod up;
