//! Changes at a fixed rate over the real path: the script calls that a core makes for a hold of three seats and for its
//! release, sent to Redis when they are due. The scripts change the maps, give out sequences and publish the batches.
//! When each call left is noted under the sequence that it takes, so that viewers can tell how old a batch is.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::{Buf as _, BytesMut};
use hdrhistogram::Histogram;
use rand::seq::SliceRandom as _;
use seatwire_protocol::command::{GetSnapshot, HoldSeats, ReleaseHold};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::{CustomerId, HoldId, IdempotencyKey, Position, SeatIndex, SeatStatus, ShowId};

use super::capture::{Monitor, Pattern, Watched};
use super::crowd::{Published, histogram};
use super::raw;
use super::rig::{Rig, call};

const WATCHED: &str = "bench-pattern";
/// Between two looks whether something is due.
const NAP: Duration = Duration::from_micros(500);
const PATIENCE: Duration = Duration::from_secs(10);

/// One show whose seats come and go.
struct Stage {
    show: ShowId,
    hold: Pattern,
    release: Pattern,
    position: Position,
    published: Arc<Published>,
    /// First seats of runs of three that nobody holds, in random order.
    free: VecDeque<u32>,
    held: VecDeque<(HoldId, String, u32)>,
    /// Half of its seats.
    held_max: usize,
}

/// Publishes on one connection.
pub(super) struct Publisher {
    redis: TcpStream,
    stages: Vec<Stage>,
    input: BytesMut,
    unanswered: u64,
    customers: u64,
    next_stage: usize,
    /// Ends a run early.
    stop: Arc<AtomicBool>,
}

/// What a run did.
pub(super) struct Sent {
    pub(super) batches: u64,
    /// How much later than due, microseconds.
    pub(super) late: Histogram<u64>,
}

impl Publisher {
    /// For these shows, with room to note so many batches of each.
    pub(super) async fn new(rig: &Rig, shows: &[ShowId], batches: u64) -> anyhow::Result<Self> {
        let batches = usize::try_from(batches)?;
        let redis = TcpStream::connect(rig.redis_address()?)?;
        redis.set_nodelay(true)?;
        redis.set_read_timeout(Some(PATIENCE))?;
        let mut stages = Vec::new();
        for show in shows {
            stages.push(Stage::new(rig, *show, batches).await?);
        }
        let (input, stop) = (BytesMut::new(), Arc::default());
        Ok(Self { redis, stages, input, unanswered: 0, customers: 0, next_stage: 0, stop })
    }

    /// When each show's batches were published.
    pub(super) fn published(&self) -> impl Iterator<Item = (ShowId, &Arc<Published>)> {
        self.stages.iter().map(|stage| (stage.show, &stage.published))
    }

    /// Where each show is now.
    pub(super) fn positions(&self) -> Vec<(ShowId, Position)> {
        self.stages.iter().map(|stage| (stage.show, stage.position)).collect()
    }

    /// Ends a run before its time when it is set.
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// So many batches a second, over all shows in turn.
    pub(super) fn run(&mut self, per_second: u32, length: Duration) -> anyhow::Result<Sent> {
        // Seats stay held for about half a second, so that some changes meet in one frame and most do not.
        let keep = (per_second as usize / 2 / self.stages.len().max(1)).max(1);
        let mut sent = Sent { batches: 0, late: histogram()? };
        let (began, gap) = (Instant::now(), Duration::from_secs(1) / per_second);
        let mut due = began;
        let mut out = Vec::new();
        self.stop.store(false, Ordering::Relaxed);
        while due < began + length && !self.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            while due <= now {
                let _ = sent.late.record(u64::try_from(now.duration_since(due).as_micros())?);
                self.put(&mut out, keep, now)?;
                sent.batches += 1;
                // Spread, so that nothing keeps step with a tick.
                due = began + gap * u32::try_from(sent.batches)? + gap.mul_f64(rand::random_range(0.0..0.9));
            }
            self.redis.write_all(&out)?;
            out.clear();
            self.take_answers(false)?;
            std::thread::sleep(NAP.min(due.saturating_duration_since(Instant::now())));
        }
        self.take_answers(true)?;
        Ok(sent)
    }

    /// Gives all seats back.
    pub(super) fn release_all(&mut self) -> anyhow::Result<()> {
        let mut out = Vec::new();
        for stage in &mut self.stages {
            while stage.put_release(&mut out, Instant::now()) {
                self.unanswered += 1;
            }
        }
        self.redis.write_all(&out)?;
        self.take_answers(true)
    }

    fn put(&mut self, out: &mut Vec<u8>, keep: usize, now: Instant) -> anyhow::Result<()> {
        let count = self.stages.len();
        let stage = self.stages.get_mut(self.next_stage % count.max(1)).context("no show")?;
        self.next_stage += 1;
        self.unanswered += 1;
        if stage.held.len() > keep.min(stage.held_max) && stage.put_release(out, now) {
            return Ok(());
        }
        self.customers += 1;
        stage.put_hold(out, format!("bench-{}-{}", stage.position.generation, self.customers), now)
    }

    /// Reads what Redis answered; `all`: waits for the last answer.
    fn take_answers(&mut self, all: bool) -> anyhow::Result<()> {
        self.redis.set_nonblocking(!all)?;
        let mut bytes = [0; 16 << 10];
        while self.unanswered > 0 {
            match self.redis.read(&mut bytes) {
                Ok(0) => bail!("Redis closed the connection"),
                Ok(count) => self.input.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock && !all => break,
                Err(error) => return Err(error).context("Redis does not answer"),
            }
            while let Some(length) = raw::skip(&self.input, 0)? {
                let code = raw::code(self.input.get(..length).unwrap_or_default());
                if code != b"OK" {
                    bail!("a script answered {}", String::from_utf8_lossy(code));
                }
                self.input.advance(length);
                self.unanswered = self.unanswered.saturating_sub(1);
            }
        }
        self.redis.set_nonblocking(false)?;
        Ok(())
    }
}

impl Stage {
    async fn new(rig: &Rig, show: ShowId, batches: usize) -> anyhow::Result<Self> {
        let snapshot = call(&rig.client, &GetSnapshot { show }).await?;
        let statuses = PackedStatuses::from_bytes(snapshot.seats, &snapshot.statuses).context("statuses")?;
        let free = |seat: u32| statuses.get(SeatIndex(seat)) == Some(SeatStatus::Available);
        let runs = (0..snapshot.seats.saturating_sub(2)).step_by(3);
        let mut starts: Vec<u32> = runs.filter(|start| (*start..start + 3).all(free)).collect();
        // The last ones: their numbers are no others that a call has.
        let (hold, release) = watched(rig, show, *starts.last().context("no free seats")?).await?;
        starts.shuffle(&mut rand::rng());
        // The watched hold took two.
        let position = call(&rig.client, &GetSnapshot { show }).await?.position;
        let published = Arc::new(Published::with_room(batches));
        let (held_max, free) = (starts.len() / 2, starts.into());
        Ok(Self { show, hold, release, position, published, free, held: VecDeque::new(), held_max })
    }

    fn put_hold(&mut self, out: &mut Vec<u8>, customer: String, now: Instant) -> anyhow::Result<()> {
        let start = self.free.pop_front().context("every seat is held")?;
        let hold = HoldId(rand::random());
        self.hold.put(out, hold, &customer, [start, start + 1, start + 2]);
        self.held.push_back((hold, customer, start));
        self.note(now);
        Ok(())
    }

    fn put_release(&mut self, out: &mut Vec<u8>, now: Instant) -> bool {
        let Some((hold, customer, start)) = self.held.pop_front() else { return false };
        self.release.put(out, hold, &customer, [0; 3]);
        self.free.push_back(start);
        self.note(now);
        true
    }

    /// Redis runs the calls of one connection in order, and each takes one sequence.
    fn note(&mut self, now: Instant) {
        self.position = self.position.next();
        self.published.note(self.position, now);
    }
}

/// The script calls of a hold and a release at this show.
async fn watched(rig: &Rig, show: ShowId, start: u32) -> anyhow::Result<(Pattern, Pattern)> {
    let monitor = Monitor::open(rig.redis_address()?)?;
    let (customer, seats) = (CustomerId::new(WATCHED)?, [start, start + 1, start + 2]);
    let key = IdempotencyKey::new(&uuid::Uuid::new_v4().to_string())?;
    let wanted = seats.map(SeatIndex).to_vec();
    let hold = HoldSeats { show, customer: customer.clone(), key, seats: wanted, best: None };
    let hold = call(&rig.client, &hold).await?.hold;
    call(&rig.client, &ReleaseHold { show, customer, hold }).await?;
    monitor.hold_and_release(&Watched { hold, customer: WATCHED, seats })
}
