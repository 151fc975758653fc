//! Text that becomes part of an address or of a form.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Everything but letters, digits and `-_.~` as `%XX`.
pub(crate) fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, &PLAIN).to_string()
}

/// `application/x-www-form-urlencoded`.
pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", percent_encoded(name), percent_encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Ids come from the provider or the database; what is not plain must not become part of a path.
pub(crate) fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_addresses_are_one_query_value() {
        assert_eq!(percent_encoded("http://a:1/?b=c&d"), "http%3A%2F%2Fa%3A1%2F%3Fb%3Dc%26d");
    }

    #[test]
    fn fields_can_not_become_other_fields() {
        assert_eq!(
            encode(&[("metadata[receipt]", "a&amount=1"), ("x", "ü")]),
            "metadata%5Breceipt%5D=a%26amount%3D1&x=%C3%BC"
        );
    }

    #[test]
    fn only_plain_ids_get_into_a_path() {
        assert!(is_plain("pay_29QQoUBi66xm2f") && is_plain("pi_3-x"));
        for bad in ["", "a/b", "a?b", "..", "a b", "ä", "%2e", &"x".repeat(65)] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
