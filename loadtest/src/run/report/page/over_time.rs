//! What happened in each second, with the faults on the time axis.

use maud::{Markup, html};

use super::super::{Report, Series};
use super::chart::{Chart, Line, extent, seconds_axis};
use super::number::{place, seconds};
use super::{Runs, section};

fn hint(runs: Runs<'_>) -> String {
    let faults = if runs.new.faults.is_empty() {
        String::new()
    } else {
        " Shaded: from each fault until all was right again; red when that was later than its bound.".to_owned()
    };
    let beside = if runs.old.is_some() { " Grey: the other run." } else { "" };
    format!("Seconds since the load began.{faults}{beside}")
}

pub(super) fn part(runs: Runs<'_>) -> Markup {
    let Some(series) = &runs.new.series else { return html! {} };
    let old = runs.old.and_then(|old| old.series.as_ref());
    let length_s = runs.new.duration_s.max(length(series)).max(old.map_or(0.0, length)).max(1.0);
    let chart = |title, unit, logarithmic, lines: Vec<Line<'_>>| {
        let chart = Chart { title, unit, length_s, logarithmic, lines, faults: &runs.new.faults };
        if chart.lines.iter().all(|line| line.values.is_empty()) {
            html! {}
        } else {
            chart.draw()
        }
    };
    let one = |of: fn(&Series) -> Vec<Option<f64>>, class, filled| {
        let before = old.map(|old| line(("before", "before"), old, of(old), false));
        before.into_iter().chain([line(("", class), series, of(series), filled)]).collect::<Vec<_>>()
    };
    let mut attempts = vec![
        line(("refused", "c2"), series, all(&series.refused_per_s), true),
        line(("granted", "c1"), series, all(&series.granted_per_s), false),
        line(("confirmed", "c3"), series, all(&series.confirmed_per_s), false),
    ];
    if let Some(old) = old {
        attempts.insert(0, line(("granted before", "before"), old, all(&old.granted_per_s), false));
    }
    let content = html! {
        (lane(runs.new, length_s))
        (chart("Frames to viewers", "a second", false, one(|series| all(&series.frames_per_s), "c1", true)))
        (chart("Seat change to viewer, p99", "ms, logarithmic", true, one(|series| series.lag_p99_ms.clone(), "c4", false)))
        (chart("Attempts and bookings", "a second", false, attempts))
        (chart("Viewers live", "", false, one(live, "c3", true)))
    };
    section("over-time", "Over time", &hint(runs), &content)
}

fn length(series: &Series) -> f64 {
    series.step_s * f64::from(u32::try_from(series.granted_per_s.len()).unwrap_or(u32::MAX))
}

fn all(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

fn live(series: &Series) -> Vec<Option<f64>> {
    series.viewers_live.iter().map(|live| Some(super::super::float(*live))).collect()
}

fn line<'a>((name, class): (&'a str, &'a str), of: &Series, values: Vec<Option<f64>>, filled: bool) -> Line<'a> {
    Line { name, class, step_s: of.step_s, values, filled }
}

/// More numbers would lie upon each other.
const NUMBERED_MOST: usize = 60;

/// Each fault by its number in the list below, with its name for who points at it.
fn lane(report: &Report, length_s: f64) -> Markup {
    if report.faults.is_empty() {
        return html! {};
    }
    html! {
        figure.chart.lane {
            figcaption { b { "Faults" } " " span.unit { "numbers as in the list below" } }
            div.plot {
                div.y {}
                div.marks.many[report.faults.len() > NUMBERED_MOST] {
                    @for (number, fault) in report.faults.iter().enumerate() {
                        @let (x, width) = extent(fault, length_s);
                        @let back = fault.back_to_normal_s.map_or_else(|| "never right again".to_owned(), seconds);
                        span.late[fault.is_late()].low[number % 2 == 1]
                            style=(format!("left:{}%;width:{}%", place(x), place(width)))
                            title=(format!("{}: {}, {back}", number + 1, fault.name)) { b { (number + 1) } }
                    }
                }
                (seconds_axis(length_s))
            }
        }
    }
}
