//! What a run looks like while it lasts. On a terminal: a bar for each thing that it works towards, and the figures so far,
//! below the lines that are said; elsewhere a line now and then.

use std::io::{IsTerminal as _, Write, stderr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::report::FaultLine;
use crate::times::Spread;

/// Where a run is: the same in bars and in lines.
#[derive(Debug, Default)]
pub(super) struct Now {
    /// Such as 120 of 5,000 contended attempts. Of nothing is left out.
    pub(super) towards: Vec<(&'static str, u64, u64)>,
    /// Counted from the beginning, shown with what came in the last second.
    pub(super) counts: Vec<(&'static str, u64)>,
    /// Of the moment.
    pub(super) levels: Vec<(&'static str, u64)>,
    pub(super) times: Vec<(&'static str, Option<Spread>)>,
}

/// Shows a run as long as it lives.
#[derive(Debug)]
pub(super) struct Live {
    began: Instant,
    shown: Option<Instant>,
    every: Duration,
    /// What was counted, about a second ago.
    before: Option<(Instant, Vec<u64>)>,
    rates: Vec<f64>,
    bars: Vec<ProgressBar>,
}

impl Live {
    pub(super) fn begin() -> Self {
        let every = if screen().is_some() { REDRAW_EVERY } else { TELL_EVERY };
        let (began, shown) = (Instant::now(), Some(Instant::now()));
        Self { began, shown, every, before: None, rates: Vec::new(), bars: Vec::new() }
    }

    /// Shows where the run is, when it is time to.
    pub(super) fn show(&mut self, now: impl FnOnce() -> Now) {
        if self.shown.is_some_and(|shown| shown.elapsed() < self.every) {
            return;
        }
        self.shown = Some(Instant::now());
        let now = now();
        self.measure(&now);
        match screen() {
            Some(screen) => self.draw(screen, &now),
            None => say(&self.line(&now)),
        }
    }

    /// How much came in the last second or so.
    fn measure(&mut self, now: &Now) {
        let counts: Vec<u64> = now.counts.iter().map(|(_, count)| *count).collect();
        let due = self.before.as_ref().is_none_or(|(at, _)| at.elapsed() >= RATES_OVER);
        if !due {
            return;
        }
        let (at, before) = self.before.take().unwrap_or_else(|| (self.began, vec![0; counts.len()]));
        let seconds = at.elapsed().as_secs_f64().max(0.001);
        let rate = |(now, before): (&u64, &u64)| super::goals::float(now.saturating_sub(*before)) / seconds;
        self.rates = counts.iter().zip(&before).map(rate).collect();
        self.before = Some((Instant::now(), counts));
    }

    fn line(&self, now: &Now) -> String {
        let mut parts = vec![format!("{} s", self.began.elapsed().as_secs())];
        parts
            .extend(now.towards.iter().filter(|(.., of)| *of > 0).map(|(name, at, of)| format!("{at} of {of} {name}")));
        parts.extend(self.texts(now));
        parts.join("; ")
    }

    /// Levels, counts with their rates, times.
    fn texts(&self, now: &Now) -> Vec<String> {
        let mut texts: Vec<String> = now.levels.iter().map(|(name, level)| format!("{name} {level}")).collect();
        let rates = self.rates.iter().copied().chain(std::iter::repeat(0.0));
        texts.extend(now.counts.iter().zip(rates).map(|((name, count), rate)| format!("{name} {count} ({rate:.0}/s)")));
        texts.extend(now.times.iter().filter_map(|(name, times)| {
            let Spread { p50, p99, .. } = (*times)?;
            Some(format!("{name} p50 {p50:.1} ms, p99 {p99:.1}"))
        }));
        texts
    }

    fn draw(&mut self, screen: &MultiProgress, now: &Now) {
        let (towards, texts) = (now.towards.iter().filter(|(.., of)| *of > 0), self.texts(now));
        let bars: Vec<(String, u64, u64)> =
            towards.map(|(name, at, of)| (format!("{at} of {of} {name}"), *at, *of)).collect();
        let wanted = bars.len() + texts.len().div_ceil(TEXTS_OF_A_LINE) + 1;
        while self.bars.len() < wanted {
            self.bars.push(screen.add(ProgressBar::new(1)));
        }
        let mut own = self.bars.iter();
        for ((text, at, of), bar) in bars.into_iter().zip(&mut own) {
            bar.set_style(style("{bar:32.green/dim} {msg}"));
            bar.set_length(of);
            bar.set_position(at.min(of));
            bar.set_message(text);
        }
        let faults = format!("{} s{}", self.began.elapsed().as_secs(), struck());
        for (text, bar) in texts.chunks(TEXTS_OF_A_LINE).map(|some| some.join("   ")).chain([faults]).zip(own) {
            bar.set_style(style("{msg}"));
            bar.set_message(text);
        }
    }
}

impl Drop for Live {
    /// What was said stays, the bars go.
    fn drop(&mut self) {
        self.bars.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}

/// A line of progress.
pub(super) fn say(line: &str) {
    match screen() {
        // A terminal that is gone is no reason to end.
        Some(screen) => drop(screen.println(format!("run: {line}"))),
        None => eprintln!("run: {line}"),
    }
}

/// A fault that was got over, or never.
pub(super) fn note(fault: &FaultLine) {
    STRUCK.fetch_add(1, Ordering::Relaxed);
    LATE.fetch_add(fault.is_late().into(), Ordering::Relaxed);
}

/// Faults so far.
pub(super) fn over() -> u64 {
    STRUCK.load(Ordering::Relaxed)
}

fn struck() -> String {
    match LATE.load(Ordering::Relaxed) {
        0 => String::new(),
        late => format!("; {late} of the {} faults late", over()),
    }
}

/// The one terminal, if standard error is one.
fn screen() -> Option<&'static MultiProgress> {
    static SCREEN: OnceLock<Option<MultiProgress>> = OnceLock::new();
    SCREEN.get_or_init(|| stderr().is_terminal().then(MultiProgress::new)).as_ref()
}

/// Standard error for a log beside the bars: they are drawn again below what it writes.
#[derive(Debug, Default)]
pub struct BesideBars;

impl Write for BesideBars {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match screen() {
            Some(screen) => screen.suspend(|| stderr().write(bytes)),
            None => stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        stderr().flush()
    }
}

/// Of this process; one run is all that it does.
static STRUCK: AtomicU64 = AtomicU64::new(0);
static LATE: AtomicU64 = AtomicU64::new(0);
const REDRAW_EVERY: Duration = Duration::from_millis(250);
const TELL_EVERY: Duration = Duration::from_secs(5);
const RATES_OVER: Duration = Duration::from_secs(1);
const TEXTS_OF_A_LINE: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_the_run_is() {
        let mut live = Live::begin();
        live.began = Instant::now() - Duration::from_secs(10);
        let now = Now {
            towards: vec![("contended attempts", 120, 5_000), ("payments", 3, 0)],
            counts: vec![("granted", 50)],
            levels: vec![("viewers live", 9)],
            times: vec![("hold", Some(Spread { p50: 1.0, p95: 2.0, p99: 3.0, max: 4.0 })), ("lag", None)],
        };
        live.measure(&now);
        let line = live.line(&now);
        assert_eq!(
            line,
            "10 s; 120 of 5000 contended attempts; viewers live 9; granted 50 (5/s); hold p50 1.0 ms, p99 3.0"
        );
    }
}
