//! One coarse timing wheel for all connections: beats, idle sockets, stalled viewers, ends of tokens. A connection is
//! in one slot at a time; when the slot comes round it is looked at, and put where it is due next.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use seatwire_protocol::close_code::CloseCode;

use super::connection::Connection;
use crate::app::App;
use crate::clock;
use crate::config::Config;

const SLOTS: u64 = 128;
/// Connections looked at before other tasks get their turn.
const YIELD_EVERY: usize = 256;

/// The wheel; `T` is what it turns.
pub struct Wheel<T> {
    slots: Vec<Mutex<Vec<Weak<T>>>>,
    slot_ms: u64,
}

impl<T> Wheel<T> {
    /// A wheel whose slots are a fortieth of a beat wide, 10 ms to 1 s.
    pub fn new(beat: Duration) -> Self {
        let beat_ms = u64::try_from(beat.as_millis()).unwrap_or(u64::MAX);
        let slots = (0..SLOTS).map(|_| Mutex::default()).collect();
        Self { slots, slot_ms: (beat_ms / 40).clamp(10, 1_000) }
    }

    /// Puts an item where it is due; further away than the wheel is round: in the last slot, to be put again.
    pub fn put(&self, item: Weak<T>, due_ms: u64, now_ms: u64) {
        let ahead = due_ms.saturating_sub(now_ms).div_ceil(self.slot_ms).clamp(1, SLOTS.saturating_sub(1));
        let slot = (now_ms / self.slot_ms).wrapping_add(ahead) % SLOTS;
        if let Some(slot) = usize::try_from(slot).ok().and_then(|slot| self.slots.get(slot)) {
            slot.lock().unwrap_or_else(PoisonError::into_inner).push(item);
        }
    }

    /// Takes everything that became due in (`from_ms`, `to_ms`].
    pub fn take_due(&self, from_ms: u64, to_ms: u64) -> Vec<Weak<T>> {
        let (from, to) = (from_ms / self.slot_ms, to_ms / self.slot_ms);
        let count = to.saturating_sub(from).min(SLOTS);
        let mut due = Vec::new();
        for at in to.saturating_sub(count).saturating_add(1)..=to {
            if let Some(slot) = usize::try_from(at % SLOTS).ok().and_then(|slot| self.slots.get(slot)) {
                due.append(&mut slot.lock().unwrap_or_else(PoisonError::into_inner));
            }
        }
        due
    }
}

/// Turns the wheel until the end of the process.
pub async fn turn(app: Arc<App>) {
    let mut last_ms = clock::now_ms();
    let mut timer = tokio::time::interval(Duration::from_millis(app.wheel.slot_ms));
    loop {
        timer.tick().await;
        let now_ms = clock::now_ms();
        let due = app.wheel.take_due(last_ms, now_ms);
        last_ms = now_ms;
        for (at, item) in due.into_iter().enumerate() {
            if let Some(next_ms) = item.upgrade().and_then(|connection| look_at(&app.config, &connection)) {
                app.wheel.put(item, next_ms, clock::now_ms());
            }
            if at % YIELD_EVERY == YIELD_EVERY - 1 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Does what is due for a connection, and answers when to look again; `None` when it is over.
pub fn look_at(config: &Config, connection: &Connection) -> Option<u64> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (now_ms, unix_ms) = (clock::now_ms(), clock::unix_ms());
    let (blocked, progress_at_ms, ended) = {
        let outbound = connection.outbound();
        (outbound.is_blocked(), outbound.progress_at_ms(), outbound.is_ended())
    };
    if ended {
        return None;
    }
    let token_left_ms = match connection.identity() {
        Some(identity) => identity.expires_at_ms.saturating_sub(unix_ms),
        None => connection.opened_at_ms.saturating_add(ms(config.auth)).saturating_sub(now_ms),
    };
    if token_left_ms == 0 {
        connection.close(CloseCode::Unauthenticated, "the token has expired, or none came");
        return None;
    }
    let silent_ms = now_ms.saturating_sub(connection.heard_at_ms());
    if silent_ms >= ms(config.idle).saturating_mul(2) {
        connection.close(CloseCode::TimedOut, "no sign of life");
        return None;
    }
    let still_ms = now_ms.saturating_sub(progress_at_ms);
    if blocked && still_ms >= ms(config.stall) {
        connection.kill(CloseCode::TimedOut);
        return None;
    }
    let ping = silent_ms >= ms(config.idle);
    // Between 70 % and 90 % of the beat, by where the connection lies in memory: a round must not make all beats fall
    // due together for ever after, and the wheel may be a slot late.
    let spread = (std::ptr::from_ref(connection).addr() as u64 >> 6) % 20;
    let beat_ms = ms(config.beat).saturating_mul(spread.saturating_add(70)) / 100;
    let next_ms = if !blocked && (still_ms >= beat_ms || ping) {
        connection.beat(ping);
        now_ms.saturating_add(beat_ms)
    } else if blocked {
        progress_at_ms.saturating_add(ms(config.stall))
    } else {
        progress_at_ms.saturating_add(beat_ms)
    };
    let idle_ms = now_ms.saturating_add(ms(config.idle).saturating_sub(silent_ms).max(ms(config.idle) / 4));
    Some(next_ms.min(idle_ms).min(now_ms.saturating_add(token_left_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_out_once_and_not_before_its_time() {
        let wheel: Wheel<u64> = Wheel::new(Duration::from_secs(4));
        let items: Vec<_> = (0..200_u64).map(|n| Arc::new(n * 37)).collect();
        for item in &items {
            wheel.put(Arc::downgrade(item), 1_000 + **item, 1_000);
        }
        let mut seen = 0;
        for step in 0..200 {
            let (from, to) = (1_000 + step * 100, 1_100 + step * 100);
            for item in wheel.take_due(from, to) {
                let item = item.upgrade().unwrap();
                let horizon = 1_000 + (SLOTS - 2) * 100;
                assert!(to + 100 >= (1_000 + *item).min(horizon), "{item} at {to}");
                seen += 1;
            }
        }
        assert_eq!(seen, items.len());
    }
}
