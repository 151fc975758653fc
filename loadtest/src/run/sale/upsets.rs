//! The provider's bad moments: seconds in which its API fails, refuses, hangs or is slow, refunds go wrong, webhooks
//! wait. One after another by the seed, with quiet between; webhooks leave in no order all the time.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::client::Http;
use crate::run::say;

/// Until `over`; then everything is switched back.
pub(in crate::run) async fn run(provider: String, seed: u64, over: CancellationToken) {
    let mut rng = StdRng::seed_from_u64(seed ^ SALT);
    let bad = async {
        loop {
            // Again each time: a killed provider has forgotten it.
            turn(&provider, &json!({"shuffle": true})).await;
            pause(&mut rng, QUIET_MS).await;
            turn(&provider, &upset(&mut rng)).await;
            pause(&mut rng, UPSET_MS).await;
            turn(&provider, &calm()).await;
        }
    };
    tokio::select! {
        () = bad => {}
        () = over.cancelled() => {}
    }
    while !turn(&provider, &calm()).await {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn upset(rng: &mut StdRng) -> Value {
    match rng.random_range(0..8) {
        0 => json!({"fail": "500"}),
        1 => json!({"fail": "429"}),
        2 => json!({"fail": "hang"}),
        3 => json!({"slow_ms": 400}),
        4 => json!({"refund": "lose_answer"}),
        5 => json!({"refund": "fail"}),
        6 => json!({"refund": "refuse"}),
        _ => json!({"webhooks": "hold"}),
    }
}

fn calm() -> Value {
    json!({"fail": null, "refund": null, "webhooks": null, "shuffle": null, "slow_ms": null})
}

/// Whether it was heard: the provider may be down.
async fn turn(provider: &str, switches: &Value) -> bool {
    match Http::default().post(&format!("{provider}/control"), &[], switches).await {
        Ok(reply) if reply.status == 200 => true,
        Ok(reply) => {
            say(&format!("the provider refuses {switches}: {}", reply.status));
            false
        }
        Err(_) => false,
    }
}

async fn pause(rng: &mut StdRng, ms: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(ms))).await;
}

/// Choices of their own.
const SALT: u64 = 0x5ea7;
const QUIET_MS: std::ops::Range<u64> = 500..2_500;
/// Shorter than what makes the core give a refund up.
const UPSET_MS: std::ops::Range<u64> = 300..1_500;
