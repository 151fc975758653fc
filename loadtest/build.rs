//! Tells the program which commit it is built from, for its reports. In release builds only: those are the ones whose figures
//! count, and a debug build would otherwise be built anew after each commit. Outside git there is none.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    // What this program consists of, so that `-dirty` is as old as the program; and every move of HEAD.
    for part in ["src", "Cargo.toml", "../protocol/src", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={part}");
    }
    let moves = ["logs/HEAD", "HEAD"].iter().filter_map(|file| git(&["rev-parse", "--git-path", file]));
    // One that is not there would build anew each time.
    for file in moves.filter(|file| Path::new(file).exists()) {
        println!("cargo::rerun-if-changed={file}");
    }
    if let Some(commit) = git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]) {
        println!("cargo::rustc-env=SEATWIRE_COMMIT={commit}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
