//! Tokens as the shop's own login would issue them; for tests that need many customers with known names.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use seatwire_protocol::CustomerId;

use super::ClientError;

/// A token of `customer`, good for `lifetime`, signed with the gateway's `SEATWIRE_JWT_SECRET`.
///
/// # Errors
/// [`ClientError::Broken`] when it can't be signed.
pub fn sign_token(secret: &str, customer: &CustomerId, lifetime: Duration) -> Result<String, ClientError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let claims = serde_json::json!({
        "iss": "seatwire",
        "aud": "seatwire",
        "sub": customer,
        "iat": now.as_secs(),
        "exp": (now + lifetime).as_secs(),
    });
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(|e| ClientError::Broken(e.to_string()))
}
