//! A gateway process by itself: no core and no Redis are there, which it must survive.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

pub(crate) const JWT_SECRET: &str = "a secret of customers, 32 bytes long";
const GUEST_SECRET: &str = "a secret of the guests, 32 bytes long";

/// A gateway; ends with this handle.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: String,
    /// Where it tells its metrics.
    pub(crate) metrics: String,
}

impl Gateway {
    /// Starts one with some settings and waits for its ready line.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let mut child = command(settings).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        assert_eq!(ready["pid"], child.id());
        let [address, metrics] = ["gateway", "gateway_metrics"].map(|name| ready[name].as_str().unwrap().to_owned());
        Self { child, address, metrics }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks it to finish, and waits until it has; the exit code.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("still there after 30 s");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program to its end.
fn run(settings: &[(&str, &str)], flags: &[&str]) -> Output {
    command(settings).args(flags).output().unwrap()
}

fn command(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatwire-gateway"));
    command.env_clear().env("SEATWIRE_GATEWAY_LISTEN", "127.0.0.1:0");
    command.env("SEATWIRE_GATEWAY_METRICS_LISTEN", "127.0.0.1:0");
    // Port 1 is nobody's.
    command.env("SEATWIRE_CORES", "127.0.0.1:1").env("SEATWIRE_REDIS_URL", "redis://127.0.0.1:1");
    command.env("SEATWIRE_CORE_SECRET", "a secret of the core");
    command.env("SEATWIRE_JWT_SECRET", JWT_SECRET).env("SEATWIRE_GUEST_SECRET", GUEST_SECRET);
    command.envs(settings.iter().copied());
    command
}

/// A token of the customer `anna` that ends so many seconds from now.
pub(crate) fn token(seconds: i64) -> String {
    token_of("anna", seconds)
}

pub(crate) fn token_of(customer: &str, seconds: i64) -> String {
    let now = jsonwebtoken::get_current_timestamp().cast_signed();
    sign(&json!({"iss": "seatwire", "aud": "seatwire", "sub": customer, "iat": now, "exp": now + seconds}))
}

/// Signs any claims with the customers' secret.
pub(crate) fn sign(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(JWT_SECRET.as_bytes())).unwrap()
}

#[test]
fn all_problems_of_the_configuration_are_told_at_once() {
    let wrong = [("SEATWIRE_JWT_SECRET", "short"), ("SEATWIRE_BEAT_MS", "soon"), ("SEATWIRE_CORES", "")];
    let output = run(&wrong, &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    for (name, _) in wrong {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
    assert!(!text.contains("short"), "a secret is shown: {text}");
    assert_eq!(run(&[], &["--no-such-flag"]).status.code(), Some(2));
    let help = String::from_utf8(run(&[], &["--help"]).stdout).unwrap();
    assert!(help.matches("SEATWIRE_").count() >= 20, "{help}");
}
