//! Builds anew when a migration comes or goes: they are embedded, and cargo does not look into folders by itself. Two
//! steps under one stamp end the build, because only one of them would ever be run.

use std::collections::BTreeMap;

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
    let mut stamps = BTreeMap::new();
    for entry in std::fs::read_dir("../migrations").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((stamp, _)) = name.split_once('_') else { continue };
        if let Some(other) = stamps.insert(stamp.to_owned(), name.clone()) {
            println!("cargo::error=migrations {other} and {name} have the same stamp");
        }
    }
}
