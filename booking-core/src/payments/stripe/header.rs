//! `Stripe-Signature: t=UNIX_SECONDS,v1=HEX[,v1=HEX…]`: each `v1` is the HMAC of `t.body`; several while a secret is
//! replaced. Other schemes are ignored. The signed time must be near ours, so that a recorded webhook is no use later.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;

use crate::payments::{BadWebhook, signature};

/// How far the signed time may be from ours, either way.
const TOLERANCE_S: u64 = 300;
/// More signatures than any rotation needs would only be work for us.
const SIGNATURES_MAX: usize = 8;

/// Checks the one header of that name.
pub(super) fn check(secrets: &[Vec<u8>], headers: &HeaderMap, body: &[u8], now: SystemTime) -> Result<(), BadWebhook> {
    let mut all = headers.get_all("stripe-signature").iter();
    let (Some(header), None) = (all.next(), all.next()) else { return Err(BadWebhook::Signature) };
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let valid = header.to_str().is_ok_and(|header| is_valid(secrets, header, body, now));
    if valid { Ok(()) } else { Err(BadWebhook::Signature) }
}

fn is_valid(secrets: &[Vec<u8>], header: &str, body: &[u8], now: u64) -> bool {
    let (mut times, mut signatures) = (Vec::new(), Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", time)) => times.push(time),
            Some(("v1", signature)) => signatures.push(signature),
            _ => {}
        }
    }
    let [time] = *times.as_slice() else { return false };
    if signatures.len() > SIGNATURES_MAX || !is_near(time, now) {
        return false;
    }
    let digests: Vec<_> = signatures.into_iter().filter_map(signature::digest).collect();
    signature::is_any_valid(secrets, &[time.as_bytes(), b".", body], &digests)
}

fn is_near(time: &str, now: u64) -> bool {
    // `parse` alone would accept a plus sign.
    let digits = !time.is_empty() && time.bytes().all(|b| b.is_ascii_digit());
    digits && time.parse::<u64>().is_ok_and(|time| time.abs_diff(now) <= TOLERANCE_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1","type":"payment_intent.succeeded"}"#;
    const TIME: u64 = 1_790_000_000;
    // printf '1790000000.{"id":"evt_1","type":"payment_intent.succeeded"}' | openssl dgst -sha256 -hmac whsec_old
    const OLD: &str = "34ef44ed62770d2911fe8747bcec896e48e67cc996a2ba9fd7ba0f32ac138091";
    // The same with -hmac whsec_new.
    const NEW: &str = "75d860516aba7f85675ce40141275722f7cbb1d2f56c1116f84c6ab924bdd1dc";

    fn valid(secrets: &[&str], header: &str, now: u64) -> bool {
        let secrets: Vec<Vec<u8>> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
        is_valid(&secrets, header, BODY, now)
    }

    #[test]
    fn matches_an_independent_tool_while_a_secret_is_replaced_on_either_side() {
        let (old, new) = (format!("t={TIME},v1={OLD}"), format!("t={TIME},v1={NEW}"));
        let both =
            format!("t={TIME},v1={OLD},v1={NEW},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39");
        for (secrets, headers) in [
            (&["whsec_old"][..], [&old, &both]),
            (&["whsec_new"], [&new, &both]),
            (&["whsec_old", "whsec_new"], [&old, &new]),
        ] {
            assert!(headers.iter().all(|header| valid(secrets, header, TIME)), "{secrets:?}");
        }
        assert!(!valid(&["whsec_new"], &old, TIME) && !valid(&["whsec_old"], &new, TIME));
        assert!(!is_valid(&[b"whsec_old".to_vec()], &old, &[BODY, b" "].concat(), TIME), "another byte");
    }

    #[test]
    fn the_signed_time_must_be_there_once_and_near() {
        let header = format!("t={TIME},v1={OLD}");
        for near in [TIME - 300, TIME + 300] {
            assert!(valid(&["whsec_old"], &header, near), "{near}");
        }
        for far in [TIME - 301, TIME + 301, 0, u64::MAX] {
            assert!(!valid(&["whsec_old"], &header, far), "{far}");
        }
        for time in ["", "t=,", "t=-1,", "t=+1790000000,", "t=99999999999999999999999,", "t=1790000000,t=1790000000,"] {
            assert!(!valid(&["whsec_old"], &format!("{time}v1={OLD}"), TIME), "{time}");
        }
        assert!(!valid(&["whsec_old"], &format!("t={},v1={OLD}", TIME + 1), TIME), "the time is signed");
    }

    #[test]
    fn only_whole_signatures_of_the_known_scheme_count_and_not_too_many() {
        let pad = format!(",v1={}", "0".repeat(64));
        assert!(valid(&["whsec_old"], &format!("t={TIME},v1={OLD}{}", pad.repeat(7)), TIME));
        assert!(!valid(&["whsec_old"], &format!("t={TIME},v1={OLD}{}", pad.repeat(49)), TIME));
        for bad in ["", &format!("t={TIME}"), &format!("t={TIME},v0={OLD}"), &format!("t={TIME},v1={}", &OLD[..62])] {
            assert!(!valid(&["whsec_old"], bad, TIME), "{bad}");
        }
        assert!(!valid(&[], &format!("t={TIME},v1={OLD}"), TIME));
    }
}
