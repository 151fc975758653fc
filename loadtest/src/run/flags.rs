//! Flags that several scenarios have, and what their numbers may be.

use clap::Args;

use super::goals::Time;

/// A house full of viewers.
#[derive(Debug, Clone, Args)]
pub struct HouseFlags {
    /// Who looks at the map, at all gateways.
    #[arg(long, env = "SEATWIRE_RUN_VIEWERS", default_value_t = 2_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub viewers: u32,
    /// All viewers come within this time; where doors open, the first buyers do as well.
    #[arg(long, env = "SEATWIRE_RUN_WITHIN", default_value = "5s", value_name = "TIME")]
    pub within: Time,
    /// Processes that play the viewers [default: one for every 5,000].
    #[arg(long, env = "SEATWIRE_RUN_PROCESSES", value_name = "N",
          value_parser = clap::value_parser!(u8).range(1..=100))]
    pub processes: Option<u8>,
}

/// A show whose seats are held and given back for a while.
#[derive(Debug, Clone, Args)]
pub struct ShowFlags {
    /// So long seats are held and given back.
    #[arg(long, env = "SEATWIRE_RUN_LENGTH", default_value = "20s", value_name = "TIME", value_parser = some_time)]
    pub length: Time,
    /// Seats of the show.
    #[arg(long, env = "SEATWIRE_RUN_SEATS", default_value_t = 2_000, value_name = "N",
          value_parser = clap::value_parser!(u32).range(100..=20_000))]
    pub seats: u32,
}

/// How often a second.
pub(super) fn rate(text: &str) -> Result<f64, &'static str> {
    within(text, 0.01, 100_000.0).ok_or("expected a number a second, from 0.01 to 100000")
}

pub(super) fn percent(text: &str) -> Result<f64, &'static str> {
    within(text, 0.0, 100.0).ok_or("expected percent, from 0 to 100")
}

/// Of any size.
pub(crate) fn number(text: &str) -> Result<f64, &'static str> {
    within(text, 0.0, f64::MAX).ok_or("expected a number that is not below 0")
}

/// Of any size, to divide by or to multiply with.
pub(crate) fn above_zero(text: &str) -> Result<f64, &'static str> {
    within(text, f64::MIN_POSITIVE, f64::MAX).ok_or("expected a number above 0")
}

/// Longer than nothing, and no longer than a week.
pub(super) fn some_time(text: &str) -> Result<Time, &'static str> {
    let time: Time = text.parse()?;
    let expected = "expected a time from 1ms to 168h, such as 2s or 10m";
    if (1.0..=7.0 * 24.0 * 3_600_000.0).contains(&time.ms()) { Ok(time) } else { Err(expected) }
}

fn within(text: &str, least: f64, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_run_could_do_anything_with_are_refused() {
        assert_eq!((rate("0.5"), percent("100"), number("0")), (Ok(0.5), Ok(100.0), Ok(0.0)));
        for bad in ["0", "-1", "NaN", "inf", "1e300", "1e-300", "x", ""] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        for bad in ["-0.1", "100.1", "NaN"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
        assert!(number("inf").is_err() && number("NaN").is_err() && above_zero("0").is_err());
        assert!(some_time("1ms").is_ok() && some_time("0s").is_err() && some_time("1000h").is_err());
    }
}
