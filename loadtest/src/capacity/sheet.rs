//! The arithmetic, line by line.

use std::fmt;

use serde::Serialize;

use super::Demand;
use super::costs::{self, Measured, UnitCosts};
use crate::run::goals::{figure, float};

/// What the demand needs.
#[derive(Debug, Serialize)]
pub struct Sheet {
    pub demand: Demand,
    pub unit_costs: UnitCosts,
    pub parts: Vec<Part>,
    pub totals: Totals,
    /// What does not grow by adding machines, and what was not measured.
    pub limits: Vec<String>,
}

/// Lines about one kind of server.
#[derive(Debug, Default, Serialize)]
pub struct Part {
    pub name: &'static str,
    pub lines: Vec<Line>,
    /// Unit costs that no file has.
    pub not_measured: Vec<&'static str>,
}

/// `formula` = `value` `unit`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub what: &'static str,
    pub formula: String,
    pub value: f64,
    pub unit: &'static str,
}

/// With headroom; null where something was not measured.
#[derive(Debug, Default, Serialize)]
pub struct Totals {
    /// Each with one Redis and one PostgreSQL.
    pub stacks: Option<f64>,
    pub gateways: Option<f64>,
    pub gateway_cores: Option<f64>,
    pub gateway_memory_gib: Option<f64>,
    pub viewer_network_gbit_s: Option<f64>,
    pub booking_cores: Option<f64>,
    pub redis_shards: Option<f64>,
    pub postgres_cores: Option<f64>,
    pub postgres_shards: Option<f64>,
}

/// A number of a formula.
type Factor<'a> = (f64, &'a str);

impl Part {
    fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// The product of the factors, by `scale`.
    fn product(&mut self, what: &'static str, factors: &[Factor<'_>], scale: f64, unit: &'static str) -> f64 {
        let texts: Vec<String> = factors.iter().map(|(value, name)| format!("{} {name}", figure(*value))).collect();
        let value = factors.iter().map(|(value, _)| value).product::<f64>() * scale;
        self.line(what, texts.join(" x "), value, unit)
    }

    fn line(&mut self, what: &'static str, formula: String, value: f64, unit: &'static str) -> f64 {
        self.lines.push(Line { what, formula, value, unit });
        value
    }

    /// Cores for so many of something a second, by its unit cost.
    fn cores(&mut self, what: &'static str, rate: Factor<'_>, cost: &'static str, costs: &UnitCosts) -> f64 {
        match costs.get(cost) {
            Some(us) => self.product(what, &[rate, (us, "us")], 1e-6, "cores"),
            None => {
                self.not_measured.push(cost);
                f64::NAN
            }
        }
    }

    /// The sum of these, with headroom; none when one was not measured.
    fn with_headroom(&mut self, what: &'static str, parts: &[f64], headroom: f64, unit: &'static str) -> Option<f64> {
        let texts: Vec<String> = parts.iter().map(|part| figure(*part)).collect();
        let sum: f64 = parts.iter().sum();
        sum.is_finite()
            .then(|| self.line(what, format!("({}) x headroom {headroom}", texts.join(" + ")), sum * headroom, unit))
    }

    fn round_up(&mut self, what: &'static str, of: f64, by: Factor<'_>) -> f64 {
        let (size, name) = by;
        self.line(what, format!("{} / {} {name}, rounded up", figure(of), figure(size)), (of / size).ceil(), "")
    }
}

impl Sheet {
    pub fn of(demand: &Demand, costs: &UnitCosts) -> Self {
        let mut totals = Totals::default();
        let (gateways, changes) = gateways(demand, costs, &mut totals);
        let mut parts = vec![
            gateways,
            cores(demand, costs, &mut totals),
            redis(demand, costs, &mut totals),
            postgres(demand, costs, &mut totals),
        ];
        parts.extend(stacks(demand, &mut totals, changes));
        let limits = limits(demand, costs);
        Self { demand: *demand, unit_costs: costs.clone(), parts, totals, limits }
    }
}

fn gateways(demand: &Demand, costs: &UnitCosts, totals: &mut Totals) -> (Part, f64) {
    let mut part = Part::new("gateways");
    let (viewers, shows, bookings) = (float(demand.viewers), float(demand.shows), demand.bookings_per_second);
    // A hold that is granted changes the map, and its end does, or its confirmation.
    let changes = part.product(
        "changes of maps, all shows",
        &[(bookings, "bookings/s"), (demand.holds_per_booking, "holds each"), (2.0, "begin and end")],
        1.0,
        "/s",
    );
    let of_a_show =
        part.line("of one show", format!("{} / {} shows", figure(changes), figure(shows)), changes / shows, "/s");
    let frames_each = of_a_show.min(demand.frames_per_viewer);
    let frames = part.product("frames to viewers", &[(viewers, "viewers"), (frames_each, "frames/s")], 1.0, "/s");
    let needed = [
        part.cores("writing them", (frames, "/s"), costs::FRAME, costs),
        part.cores("silence", (viewers, "viewers"), costs::IDLE, costs),
        part.cores("joins, while they come", (viewers / demand.joins_within, "/s"), costs::JOIN, costs),
    ];
    totals.gateway_cores = part.with_headroom("gateways' cores", &needed, demand.headroom, "cores");
    match (costs.get(costs::VIEWER), costs.get(costs::KERNEL)) {
        (Some(kib), Some(kernel)) => {
            let formula = format!(
                "{} viewers x ({} KiB + {} bytes of the kernel) x headroom {}",
                figure(viewers),
                figure(kib),
                figure(kernel),
                demand.headroom
            );
            let gib = viewers * (kib * 1_024.0 + kernel) * demand.headroom / f64::from(1 << 30);
            totals.gateway_memory_gib = Some(part.line("gateways' memory", formula, gib, "GiB"));
        }
        _ => part.not_measured.extend([costs::VIEWER, costs::KERNEL]),
    }
    match costs.get(costs::BYTES) {
        Some(bytes) => {
            let seats = of_a_show / frames_each * demand.seats_per_booking;
            let formula = format!(
                "{} frames/s x ({} seats x {} bytes + {HEADERS} of TCP, IP and Ethernet) x 8 bits",
                figure(frames),
                figure(seats),
                figure(bytes)
            );
            let gbit = frames * (seats * bytes + HEADERS) * 8.0 / 1e9;
            totals.viewer_network_gbit_s = Some(part.line("network to viewers", formula, gbit, "Gbit/s"));
        }
        None => part.not_measured.push(costs::BYTES),
    }
    (part, changes)
}

/// The product knows one Redis and one PostgreSQL: shards are whole stacks, each with its shows and its gateways.
fn stacks(demand: &Demand, totals: &mut Totals, changes: f64) -> Option<Part> {
    let (redis, postgres, gateways) = (totals.redis_shards?, totals.postgres_shards?, totals.gateway_cores?);
    let mut part = Part::new("whole stacks");
    let formula = format!("the larger of {} for Redis and {} for PostgreSQL", figure(redis), figure(postgres));
    let stacks = part.line("stacks", formula, redis.max(postgres), "");
    let each = part.round_up("gateways of each", gateways / stacks, (float(demand.gateway_cores), "cores each"));
    (totals.stacks, totals.gateways) = (Some(stacks), Some(each * stacks));
    let of_each = changes / stacks;
    let formula = format!("{} / {} stacks", figure(changes), figure(stacks));
    part.line("changes that each gateway hears", formula, of_each, "/s");
    part.product("messages that each Redis sends", &[(of_each, "changes/s"), (each, "gateways")], 1.0, "/s");
    part.line(
        "viewers of each gateway",
        format!("{} / ({} x {})", figure(float(demand.viewers)), figure(stacks), figure(each)),
        float(demand.viewers) / (stacks * each),
        "",
    );
    let seats = format!("{} / {} stacks", figure(float(demand.shows)), figure(stacks));
    part.line("shows of each", seats, float(demand.shows) / stacks, "");
    Some(part)
}

/// What bookings, further holds and refusals take of one kind of server.
fn purchases(part: &mut Part, demand: &Demand, costs: &UnitCosts, of: [&'static str; 4]) -> [f64; 4] {
    let [booking, hold, release, refusal] = of;
    let bookings = demand.bookings_per_second;
    let further = bookings * (demand.holds_per_booking - 1.0).max(0.0);
    [
        part.cores("bookings, each with its hold", (bookings, "/s"), booking, costs),
        part.cores("holds beyond one a booking", (further, "/s"), hold, costs),
        part.cores("their ends, as releases", (further, "/s"), release, costs),
        part.cores("refusals", (bookings * demand.refusals_per_booking, "/s"), refusal, costs),
    ]
}

fn cores(demand: &Demand, costs: &UnitCosts, totals: &mut Totals) -> Part {
    let mut part = Part::new("booking cores");
    let of = [costs::CORE_BOOKING, costs::CORE_HOLD, costs::CORE_RELEASE, costs::CORE_REFUSAL];
    let needed = purchases(&mut part, demand, costs, of);
    totals.booking_cores = part.with_headroom("booking cores' cores", &needed, demand.headroom, "cores");
    part
}

fn redis(demand: &Demand, costs: &UnitCosts, totals: &mut Totals) -> Part {
    let mut part = Part::new("Redis");
    let of = [costs::REDIS_BOOKING, costs::REDIS_HOLD, costs::REDIS_RELEASE, costs::REDIS_REFUSAL];
    let needed = purchases(&mut part, demand, costs, of);
    if let Some(cores) = part.with_headroom("Redis' cores", &needed, demand.headroom, "cores") {
        totals.redis_shards = Some(part.round_up("Redis shards", cores, (1.0, "core: it is one thread")));
    }
    part
}

fn postgres(demand: &Demand, costs: &UnitCosts, totals: &mut Totals) -> Part {
    let mut part = Part::new("PostgreSQL");
    let bookings = (demand.bookings_per_second, "/s");
    let needed = part.cores("bookings", bookings, costs::POSTGRES_BOOKING, costs);
    totals.postgres_cores = part.with_headroom("PostgreSQL's cores", &[needed], demand.headroom, "cores");
    if let Some(cores) = totals.postgres_cores {
        totals.postgres_shards =
            Some(part.round_up("PostgreSQL shards", cores, (float(demand.postgres_cores), "cores each")));
    }
    if let Some(commits) = costs.get(costs::COMMITS_OF_A_BOOKING) {
        part.product("commits", &[bookings, (commits, "each")], 1.0, "/s");
    }
    part
}

fn limits(demand: &Demand, costs: &UnitCosts) -> Vec<String> {
    let mut limits = Vec::new();
    let (cost, headroom) = (|name| costs.get(name).unwrap_or(f64::NAN), demand.headroom);
    let further = (demand.holds_per_booking - 1.0).max(0.0);
    let hold = cost(costs::REDIS_HOLD);
    let of_a_booking = cost(costs::REDIS_BOOKING)
        + further * (hold + cost(costs::REDIS_RELEASE))
        + demand.refusals_per_booking * cost(costs::REDIS_REFUSAL);
    if of_a_booking.is_finite() {
        limits.push(format!(
            "One hot show is on one Redis, which is one thread: at most 1 s / {} us / headroom {headroom} = {} holds a second, \
             or with all that goes with a booking 1 s / {} us / headroom {headroom} = {} bookings a second. More shards do not \
             help one show.",
            figure(hold),
            figure((1e6 / hold / headroom).floor()),
            figure(of_a_booking),
            figure((1e6 / of_a_booking / headroom).floor())
        ));
    }
    if let Some(us) = costs.get(costs::POSTGRES_BOOKING) {
        let cores = float(demand.postgres_cores);
        limits.push(format!(
            "One show is in one PostgreSQL: at most {cores} cores x 1 s / {} us / headroom {headroom} = {} bookings a second, if \
             processor time is what bounds it. On more than the cores where this was measured, it was not tried.",
            figure(us),
            figure((cores * 1e6 / us / headroom).floor())
        ));
    }
    limits.push(
        "The product knows one Redis and one PostgreSQL, so shards are whole stacks. The front door has to know which show is \
         where; nothing moves a show from one stack to another, or lists the shows of all."
            .to_owned(),
    );
    limits.push(
        "A gateway hears every change of each show that one of its viewers watches. What hearing costs is in the cost of a frame \
         up to the load that was measured; what sending to many gateways costs Redis was not measured."
            .to_owned(),
    );
    limits.push(
        "Measured with everything on one machine and loopback: TLS, network cards, replicas and disks that commit on time are \
         not in it, and nobody has run so many machines together."
            .to_owned(),
    );
    limits.extend(
        costs
            .machines
            .iter()
            .filter(|machine| machine.build != "release")
            .map(|machine| format!("{} was measured with a debug build: its figures say nothing.", machine.file)),
    );
    limits
}

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Demand { viewers, bookings_per_second, shows, headroom, .. } = self.demand;
        writeln!(f, "{viewers} viewers, {bookings_per_second} bookings/s, {shows} shows, headroom {headroom}\n")?;
        for Measured { file, machine, build, date, busy } in &self.unit_costs.machines {
            let busy = if *busy { ", busy" } else { "" };
            writeln!(f, "measured  {file}: {machine}, {build} build{busy}, {date}")?;
        }
        writeln!(f)?;
        for (name, cost) in &self.unit_costs.costs {
            writeln!(f, "{name:<38} {:>8} {:<5}  {}", figure(cost.value), cost.unit, cost.from)?;
        }
        for part in &self.parts {
            writeln!(f, "\n{}", part.name)?;
            for Line { what, formula, value, unit } in &part.lines {
                writeln!(f, "  {what:<30} {formula} = {}", format!("{} {unit}", figure(*value)).trim_end())?;
            }
            for name in &part.not_measured {
                writeln!(f, "  not measured: {name}")?;
            }
        }
        writeln!(f, "\nneeded, with headroom")?;
        for (name, value, unit) in self.totals.lines() {
            let value = value.map_or_else(|| "not measured".to_owned(), |value| format!("{} {unit}", figure(value)));
            writeln!(f, "  {name:<30} {}", value.trim_end())?;
        }
        writeln!(f, "\nwhat does not grow with machines, and what is not known")?;
        self.limits.iter().try_for_each(|limit| writeln!(f, "  - {limit}"))
    }
}

impl Totals {
    fn lines(&self) -> [(&'static str, Option<f64>, &'static str); 9] {
        [
            ("stacks", self.stacks, ""),
            ("gateways", self.gateways, ""),
            ("gateways' cores", self.gateway_cores, ""),
            ("gateways' memory", self.gateway_memory_gib, "GiB"),
            ("network to viewers", self.viewer_network_gbit_s, "Gbit/s"),
            ("booking cores' cores", self.booking_cores, ""),
            ("Redis shards", self.redis_shards, ""),
            ("PostgreSQL's cores", self.postgres_cores, ""),
            ("PostgreSQL shards", self.postgres_shards, ""),
        ]
    }
}

/// Ethernet, IP and TCP with timestamps.
const HEADERS: f64 = 66.0;
