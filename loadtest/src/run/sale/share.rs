//! A share of the payments, in tenths of a percent.

use std::fmt;
use std::str::FromStr;

/// 0 to 100 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    tenths: u32,
}

impl Share {
    /// Whole percent, at most 100.
    pub const fn percent(whole: u32) -> Self {
        Self { tenths: if whole > 100 { 1_000 } else { whole * 10 } }
    }

    /// So many of `all`, rounded up.
    pub fn of(self, all: u32) -> u32 {
        let part = (u64::from(all) * u64::from(self.tenths)).div_ceil(1_000);
        u32::try_from(part).unwrap_or(all)
    }
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected a share in percent, such as 5 or 2.5";
        let (whole, tenths) = text.split_once('.').unwrap_or((text, "0"));
        let digit = |text: &str| text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digit(tenths) {
            return Err(expected);
        }
        let whole: u32 = whole.parse().map_err(|_| expected)?;
        let tenths: u32 = tenths.parse().map_err(|_| expected)?;
        let tenths = whole.saturating_mul(10).saturating_add(tenths);
        if tenths > 1_000 { Err(expected) } else { Ok(Self { tenths }) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.tenths / 10, self.tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_percent_with_at_most_one_digit_behind_the_point() {
        let of = |text: &str| text.parse::<Share>().map(|share| share.of(300));
        assert_eq!([of("5"), of("2.5"), of("0"), of("100"), of("0.1")], [Ok(15), Ok(8), Ok(0), Ok(300), Ok(1)]);
        for bad in ["", "x", "100.1", "-1", "2.55", "1.", ".5", "1e3"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
