//! A customer without an account: `POST /api/guest`.

use seatwire_protocol::CustomerId;
use serde::Deserialize;

use super::{ClientError, Http};

/// A guest's token.
#[derive(Debug, Clone, Deserialize)]
pub struct Guest {
    /// JSON Web Token.
    pub token: String,
    /// Its subject.
    pub customer: CustomerId,
    /// Milliseconds that it is good for.
    pub expires_in_ms: u64,
}

impl Guest {
    /// The header that carries the token.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

/// A new guest of a gateway.
///
/// # Errors
/// [`ClientError`] when the gateway does not answer with a token.
pub async fn guest(gateway: &str) -> Result<Guest, ClientError> {
    Http::default().post(&format!("{gateway}/api/guest"), &[], &serde_json::json!({})).await?.json()
}
