//! What PostgreSQL stores of a password (RFC 5802, SCRAM-SHA-256), computed here with one round instead of 4,096.
//!
//! Rounds slow down guessing of weak passwords; ours are 32 random bytes. In an unoptimised client each round counts:
//! a pool of 16 connections took seconds to open.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// For `ALTER ROLE … PASSWORD`: the server can check this password, nobody can read it from there.
pub(super) fn stored_form(password: &str) -> String {
    with_salt(password, &rand::random::<[u8; 16]>(), 1)
}

fn with_salt(password: &str, salt: &[u8], rounds: u32) -> String {
    let first = hash(password.as_bytes(), &[salt, &1u32.to_be_bytes()].concat());
    let mut salted = first;
    let mut last = first;
    for _ in 1..rounds {
        last = hash(password.as_bytes(), &last);
        salted.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    let client_key = hash(&salted, b"Client Key");
    let stored_key = BASE64_STANDARD.encode(Sha256::digest(client_key));
    let server_key = BASE64_STANDARD.encode(hash(&salted, b"Server Key"));
    format!("SCRAM-SHA-256${rounds}:{}${stored_key}:{server_key}", BASE64_STANDARD.encode(salt))
}

fn hash(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of every length.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mac| mac.chain_update(message).finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_stored_as_there() {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let stored = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                      wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(with_salt("pencil", &salt, 4096), stored);
    }
}
