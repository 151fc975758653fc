//! Figures as people read them.

/// Thousands apart: `1,758,787`.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits or so; a dash for what was not measured.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "–".to_owned(),
        _ if size >= 1_000.0 => {
            let sign = if value < 0.0 { "−" } else { "" };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, saturates")]
            let whole = size.round() as u64;
            format!("{sign}{}", count(whole))
        }
        _ if value.fract() == 0.0 || size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Milliseconds, or seconds from a second on.
pub(super) fn time(ms: f64) -> String {
    match ms {
        _ if !ms.is_finite() => "–".to_owned(),
        _ if ms >= 10_000.0 => format!("{:.0} s", ms / 1_000.0),
        _ if ms >= 1_000.0 => format!("{:.1} s", ms / 1_000.0),
        _ if ms >= 10.0 => format!("{ms:.0} ms"),
        _ if ms >= 1.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.2} ms"),
    }
}

pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        _ if !seconds.is_finite() => "–".to_owned(),
        _ if seconds >= 600.0 => format!("{:.0} min", seconds / 60.0),
        _ if seconds >= 10.0 => format!("{seconds:.0} s"),
        _ if seconds >= 1.0 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.2} s"),
    }
}

/// For an axis: `12k`, `1.5M`.
pub(super) fn short(value: f64) -> String {
    let of = |value: f64, unit: &str| {
        let digits = if value.fract().abs() < 0.05 { 0 } else { 1 };
        format!("{value:.digits$}{unit}")
    };
    match value.abs() {
        size if size >= 1e6 => of(value / 1e6, "M"),
        size if size >= 1e3 => of(value / 1e3, "k"),
        size if size >= 1.0 || size == 0.0 => of(value, ""),
        _ => format!("{value:.2}"),
    }
}

/// Money in minor units.
pub(super) fn money(minor: i64) -> String {
    let sign = if minor < 0 { "−" } else { "" };
    format!("{sign}{}.{:02}", count(minor.unsigned_abs() / 100), minor.unsigned_abs() % 100)
}

/// By how much it changed, where that means something.
pub(super) fn change(new: f64, old: f64) -> Option<String> {
    let percent = (new / old - 1.0) * 100.0;
    if !percent.is_finite() || percent.abs() >= 1_000.0 {
        return None;
    }
    Some(if percent.abs() < 0.5 { "same".to_owned() } else { format!("{percent:+.0} %").replace('-', "−") })
}

/// For attributes of drawings.
pub(super) fn place(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_people_read_them() {
        assert_eq!([count(0), count(999), count(1_000), count(1_758_787)], ["0", "999", "1,000", "1,758,787"]);
        assert_eq!([figure(2.0), figure(0.12345), figure(12.34), figure(-40_000.4)], ["2", "0.123", "12.3", "−40,000"]);
        assert_eq!([time(0.5), time(16.2), time(1_234.0), time(f64::NAN)], ["0.50 ms", "16 ms", "1.2 s", "–"]);
        assert_eq!([short(12_000.0), short(1.5e6), short(0.0), short(250.0)], ["12k", "1.5M", "0", "250"]);
        assert_eq!(change(110.0, 100.0).unwrap(), "+10 %");
        assert!(change(1.0, 0.0).is_none() && change(f64::NAN, 1.0).is_none());
        assert_eq!([place(1.50), place(10.0), money(-1_234_567)], ["1.5", "10", "−12,345.67"]);
    }
}
