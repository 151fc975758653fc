//! Tokens: two issuers, one fixed algorithm and one secret each. `seatwire` is the operator's own login, `guest` is
//! minted here. What a header says about keys is ignored; only signature, issuer, audience and times count.

mod revoked;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use seatwire_protocol::CustomerId;
use serde::{Deserialize, Serialize};

use self::revoked::Revoked;
use crate::clock;

const AUDIENCE: &str = "seatwire";
const ISSUER_CUSTOMER: &str = "seatwire";
const ISSUER_GUEST: &str = "guest";
/// Clocks of issuer and gateway may differ by this much, seconds.
const SKEW_S: u64 = 5;
/// A longer token is not looked at.
const TOKEN_BYTES_MAX: usize = 4_096;

/// A token that is not accepted; which of the checks failed is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct InvalidToken;

/// Who a token speaks for, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub customer: CustomerId,
    /// Milliseconds since 1970.
    pub expires_at_ms: u64,
    /// Milliseconds since 1970; 0 when the token does not say.
    pub issued_at_ms: u64,
}

/// Keys of both issuers.
pub struct Tokens {
    issuers: [(DecodingKey, Validation); 2],
    guest: EncodingKey,
    guest_life: Duration,
    /// A token that is good for longer is not accepted: a logout must outlive it.
    life_max: Duration,
    revoked: Mutex<Revoked>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: CustomerId,
    exp: u64,
    #[serde(default)]
    iat: u64,
}

/// RFC 7519 allows one audience or a list.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// A fresh guest token.
pub struct GuestToken {
    pub token: String,
    pub customer: CustomerId,
    pub life: Duration,
}

impl Tokens {
    pub fn new(jwt_secret: &str, guest_secret: &str, guest_life: Duration, life_max: Duration) -> Self {
        let issuer = |name: &str, secret: &str| {
            let mut validation = Validation::new(Algorithm::HS256);
            validation.set_issuer(&[name]);
            validation.set_audience(&[AUDIENCE]);
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            validation.validate_nbf = true;
            validation.leeway = SKEW_S;
            (DecodingKey::from_secret(secret.as_bytes()), validation)
        };
        let issuers = [issuer(ISSUER_GUEST, guest_secret), issuer(ISSUER_CUSTOMER, jwt_secret)];
        Self {
            issuers,
            guest: EncodingKey::from_secret(guest_secret.as_bytes()),
            guest_life,
            life_max,
            revoked: Mutex::default(),
        }
    }

    /// Checks a token. The signature decides which issuer it is; the issuer's name inside must then agree.
    ///
    /// # Errors
    /// [`InvalidToken`], whatever was wrong.
    pub fn verify(&self, token: &str) -> Result<Identity, InvalidToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(InvalidToken);
        }
        for (key, validation) in &self.issuers {
            match jsonwebtoken::decode::<Claims>(token, key, validation) {
                Ok(data) => {
                    let Claims { sub, exp, iat, .. } = data.claims;
                    let ms = |seconds: u64| seconds.saturating_mul(1_000);
                    let identity = Identity { customer: sub, expires_at_ms: ms(exp), issued_at_ms: ms(iat) };
                    let refused = !self.fits_times(iat, exp) || self.is_revoked(&identity);
                    return if refused { Err(InvalidToken) } else { Ok(identity) };
                }
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
                Err(_) => return Err(InvalidToken),
            }
        }
        Err(InvalidToken)
    }

    /// Whether a token was not issued in the future, and is not good for too long; both in seconds since 1970.
    fn fits_times(&self, issued_at: u64, ends_at: u64) -> bool {
        let now = clock::unix_ms() / 1_000;
        // Without a time of its own it counts from now.
        let from = if issued_at == 0 { now } else { issued_at };
        let life_max = self.life_max.as_secs().saturating_add(SKEW_S);
        from <= now.saturating_add(SKEW_S) && ends_at.saturating_sub(from) <= life_max
    }

    /// Makes the customer's tokens void that were issued before `before_ms`. `true` when so many logged out that other
    /// customers' old tokens are void too.
    pub fn revoke(&self, customer: CustomerId, before_ms: u64, now_ms: u64) -> bool {
        let life_max_ms = u64::try_from(self.life_max.as_millis()).unwrap_or(u64::MAX);
        self.revoked().add(customer, before_ms, now_ms.saturating_sub(life_max_ms))
    }

    /// Whether the customer logged out after this token was issued.
    pub fn is_revoked(&self, identity: &Identity) -> bool {
        self.revoked().covers(&identity.customer, identity.issued_at_ms)
    }

    fn revoked(&self) -> MutexGuard<'_, Revoked> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a new guest and a token for it.
    ///
    /// # Errors
    /// [`InvalidToken`] when it can't be signed, which an HMAC key never does.
    pub fn mint_guest(&self) -> Result<GuestToken, InvalidToken> {
        let customer = CustomerId::new(&format!("g_{}", uuid::Uuid::new_v4().simple())).map_err(|_| InvalidToken)?;
        let now = clock::unix_ms() / 1_000;
        let claims = Claims {
            iss: ISSUER_GUEST.to_owned(),
            aud: Audience::One(AUDIENCE.to_owned()),
            sub: customer.clone(),
            exp: now.saturating_add(self.guest_life.as_secs()),
            iat: now,
        };
        let token =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.guest).map_err(|_| InvalidToken)?;
        Ok(GuestToken { token, customer, life: self.guest_life })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    const JWT: &str = "0123456789abcdef0123456789abcdef";
    const GUEST: &str = "fedcba9876543210fedcba9876543210";

    fn tokens() -> Tokens {
        Tokens::new(JWT, GUEST, Duration::from_secs(60), Duration::from_secs(3_600))
    }

    fn sign(secret: &str, algorithm: Algorithm, claims: &serde_json::Value) -> String {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn claims(change: impl FnOnce(&mut serde_json::Value)) -> serde_json::Value {
        let now = clock::unix_ms() / 1_000;
        let mut claims = json!({"iss": "seatwire", "aud": "seatwire", "sub": "anna", "exp": now + 60});
        change(&mut claims);
        claims
    }

    #[test]
    fn both_issuers_are_accepted_with_their_own_secret_only() {
        let guest = tokens().mint_guest().unwrap();
        assert_eq!(tokens().verify(&guest.token).unwrap().customer, guest.customer);
        assert!(guest.customer.as_str().starts_with("g_"));
        let anna = sign(JWT, Algorithm::HS256, &claims(|_| ()));
        assert_eq!(tokens().verify(&anna).unwrap().customer.as_str(), "anna");
        let list = sign(JWT, Algorithm::HS256, &claims(|c| c["aud"] = json!(["other", "seatwire"])));
        assert!(tokens().verify(&list).is_ok());
        assert!(tokens().verify(&sign(GUEST, Algorithm::HS256, &claims(|_| ()))).is_err(), "issuer of another secret");
        assert!(tokens().verify(&sign(JWT, Algorithm::HS256, &claims(|c| c["iss"] = json!("guest")))).is_err());
    }

    /// B20.
    #[test]
    fn every_bad_token_is_refused() {
        let now = clock::unix_ms() / 1_000;
        let none = |body: &serde_json::Value| {
            let part = |v: &serde_json::Value| URL_SAFE_NO_PAD.encode(v.to_string());
            format!("{}.{}.", part(&json!({"alg": "none"})), part(body))
        };
        // Headers that offer a key of the sender's own, or a place to look for one: ignored, so the signature is wrong.
        let headed = |header: serde_json::Value| {
            let part = |v: &serde_json::Value| URL_SAFE_NO_PAD.encode(v.to_string());
            let signed = format!("{}.{}", part(&header), part(&claims(|_| ())));
            let own_key = EncodingKey::from_secret(b"the sender's own key, as long as another");
            let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &own_key, Algorithm::HS256).unwrap();
            format!("{signed}.{signature}")
        };
        let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode("the sender's own key, as long as another")});
        let good = sign(JWT, Algorithm::HS256, &claims(|_| ()));
        let mut tampered = good.clone();
        let first = good.rfind('.').unwrap() + 1;
        tampered.replace_range(first..=first, if good[first..].starts_with('A') { "B" } else { "A" });
        let bad = [
            ("expired", sign(JWT, Algorithm::HS256, &claims(|c| c["exp"] = json!(now - 60)))),
            ("too long", sign(JWT, Algorithm::HS256, &claims(|c| c["exp"] = json!(now + 7_200)))),
            ("issued later", sign(JWT, Algorithm::HS256, &claims(|c| c["iat"] = json!(now + 60)))),
            ("not yet", sign(JWT, Algorithm::HS256, &claims(|c| c["nbf"] = json!(now + 60)))),
            ("audience", sign(JWT, Algorithm::HS256, &claims(|c| c["aud"] = json!("other")))),
            ("issuer", sign(JWT, Algorithm::HS256, &claims(|c| c["iss"] = json!("other")))),
            ("no subject", sign(JWT, Algorithm::HS256, &claims(|c| drop(c.as_object_mut().unwrap().remove("sub"))))),
            ("no expiry", sign(JWT, Algorithm::HS256, &claims(|c| drop(c.as_object_mut().unwrap().remove("exp"))))),
            ("subject", sign(JWT, Algorithm::HS256, &claims(|c| c["sub"] = json!("a:b")))),
            ("secret", sign("another secret of thirty-two bytes!", Algorithm::HS256, &claims(|_| ()))),
            ("algorithm", sign(JWT, Algorithm::HS512, &claims(|_| ()))),
            ("none", none(&claims(|_| ()))),
            ("own key", headed(json!({"alg": "HS256", "typ": "JWT", "jwk": jwk}))),
            ("key of SQL", headed(json!({"alg": "HS256", "kid": "x' UNION SELECT 'the sender''s own key'--"}))),
            ("key elsewhere", headed(json!({"alg": "HS256", "jku": "https://example.org/keys", "x5u": "file:///etc"}))),
            ("public key", headed(json!({"alg": "RS256", "kid": "1"}))),
            ("long", "a".repeat(16 << 10)),
            ("empty", String::new()),
            ("tampered", tampered),
        ];
        for (what, token) in bad {
            assert_eq!(tokens().verify(&token), Err(InvalidToken), "{what}");
        }
    }
}
