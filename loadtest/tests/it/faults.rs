//! The faults of docs/FAULTS.md that touch Redis, the cores and the clocks, each fired while customers buy. Beside each
//! row's own hypothesis, always: every viewer ends with Redis' map and saw no gap, nothing told is lost, and the audit.
//!
//! `SEATWIRE_TEST_FAULTS` sets how often each is fired. Times to be right again are printed, not judged.

mod buyers;
mod clocks;
mod cores;
mod feed;
mod redis;
mod rig;
mod witness;

use seatwire_loadtest::faults::Fault;
use seatwire_loadtest::launcher::{Clock, Link, StackOptions, can_mount};

use crate::support::number;
use rig::{Lives, Rig};

fn rounds() -> u64 {
    number("SEATWIRE_TEST_FAULTS", 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_redis_feed_and_cores_end_right() {
    let options = StackOptions::new().proxy(Link::CoreRedis).proxy(Link::GatewayRedis).redis_append_only();
    let mut rig = Rig::open(options, Lives::Long).await;
    for _ in 0..rounds() {
        cores::a_core_killed_in_a_claim(&mut rig).await;
        cores::a_core_killed_in_a_settlement(&mut rig).await;
        cores::cores_killed_between_commit_and_apply(&mut rig).await;
        redis::flushed_scripts_are_not_noticed(&mut rig).await;
        feed::a_dropped_subscription_ends_in_a_snapshot(&mut rig).await;
        feed::a_slow_feed_is_late_and_right(&mut rig).await;
        feed::viewers_are_told_of_a_half_open_feed(&mut rig).await;
        feed::a_deaf_subscription_is_found(&mut rig).await;
        redis::an_empty_redis_is_filled_again(&mut rig).await;
        redis::a_restarted_redis_keeps_holds(&mut rig).await;
        redis::a_stopped_redis_stops_holds_and_not_money(&mut rig).await;
        redis::a_full_redis_stops_holds_and_not_money(&mut rig, Fault::FillMemory).await;
        redis::after_a_failover_the_first_claim_wins(&mut rig).await;
    }
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_steps_a_full_disk_and_a_sleeping_core_end_right() {
    let mut options = StackOptions::new().clocks();
    if can_mount() {
        options = options.redis_append_only().redis_disk_mib(8);
    }
    let mut rig = Rig::open(options, Lives::Short).await;
    let mut held_in_steps = Vec::new();
    for _ in 0..rounds() {
        cores::a_core_that_wakes_after_a_holds_end_is_refused(&mut rig).await;
        if can_mount() {
            redis::a_full_redis_stops_holds_and_not_money(&mut rig, Fault::FillDisk).await;
        } else {
            rig.skip(Fault::FillDisk, "mounting needs root");
        }
        for clock in [Clock::Redis, Clock::Cores, Clock::Postgres] {
            for fault in [Fault::ClockBehind(clock), Fault::ClockAhead(clock)] {
                if rig.shop.stack.has_clocks() {
                    held_in_steps.push(clocks::a_step_sells_nothing_twice(&mut rig, fault).await);
                } else {
                    rig.skip(fault, "the clock shim could not be built");
                }
            }
        }
    }
    for witness in &held_in_steps {
        clocks::ends(&rig, witness).await;
    }
    clocks::end_what_the_steps_left(&rig);
    rig.close().await;
}
