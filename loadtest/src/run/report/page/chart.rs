//! Drawings over time. The lines are an SVG that stretches with the page; what is read is text beside it, so that it keeps
//! its size on a telephone.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::super::FaultLine;
use super::number::{place, short};

/// One drawing.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    /// Seconds from its left to its right.
    pub(super) length_s: f64,
    pub(super) logarithmic: bool,
    pub(super) lines: Vec<Line<'a>>,
    pub(super) faults: &'a [FaultLine],
}

pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    /// `c1` to `c4`, or `before`.
    pub(super) class: &'a str,
    pub(super) step_s: f64,
    pub(super) values: Vec<Option<f64>>,
    pub(super) filled: bool,
}

/// From a value to the height where it is drawn, 0 to 100 from below.
#[derive(Debug, Clone, Copy)]
struct Scale {
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>, logarithmic: bool) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0)) {
            (low, high) = (low.min(value), high.max(value));
        }
        if high <= 0.0 {
            return Self { from: 0.0, to: 1.0, logarithmic: false };
        }
        if logarithmic {
            let decade = |value: f64| 10_f64.powf(value);
            let (from, to) = (decade(low.log10().floor()), decade(high.log10().ceil()));
            return Self { from, to: to.max(from * 10.0), logarithmic };
        }
        let step = nice(high / 4.0);
        Self { from: 0.0, to: (high / step).ceil() * step, logarithmic }
    }

    fn height(self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.from) / self.from).log10() / (self.to / self.from).log10()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0) * 100.0
    }

    fn ticks(self) -> Vec<f64> {
        let mut ticks = vec![self.from];
        let step = nice((self.to - self.from) / 4.0);
        while let Some(last) = ticks.last().copied().filter(|last| *last < self.to * 0.999 && ticks.len() < 12) {
            ticks.push(if self.logarithmic { last * 10.0 } else { last + step });
        }
        ticks
    }
}

/// 1, 2 or 5 times a power of ten, at least this.
fn nice(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * decade).find(|step| *step >= least * 0.999).unwrap_or(least)
}

impl Chart<'_> {
    pub(super) fn draw(&self) -> Markup {
        let all = self.lines.iter().flat_map(|line| line.values.iter().flatten().copied());
        let scale = Scale::of(all, self.logarithmic);
        html! {
            figure.chart {
                figcaption {
                    b { (self.title) } " " span.unit { (self.unit) }
                    span.legend {
                        @for line in self.lines.iter().filter(|line| !line.name.is_empty()) {
                            span { i class=(line.class) {} (line.name) }
                        }
                    }
                }
                div.plot {
                    div.y aria-hidden="true" {
                        @for tick in scale.ticks() {
                            span style=(format!("bottom:{}%", place(scale.height(tick)))) { (short(tick)) }
                        }
                    }
                    svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label=(self.words()) {
                        @for fault in self.faults { (shade(fault, self.length_s)) }
                        @for tick in scale.ticks() {
                            @let y = place(100.0 - scale.height(tick));
                            line.grid x1="0" x2="1000" y1=(y) y2=(y) {}
                        }
                        @for line in &self.lines { (self.line(line, scale)) }
                    }
                    (seconds_axis(self.length_s))
                }
            }
        }
    }

    /// For who hears the page.
    fn words(&self) -> String {
        let mut text = format!("{}, {} over {:.0} s", self.title, self.unit, self.length_s);
        for line in &self.lines {
            let most = line.values.iter().flatten().copied().fold(0.0, f64::max);
            let _ = write!(text, "; {} at most {}", line.name, super::number::figure(most));
        }
        text
    }

    fn line(&self, line: &Line<'_>, scale: Scale) -> Markup {
        let x = |at: usize| {
            // A value stands for its whole step.
            let at = f64::from(u32::try_from(at).unwrap_or(u32::MAX)) + 0.5;
            at * line.step_s / self.length_s * 1_000.0
        };
        let (mut path, mut area, mut begun) = (String::new(), String::new(), None);
        for (at, value) in line.values.iter().enumerate() {
            let Some(value) = value.filter(|value| value.is_finite()) else {
                close(&mut area, begun.take());
                continue;
            };
            let (x, y) = (place(x(at).min(1_000.0)), place(100.0 - scale.height(value)));
            if begun.is_none() {
                let _ = write!(path, "M{x} {y}");
                let _ = write!(area, "M{x} 100L{x} {y}");
            } else {
                let _ = write!(path, "L{x} {y}");
                let _ = write!(area, "L{x} {y}");
            }
            begun = Some(x);
        }
        close(&mut area, begun);
        html! {
            @if line.filled { path class=(format!("area {}", line.class)) d=(area) {} }
            path class=(format!("line {}", line.class)) d=(path) {}
        }
    }
}

fn close(area: &mut String, last: Option<String>) {
    if let Some(x) = last {
        let _ = write!(area, "L{x} 100Z");
    }
}

/// From a fault until all was right again, across a drawing.
fn shade(fault: &FaultLine, length_s: f64) -> Markup {
    let (x, width) = extent(fault, length_s);
    html! { rect.fault.late[fault.is_late()] x=(place(x * 10.0)) width=(place(width * 10.0)) y="0" height="100" {} }
}

/// Where a fault is on the axis, in percent of its length.
pub(super) fn extent(fault: &FaultLine, length_s: f64) -> (f64, f64) {
    let x = (fault.at_s / length_s * 100.0).clamp(0.0, 100.0);
    let back = fault.back_to_normal_s.unwrap_or(length_s) / length_s * 100.0;
    (x, back.clamp(0.25, 100.0 - x + 0.25))
}

pub(super) fn seconds_axis(length_s: f64) -> Markup {
    let (unit_s, unit) = if length_s > MINUTES_FROM_S { (60.0, "min") } else { (1.0, "s") };
    let (length, mut ticks) = (length_s / unit_s, vec![0.0]);
    let step = nice(length / 6.0);
    while let Some(next) = ticks.last().map(|last| last + step).filter(|next| *next <= length) {
        ticks.push(next);
    }
    html! {
        div.x aria-hidden="true" {
            @for tick in ticks {
                span style=(format!("left:{}%", place(tick / length * 100.0))) { (short(tick)) " " (unit) }
            }
        }
    }
}

/// A longer axis is in minutes.
const MINUTES_FROM_S: f64 = 400.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_with_a_round_number_above_all_values() {
        let scale = Scale::of([3.0, 870.0].into_iter(), false);
        assert_eq!((scale.to, scale.ticks()), (1_000.0, vec![0.0, 500.0, 1_000.0]));
        assert_eq!([scale.height(0.0), scale.height(500.0), scale.height(2_000.0)], [0.0, 50.0, 100.0]);
        let scale = Scale::of([3.0, 870.0].into_iter(), true);
        assert_eq!(scale.ticks(), [1.0, 10.0, 100.0, 1_000.0]);
        assert!((scale.height(10.0) - 100.0 / 3.0).abs() < 0.01);
        assert_eq!(Scale::of([f64::NAN, 0.0].into_iter(), true).ticks().len(), 3);
    }

    #[test]
    fn a_long_axis_is_in_minutes() {
        let axis = |length_s: f64| seconds_axis(length_s).into_string();
        assert!(axis(60.0).contains(r#"left:33.33%">20 s<"#), "{}", axis(60.0));
        assert!(axis(2_700.0).contains(r#"left:22.22%">10 min<"#), "{}", axis(2_700.0));
    }

    #[test]
    fn a_line_has_a_gap_where_nothing_was_measured() {
        let line =
            Line { name: "p99", class: "c1", step_s: 1.0, values: vec![Some(1.0), None, Some(2.0)], filled: true };
        let chart =
            Chart { title: "lag", unit: "ms", length_s: 3.0, logarithmic: false, lines: vec![line], faults: &[] };
        let drawn = chart.draw().into_string();
        let path = drawn.split(r#"<path class="line c1" d=""#).nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(path.matches('M').count(), 2, "{path}");
    }
}
