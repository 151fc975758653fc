//! The program as operators start it: exit codes, every problem at once, a complete help.

use std::process::{Command, Output};

fn core(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatwire-core"));
    command.env_clear().args(args).envs(env.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_wrong_configuration_exits_2_and_names_every_problem_but_no_secret() {
    let env = [
        ("SEATWIRE_CORE_LISTEN", "localhost"),
        ("SEATWIRE_CORE_SECRET", "hunter2"),
        ("SEATWIRE_DATABASE_URL", "mysql://root:hunter2@db/seats"),
        ("SEATWIRE_CLAIM_MS", "soon"),
    ];
    let output = core(&["serve", "--hold-ms=-5"], &env);
    assert_eq!(output.status.code(), Some(2));
    let errors = text(&output.stderr);
    for variable in
        ["CORE_LISTEN", "CORE_SECRET", "DATABASE_URL", "CLAIM_MS", "HOLD_MS", "HOLD_SECRET", "ADMIN_TOKEN", "PROVIDER"]
    {
        assert!(errors.contains(&format!("SEATWIRE_{variable} ")), "{variable} is missing in\n{errors}");
    }
    assert!(!errors.contains("hunter2") && output.stdout.is_empty(), "{errors}");
}

#[test]
fn the_other_commands_name_what_they_miss() {
    for (args, env, code, expected) in [
        (&["migrate"][..], &[][..], 2, "SEATWIRE_MIGRATE_DATABASE_URL (--migrate-database-url): is required"),
        (&["seed"], &[("SEATWIRE_DATABASE_URL", "db")], 2, "SEATWIRE_DATABASE_URL (--database-url): must start with"),
        (&["seed", "--opening-in-ms=x"], &[], 2, "--opening-in-ms"),
        (&["migrate", "--down=1", "--redo"], &[], 2, "--redo"),
        (&["serve", "--colour=red"], &[], 2, "--colour"),
        (&["dance"], &[], 2, "dance"),
        (&["migrate", "--migrate-database-url=postgres://a:b@127.0.0.1:1/d"], &[], 1, "cannot connect"),
    ] {
        let output = core(args, env);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        assert!(errors.contains(expected), "{args:?}: {errors}");
    }
}

#[test]
fn help_shows_flag_variable_and_default_of_everything_and_no_secret_of_the_environment() {
    let output = core(&["serve", "--help"], &[("SEATWIRE_CORE_SECRET", "hunter2")]);
    let help = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    for part in ["--hold-ms <MS>", "SEATWIRE_HOLD_MS", "300000", "milliseconds", "(required)", "Exit codes"] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
    assert!(!help.contains("hunter2"));
}
