//! How many times were how long, on a logarithmic axis, with the percentiles marked.

use maud::{Markup, html};

use super::super::Spread;
use super::number::{place, time};
use super::{Runs, section};
use crate::times::Buckets;

/// The times of one thing.
struct Kind {
    title: &'static str,
    what: &'static str,
    times: Option<(Buckets, Spread)>,
    old: Option<(Buckets, Spread)>,
}

pub(super) fn part(runs: Runs<'_>) -> Markup {
    let kind = |title, what, of: fn(&super::Report) -> Option<(Buckets, Spread)>| {
        let (times, old) = runs.both(of);
        Kind { title, what, times, old: old.flatten() }
    };
    let kinds = [
        kind("Seat change to viewer", "from its publication until a viewer had applied it", |run| {
            run.histograms.lag.clone().zip(run.lag_ms)
        }),
        kind("Join", "from the moment meant until the map was there", |run| {
            run.histograms.join.clone().zip(run.join_ms)
        }),
        kind("Hold", "from the moment meant until the answer", |run| run.histograms.hold.clone().zip(run.hold_ms)),
        kind("Booking", "from the moment meant until confirmed", |run| {
            run.histograms.booking.clone().zip(run.booking_ms)
        }),
    ];
    let drawn: Vec<Markup> = kinds.iter().filter_map(Kind::draw).collect();
    if drawn.is_empty() {
        return html! {};
    }
    let content = html! { div.histograms { @for kind in &drawn { (kind) } } };
    section("latency", "How long things took", "Logarithmic times; the height is the share of all.", &content)
}

impl Kind {
    fn draw(&self) -> Option<Markup> {
        let (times, spread) = self.times.as_ref()?;
        let axis = Axis::of([Some(times), self.old.as_ref().map(|(old, _)| old)].into_iter().flatten())?;
        Some(html! {
            figure.chart.histogram {
                figcaption { b { (self.title) } " " span.unit { (self.what) } }
                (percentiles(spread, self.old.as_ref().map(|(_, old)| old)))
                div.plot {
                    svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label=(words(self.title, spread)) {
                        @for (at, share) in shares(times) {
                            (bar(&axis, at, share))
                        }
                        @if let Some((old, _)) = &self.old { path.line.before d=(outline(&axis, old)) {} }
                        @for (class, at) in [("p50", spread.p50), ("p99", spread.p99)] {
                            @let x = place(axis.place(at) * 10.0);
                            line class=(class) x1=(x) x2=(x) y1="0" y2="100" {}
                        }
                    }
                    div.x aria-hidden="true" {
                        @for tick in axis.ticks() {
                            span style=(format!("left:{}%", place(axis.place(tick)))) { (tick_text(tick)) }
                        }
                    }
                }
            }
        })
    }
}

fn words(title: &str, spread: &Spread) -> String {
    format!("{title}: half within {}, 99 of 100 within {}", time(spread.p50), time(spread.p99))
}

fn percentiles(new: &Spread, old: Option<&Spread>) -> Markup {
    type Of = fn(&Spread) -> f64;
    let of: [(&str, Of); 4] = [("p50", |of| of.p50), ("p95", |of| of.p95), ("p99", |of| of.p99), ("max", |of| of.max)];
    html! {
        dl.percentiles {
            @for (name, value) in of {
                div class=(name) {
                    dt { (name) }
                    dd { (time(value(new))) @if let Some(old) = old { span.old { (time(value(old))) } } }
                }
            }
        }
    }
}

/// From one time to another, each octave as wide as the next.
struct Axis {
    from: f64,
    to: f64,
    highest: f64,
}

impl Axis {
    fn of<'a>(all: impl Iterator<Item = &'a Buckets>) -> Option<Self> {
        let (mut from, mut to, mut highest) = (f64::INFINITY, 0.0_f64, 0.0_f64);
        for buckets in all {
            from = from.min(buckets.upto_ms.first()? / QUARTER_OCTAVE);
            to = to.max(*buckets.upto_ms.last()?);
            highest = shares(buckets).map(|(_, share)| share).fold(highest, f64::max);
        }
        // A single bar should not fill the page.
        (highest > 0.0).then(|| Self { from, to: to.max(from * 10.0), highest })
    }

    /// Percent from the left.
    fn place(&self, ms: f64) -> f64 {
        ((ms / self.from).ln() / (self.to / self.from).ln() * 100.0).clamp(0.0, 100.0)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let (from, to) = (self.from, self.to);
        let decades = (-3..8).map(|power| 10_f64.powi(power));
        decades.filter(move |tick| *tick >= from * 0.999 && *tick <= to * 1.001)
    }
}

fn tick_text(ms: f64) -> String {
    if ms >= 1_000.0 { format!("{} s", ms / 1_000.0) } else { format!("{ms} ms") }
}

/// The end of each bucket, and its share of all times.
fn shares(buckets: &Buckets) -> impl Iterator<Item = (f64, f64)> {
    let total = super::super::float(buckets.counts.iter().sum::<u64>().max(1));
    buckets.upto_ms.iter().zip(&buckets.counts).map(move |(upto, count)| (*upto, super::super::float(*count) / total))
}

fn bar(axis: &Axis, upto: f64, share: f64) -> Markup {
    let (x, end) = (axis.place(upto / QUARTER_OCTAVE) * 10.0, axis.place(upto) * 10.0);
    let height = share / axis.highest * 96.0;
    html! { rect.bar x=(place(x + 0.6)) width=(place((end - x - 1.2).max(0.5))) y=(place(100.0 - height)) height=(place(height)) {} }
}

fn outline(axis: &Axis, buckets: &Buckets) -> String {
    let mut path = String::from("M");
    for (at, (upto, share)) in shares(buckets).enumerate() {
        let (x, end) = (axis.place(upto / QUARTER_OCTAVE) * 10.0, axis.place(upto) * 10.0);
        let y = place(100.0 - share / axis.highest * 96.0);
        let then = if at == 0 { "" } else { "L" };
        path += &format!("{then}{} {y}L{} {y}", place(x), place(end));
    }
    path
}

const QUARTER_OCTAVE: f64 = 1.189_207_115_002_721;
