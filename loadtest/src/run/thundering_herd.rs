//! `loadtest run thundering-herd`: the doors of a show open, thousands of viewers come within seconds, and buyers fight
//! for the good seats, pay in every disorder that a provider knows, and give most seats back, so that the fight goes on;
//! meanwhile faults are fired by a plan. In the end every viewer's map is the ledger's, every history obeys the delta
//! rule, and the books are right.

mod stage;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::aftermath::Aftermath;
use super::flags::{self, HouseFlags};
use super::goals::{Goal, Time, float};
use super::harness::Watch;
use super::live::{self, Live, Now};
use super::place::Resident;
use super::recorder::Recorder;
use super::report::{FaultLine, Payments, Ratios, Report, Viewers};
use super::sale::arrivals::{self, Pace};
use super::sale::shopping::Shopping;
use super::sale::{CLAIM, Mix, Share, upsets};
use super::soak::{Growth, Limit};
use super::strikes::{FaultFlags, Ground, Plan, ToViewers};
use super::{Common, say};
use crate::crowd::{Crowd, Holds};
use crate::launcher::Stack;
use crate::provider::Shapes;
use crate::viewers::{Habits, Herd};
use stage::Stage;

/// Flags of `loadtest run thundering-herd`.
#[derive(Debug, Clone, Args)]
pub struct ThunderingHerd {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub house: HouseFlags,
    /// Of the viewers, those that drop, stall or hide, a third each.
    #[arg(long, env = "SEATWIRE_RUN_RESTLESS", default_value_t = 30, value_name = "PERCENT",
          value_parser = clap::value_parser!(u8).range(0..=99))]
    pub restless: u8,
    /// Who buys from the opening on; later there are never more at a time.
    #[arg(long, env = "SEATWIRE_RUN_BUYERS", default_value_t = 150, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub buyers: u32,
    /// Who comes to buy later, each second.
    #[arg(long, env = "SEATWIRE_RUN_BUYERS_PER_SECOND", default_value_t = 20.0, value_name = "N",
          value_parser = flags::rate)]
    pub buyers_per_second: f64,
    /// The load goes on until so many attempts for seats that others want too.
    #[arg(long, env = "SEATWIRE_RUN_ATTEMPTS", default_value_t = 5_000, value_name = "N")]
    pub attempts: u64,
    /// And until so many payments.
    #[arg(long, env = "SEATWIRE_RUN_PAYMENTS", default_value_t = 0, value_name = "N")]
    pub payments: u64,
    /// And at least so long.
    #[arg(long, env = "SEATWIRE_RUN_LENGTH", default_value = "20s", value_name = "TIME")]
    pub length: Time,
    /// Seats of the show.
    #[arg(long, env = "SEATWIRE_RUN_SEATS", default_value_t = 2_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(500..=20_000))]
    pub seats: u32,
    /// Of these, the good ones that everybody fights for.
    #[arg(long, env = "SEATWIRE_RUN_HOT", default_value_t = 150, value_name = "N",
          value_parser = clap::value_parser!(u32).range(20..=300))]
    pub hot: u32,
    /// Of granted, refused, expired, booked, rescued and refunded at least so many each [default: a 500th of the attempts].
    #[arg(long, env = "SEATWIRE_RUN_MIN_EACH", value_name = "N")]
    pub min_each: Option<u64>,
    /// Whose API the simulated payment provider of a private stack speaks.
    #[arg(long, env = "SEATWIRE_RUN_PROVIDER", value_enum, default_value_t, value_name = "NAME")]
    pub provider: Shapes,
    #[command(flatten)]
    pub faults: FaultFlags,
    /// Instead of the restless share, by scenarios that are made of this one.
    #[arg(skip)]
    pub habits: Option<Habits>,
}

/// What scenarios that are made of this one add to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) event: Option<Event>,
    /// What processes may grow by.
    pub(super) growth: Option<Limit>,
}

/// What happens once everybody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// All connections drop at once and come back within this time.
    Scatter(Duration),
    /// Each gateway in turn is restarted by SIGTERM.
    RollingRestart,
}

impl ThunderingHerd {
    /// A house full of viewers, some of whom buy; nobody is restless, nothing breaks.
    pub(super) fn calm(common: &Common, house: &HouseFlags) -> Self {
        Self {
            common: common.clone(),
            house: house.clone(),
            restless: 0,
            buyers: 40,
            buyers_per_second: 10.0,
            attempts: 0,
            payments: 0,
            length: Time(Duration::from_secs(20)),
            seats: 2_000,
            hot: 150,
            min_each: Some(0),
            provider: Shapes::default(),
            faults: FaultFlags::default(),
            habits: None,
        }
    }
}

/// Runs it.
///
/// # Errors
/// When the stack or the viewers do not start. Everything else is in the report.
pub async fn run(args: &ThunderingHerd, stop: &CancellationToken) -> anyhow::Result<Report> {
    play(args, Scene { name: "thundering-herd", event: None, growth: None }, stop).await
}

/// The same for scenarios that are made of it.
pub(super) async fn play(args: &ThunderingHerd, scene: Scene, stop: &CancellationToken) -> anyhow::Result<Report> {
    let (seed, plan) = (args.common.seed(), args.faults.plan()?);
    let (viewers, wanted) = (args.house.viewers, plan.wanted());
    if wanted > 0 || scene.event == Some(Event::RollingRestart) {
        args.common.only_private(if wanted > 0 { "--fault, --faults or --faults-plan" } else { scene.name })?;
    }
    say(&format!(
        "{}, --seed {seed}: {viewers} viewers, {} contended attempts, {wanted} faults",
        scene.name, args.attempts
    ));
    let calibration = args.common.calibration().await?;
    let mut stage = Stage::set(args, &plan, scene.event).await?;
    let has_clocks = stage.place.stack().is_some_and(Stack::has_clocks);
    let plan = if has_clocks { plan } else { plan.without_clocks() };
    let at = stage.place.addresses();
    let resident = stage.place.resident();
    let mut herd = stage.herd(args, seed).await?;
    let doors = stage.opens_at;
    tokio::time::sleep(doors.duration_since(SystemTime::now()).unwrap_or_default()).await;

    say("the doors are open");
    let watch = Watch::begin()?;
    let (over, began, cpu_before) = (CancellationToken::new(), Instant::now(), stage.place.gateways_cpu());
    let _ends_with_this = over.clone().drop_guard();
    let crowd = Crowd::gather_at(&at, stage.place.show).await?;
    let shopping = Shopping::empty(crowd, CLAIM, stop.clone()).fight(args.hot, args.hot / 3);
    let shopping = Arc::new(shopping);
    let growth = scene.growth.map(|limit| Growth::watch(&at.pids, limit));
    let recorder = Recorder::begin(Arc::clone(&shopping));
    herd.count_from(SystemTime::now()).await?;
    let upsets = tokio::spawn(upsets::run(at.provider, seed, over.clone()));
    let pace = Pace {
        herd: args.buyers,
        within: args.house.within.0,
        per_second: args.buyers_per_second,
        most: usize::try_from(args.buyers)?,
    };
    let buyers = arrivals::come(Arc::clone(&shopping), pace, (mix(), seed), watch.behind.clone(), over.clone());
    let buyers = tokio::spawn(buyers);

    let load = load((args, scene.event), &mut stage, &mut herd, &shopping, (began, plan, seed, resident), stop).await?;
    let (duration_s, done) = (watch.seconds(), recorder.end());
    let frames = herd.progress().frames;
    let gateways_cpu = stage.place.gateways_cpu().saturating_sub(cpu_before);
    let Load { faults, gateways_grew } = load;
    let (growth, grown) = growth.map(Growth::end).unwrap_or_default();
    let (mut after, place) = (Aftermath::default(), &stage.place);
    after.read("viewers' settling", herd.settle().await);
    over.cancel();
    let turned_away = after.read("buyers who turned away", buyers.await.map_err(anyhow::Error::from));
    after.read("the provider's bad moments", upsets.await.map_err(anyhow::Error::from));

    after.read("clock steps' end", stage.end_steps(&faults));
    after.audit(place, &shopping.crowd).await;
    let payments = after.payments(place).await;
    let seen = after.viewers(place, herd, &watch.behind).await;
    after.check(stage.watchers_check().await);
    let cpu = seen.as_ref().map_or(Duration::ZERO, |seen| seen.cpu);
    let harness = watch.end(cpu, args.common.limits.max_behind.0, duration_s);
    let holds = shopping.crowd.holds();
    let mut goals = goals(args, &holds, payments.as_ref(), seen.as_ref().map(|seen| &seen.viewers));
    goals.extend(growth);
    if wanted > 0 {
        goals.push(Goal::at_least("faults that met work", wanted as u64, faults.len() as u64));
        let back = faults.iter().filter(|fault| fault.back_to_normal_s.is_some()).count();
        goals.push(Goal::at_least("faults after which all was right", wanted as u64, back as u64));
    }
    // A gateway that was started anew has forgotten what it used.
    let stayed = faults.is_empty() && scene.event != Some(Event::RollingRestart);
    let whole = stayed.then_some(float(gateways_cpu) / 1_000.0 / float(frames.max(1)));
    let ratios = calibration.as_ref().map(|machine| Ratios {
        cpu_per_frame: whole.map(|us| us / machine.send_us),
        frames_per_s: Some(float(frames) / duration_s / machine.frames_per_s),
        ..Ratios::of_purchases(machine, &shopping.crowd, duration_s)
    });
    let report = Report {
        options: json!({
            "viewers": viewers, "within_s": args.house.within.0.as_secs_f64(), "restless_percent": args.restless,
            "buyers": args.buyers, "buyers_per_second": args.buyers_per_second, "attempts": args.attempts,
            "payments": args.payments, "length_s": args.length.0.as_secs_f64(),
            "seats": args.seats, "hot": args.hot, "faults": wanted, "overlapping_percent": args.faults.overlapping,
            "provider": args.provider.name(), "gateways": stage::GATEWAYS, "cores": stage::CORES,
            "buyers_turned_away": turned_away, "target": args.common.target.is_some(),
        }),
        goals,
        payments,
        calibration,
        ratios,
        rss_kib_per_viewer: gateways_grew.map(|kib| float(kib) / f64::from(viewers)),
        faults,
        ..Report::of(scene.name, seed, duration_s, after, harness)
    };
    let report = report.customers(&shopping.crowd, &done, None).seen(seen, &done).figures(grown);
    let report = report.judged(&args.common.limits);
    stage.place.close().await;
    Ok(report)
}

/// What was seen while it lasted.
struct Load {
    faults: Vec<FaultLine>,
    /// KiB, while the viewers came.
    gateways_grew: Option<u64>,
}

/// Until there were enough attempts, and all faults.
async fn load(
    (args, event): (&ThunderingHerd, Option<Event>),
    stage: &mut Stage,
    herd: &mut Herd,
    shopping: &Shopping,
    (began, plan, seed, resident): (Instant, Plan, u64, Resident),
    stop: &CancellationToken,
) -> anyhow::Result<Load> {
    let (redis, mut redis_moved) = watch::channel(stage.place.addresses().redis);
    let (normal, all_here) = (Arc::clone(&stage.normal), began + args.house.within.0 + Duration::from_secs(2));
    let (mut gateways_grew, wanted) = (None, plan.wanted());
    let purchases = || shopping.crowd.told.confirmed();
    let (in_flight, stack) = (&shopping.crowd.in_flight, stage.place.stack_mut());
    let (viewers, mut to_viewers) = mpsc::channel(4);
    let looker = herd.looker();
    let mut striking = std::pin::pin!(async {
        // Faults meet a full house.
        tokio::time::sleep_until(all_here.into()).await;
        // Somebody else's stack is left whole.
        let Some(stack) = stack else { return Ok(Vec::new()) };
        if event == Some(Event::RollingRestart) {
            stage::restart_gateways(stack).await?;
        }
        let ground = Ground { stack, normal: &normal, in_flight, purchases: &purchases, redis, viewers, looker, began };
        anyhow::Ok(ground.strike(plan, seed, stop).await)
    });
    let mut scatter = if let Some(Event::Scatter(within)) = event { Some(within) } else { None };
    let mut faults = None;
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut live = Live::begin();
    loop {
        tokio::select! {
            struck = &mut striking, if faults.is_none() => faults = Some(struck?),
            _ = look.tick() => {}
            Some(act) = to_viewers.recv() => match act {
                ToViewers::Scatter(within) => herd.scatter(within).await?,
                ToViewers::Read(reading) => herd.read(reading).await?,
            },
            Ok(()) = redis_moved.changed() => {
                let url = redis_moved.borrow_and_update().clone();
                herd.listen(&url).await?;
            }
        }
        let everybody_came = Instant::now() >= all_here;
        if gateways_grew.is_none() && everybody_came {
            gateways_grew = Some(resident.grown());
        }
        if let Some(within) = scatter.take_if(|_| Instant::now() >= all_here + SETTLED) {
            say("every connection drops");
            herd.scatter(within).await?;
        }
        live.show(|| now((args, wanted), began, herd, shopping));
        let attempts = shopping.crowd.holds().contended >= args.attempts;
        let payments = shopping.crowd.told.payments() as u64 >= args.payments;
        let enough = attempts && payments && began.elapsed() >= args.length.0;
        if stop.is_cancelled() || (enough && faults.is_some() && everybody_came) {
            break;
        }
    }
    let faults = match faults {
        Some(faults) => faults,
        // Stopped: a fault that is in effect is taken away first.
        None => striking.await?,
    };
    Ok(Load { faults, gateways_grew })
}

/// More of what a crowd does without paying than at an ordinary sale; most that is paid is given back.
fn mix() -> Mix {
    let share = |percent| Share::percent(percent);
    Mix {
        duplicates: share(13),
        late: share(12),
        wrong_amount: share(3),
        double: share(3),
        unannounced: share(2),
        declined: share(3),
        cancelled: share(5),
        abandoned: share(25),
    }
}

/// Of the restless a third each.
fn habits(args: &ThunderingHerd) -> Habits {
    if let Some(habits) = args.habits {
        return habits;
    }
    let restless = args.restless;
    let (drop, stall) = (restless.div_ceil(3), restless / 3);
    Habits { drop, stall, hide: restless.saturating_sub(drop + stall) }
}

/// What could not be read is missing in the report, and no goal.
fn goals(args: &ThunderingHerd, holds: &Holds, payments: Option<&Payments>, viewers: Option<&Viewers>) -> Vec<Goal> {
    let each = args.min_each.unwrap_or((args.attempts / 500).max(1));
    let mut goals = vec![Goal::at_least("contended attempts", args.attempts, holds.contended)];
    let outcomes = [("granted", holds.granted), ("refused", holds.refused), ("expired", holds.expired)];
    goals.extend(outcomes.map(|(name, count)| Goal::at_least(name, each, count)));
    if let Some(payments) = payments {
        let outcomes = [("booked", payments.booked), ("rescued", payments.rescued), ("refunded", payments.refunded)];
        goals.extend(outcomes.map(|(name, count)| Goal::at_least(name, each, count)));
        goals.push(Goal::at_least("payments made", args.payments, payments.captured));
    }
    if let Some(viewers) = viewers {
        goals.push(Goal::at_least("viewers connected", args.house.viewers.into(), viewers.connected));
        // Each of them stalls again and again; half of it may fall before they came or after the load.
        let stalling = u64::from(args.house.viewers) * u64::from(habits(args).stall) / 100;
        goals.push(Goal::at_least("times that a viewer stalled", stalling / 2, viewers.stalls));
    }
    // What a scenario does not ask for is no goal.
    goals.retain(|goal| goal.target > 0.0);
    goals
}

fn now((args, faults): (&ThunderingHerd, usize), began: Instant, herd: &Herd, shopping: &Shopping) -> Now {
    let (progress, holds) = (herd.progress(), shopping.crowd.holds());
    let confirmed = shopping.crowd.told.confirmed() as u64;
    let (played, again) = shopping.played();
    Now {
        towards: vec![
            ("contended attempts", holds.contended, args.attempts),
            ("payments", shopping.crowd.told.payments() as u64, args.payments),
            ("faults over", live::over(), faults as u64),
            ("seconds", began.elapsed().as_secs(), args.length.0.as_secs()),
        ],
        levels: vec![
            ("viewers live", progress.live),
            ("violations", progress.violations),
            ("hold errors", holds.errors),
        ],
        counts: vec![
            ("frames", progress.frames),
            ("granted", holds.granted),
            ("refused", holds.refused),
            ("confirmed", confirmed),
            ("purchases over", played),
            ("begun anew", again),
        ],
        times: vec![("change to viewer", herd.lag()), ("hold", shopping.crowd.hold_times.spread())],
    }
}

/// A house is quiet so long before all its connections drop.
const SETTLED: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(50);
