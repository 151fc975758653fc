//! A text that must not reach a log.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A secret. Its debug form shows nothing of it, and it has no display form.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text itself; not for logs, errors or replies.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is the same, in time that depends on neither: hashes of equal length are compared.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        Sha256::digest(self.0.as_bytes()).ct_eq(&Sha256::digest(candidate)).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_only_the_same_bytes() {
        let secret = Secret::new("0123456789abcdef".to_owned());
        assert!(secret.matches(b"0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef "] {
            assert!(!secret.matches(wrong.as_bytes()), "{wrong:?}");
        }
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
