//! Which webhooks were accepted, and how often, as the journal has it: what a shop answered 200 for it may not lose.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::journal;

/// A webhook that was to be sent.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The provider's id of the event.
    pub event: String,
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
    /// Copies that were answered with success.
    pub accepted: u32,
}

/// All webhooks of the provider whose data are in `dir`; it may be running.
///
/// # Errors
/// When the journal can't be read.
pub fn deliveries(dir: &Path) -> anyhow::Result<Vec<Delivery>> {
    let path = dir.join(journal::FILE);
    let text = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    let mut all: BTreeMap<String, Delivery> = BTreeMap::new();
    for record in journal::records(&text) {
        let (record, _) = record.with_context(|| format!("{} is damaged", path.display()))?;
        for event in record.events {
            let body_hash = Sha256::digest(event.body.as_bytes()).into();
            all.insert(event.id.clone(), Delivery { event: event.id, body_hash, accepted: 0 });
        }
        if let Some(delivery) = record.delivered.and_then(|event| all.get_mut(&event)) {
            delivery.accepted += 1;
        }
    }
    Ok(all.into_values().collect())
}
