//! The command lines and the configuration of all programs: refused at once, with every problem named.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn program(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name(name);
    let folder = std::env::var_os("SEATWIRE_BIN_DIR").map(PathBuf::from);
    let path = folder.map_or(beside, |folder| folder.join(name));
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// Runs a program to its end with this environment and no other.
fn run(name: &str, args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(program(name));
    command.args(args).env_clear().envs(env.iter().copied());
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(stdout.is_empty(), "{name} {args:?} is not ready: {}", String::from_utf8_lossy(&stdout));
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn a_wrong_command_line_is_refused_with_the_word_that_is_wrong() {
    let table = [
        ("loadtest", &["up", "--bogus"][..], "--bogus"),
        ("loadtest", &["dance"], "dance"),
        ("loadtest", &["up", "--gateways", "many"], "many"),
        ("loadtest", &["provider", "--listen", "nowhere"], "nowhere"),
        ("seatwire-core", &["serve", "--bogus"], "--bogus"),
        ("seatwire-core", &["dance"], "dance"),
        ("seatwire-gateway", &["--bogus"], "--bogus"),
    ];
    for (name, args, word) in table {
        let (code, text) = run(name, args, &[]);
        assert_eq!(code, Some(2), "{name} {args:?}: {text}");
        assert!(text.contains(word), "{name} {args:?}: {text}");
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_every_problem_at_once() {
    let (code, text) = run("seatwire-core", &["serve"], &[]);
    assert_eq!(code, Some(2), "{text}");
    let required = [
        "SEATWIRE_DATABASE_URL",
        "SEATWIRE_CORE_SECRET",
        "SEATWIRE_HOLD_SECRET",
        "SEATWIRE_ADMIN_TOKEN",
        "SEATWIRE_PROVIDER",
    ];
    for name in required {
        assert!(text.contains(name), "the core does not name {name}: {text}");
    }
    let short = "tooshort";
    let env = [
        ("SEATWIRE_CORE_SECRET", short),
        ("SEATWIRE_HOLD_MS", "soon"),
        ("SEATWIRE_CORE_LISTEN", "here"),
        ("SEATWIRE_REDIS_URL", "http://redis"),
    ];
    let (code, text) = run("seatwire-core", &["serve"], &env);
    assert_eq!(code, Some(2), "{text}");
    for (name, _) in env {
        assert!(text.contains(name), "the core does not name {name}: {text}");
    }
    assert!(!text.contains(short), "a secret must not be repeated: {text}");

    let (code, text) = run("seatwire-gateway", &[], &[("SEATWIRE_JWT_SECRET", short), ("SEATWIRE_BEAT_MS", "often")]);
    assert_eq!(code, Some(2), "{text}");
    for name in ["SEATWIRE_CORE_SECRET", "SEATWIRE_JWT_SECRET", "SEATWIRE_GUEST_SECRET", "SEATWIRE_BEAT_MS"] {
        assert!(text.contains(name), "the gateway does not name {name}: {text}");
    }
    assert!(!text.contains(short), "a secret must not be repeated: {text}");

    let (code, text) = run("seatwire-core", &["migrate"], &[("SEATWIRE_MIGRATE_DATABASE_URL", "mysql://x")]);
    assert_ne!(code, Some(0));
    assert!(text.contains("SEATWIRE_MIGRATE_DATABASE_URL"), "{text}");
}
