//! Pieces of mail text: amounts, cleaned words, escaped HTML.

/// An amount in minor units, such as `INR 1,250.00`.
pub(super) fn money(amount: u64, currency: &str) -> String {
    let digits = match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let unit = 10_u64.pow(digits);
    let width = usize::try_from(digits).unwrap_or(0);
    let whole = grouped(amount / unit);
    if width == 0 { format!("{currency} {whole}") } else { format!("{currency} {whole}.{:0width$}", amount % unit) }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Words of others, for a header or a line: no control characters, nothing that turns the direction of writing.
pub(super) fn clean(words: &str) -> String {
    let harmful = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    words.chars().map(|c| if harmful(c) { ' ' } else { c }).take(200).collect()
}

/// A text as HTML shows it.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        assert_eq!(money(125_000, "INR"), "INR 1,250.00");
        assert_eq!(money(5, "EUR"), "EUR 0.05");
        assert_eq!(money(1_234_567, "JPY"), "JPY 1,234,567");
        assert_eq!(money(1_500, "KWD"), "KWD 1.500");
    }

    #[test]
    fn words_can_not_start_a_line_or_turn_around() {
        assert_eq!(clean("Night\r\nBcc: x\u{202E}y"), "Night  Bcc: x y");
        assert_eq!(escaped("<b> & \"c\""), "&lt;b&gt; &amp; &quot;c&quot;");
    }
}
