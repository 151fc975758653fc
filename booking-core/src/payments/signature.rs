//! HMAC-SHA256 of webhooks, compared in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Whether `header` signs `body` under any of the secrets; several, so that one can be replaced while old events are
/// still on their way. Upper-case digits are accepted.
#[must_use]
pub fn is_valid(secrets: &[Vec<u8>], body: &[u8], header: &str) -> bool {
    digest(header).is_some_and(|given| is_any_valid(secrets, &[body], &[given]))
}

/// Exactly 64 hexadecimal digits.
pub(super) fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0_u8; 32];
    hex::decode_to_slice(hex, &mut digest).ok()?;
    Some(digest)
}

/// Whether any of the digests signs the parts, one after another, under any of the secrets. Every pair is tried, so
/// that time does not tell which one matched.
pub(super) fn is_any_valid(secrets: &[Vec<u8>], parts: &[&[u8]], digests: &[[u8; 32]]) -> bool {
    let mut valid = false;
    for secret in secrets {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { continue };
        parts.iter().for_each(|part| mac.update(part));
        for digest in digests {
            valid |= mac.clone().verify_slice(digest).is_ok();
        }
    }
    valid
}

#[cfg(test)]
mod tests {
    use super::*;

    // printf '{"event":"payment.captured"}' | openssl dgst -sha256 -hmac topsecret
    const BODY: &[u8] = br#"{"event":"payment.captured"}"#;
    const SIGNED: &str = "b0cbcdab8bbe20073f995cc25f25eb30e48075eb9166fd36548ae1cb0818e273";

    #[test]
    fn matches_an_independent_tool_under_any_secret() {
        let secrets = [b"old".to_vec(), b"topsecret".to_vec()];
        assert!(is_valid(&secrets, BODY, SIGNED));
        assert!(is_valid(&secrets, BODY, &SIGNED.to_uppercase()));
        assert!(!is_valid(&secrets[..1], BODY, SIGNED));
        assert!(!is_valid(&[], BODY, SIGNED));
    }

    #[test]
    fn refuses_what_is_not_exactly_the_signature() {
        let secrets = [b"topsecret".to_vec()];
        assert!(!is_valid(&secrets, br#"{"event": "payment.captured"}"#, SIGNED), "another byte in the body");
        for header in ["", " ", "zz", &SIGNED[..62], &format!("{SIGNED}00"), &format!(" {SIGNED}"), "AAAA="] {
            assert!(!is_valid(&secrets, BODY, header), "{header}");
        }
    }
}
