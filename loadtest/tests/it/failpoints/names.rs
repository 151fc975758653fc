//! The list of failpoints, read from the core's source: every literal in `failpoint!` and `repeats!`, and the places
//! around each transaction, each single statement that changes rows, and each script that changes something.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Parts of the core that serve no customer.
const NOT_THE_SAGA: [&str; 4] = ["failpoints.rs", "db/tests.rs", "claim/tests.rs", "seed.rs"];

/// Every name.
///
/// # Panics
/// When two places have one name.
pub(super) fn from_the_code() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../booking-core/src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let mut names = BTreeSet::new();
    let mut add = |name: String| assert!(names.insert(name.clone()), "{name} names two places");
    let mut called = BTreeSet::new();
    for file in files.iter().filter(|file| !NOT_THE_SAGA.iter().any(|part| file.ends_with(part))) {
        let text = std::fs::read_to_string(file).unwrap();
        for opening in ["failpoint!(", "repeats!("] {
            named(&text, opening)
                .into_iter()
                .map(|(name, _)| name)
                .filter(|name| !name.contains('{'))
                .for_each(&mut add);
        }
        for opening in [".write(", ".write_by("] {
            for (step, _) in named(&text, opening) {
                ["begin", "commit", "done"].iter().for_each(|place| add(format!("{step}.{place}")));
            }
        }
        for (step, body) in named(&text, ".read(") {
            if body.contains("UPDATE ") || body.contains("INSERT ") {
                ["begin", "done"].iter().for_each(|place| add(format!("{step}.{place}")));
            }
        }
        let in_loader = file.components().any(|part| part.as_os_str().to_string_lossy().starts_with("loader"));
        let places = if in_loader { ["call", "answered"] } else { ["run", "ran"] };
        for script in scripts(&text).filter(|script| writes(&root, script)) {
            called.extend(places.map(|place| format!("{script}.{place}")));
        }
    }
    called.into_iter().for_each(&mut add);
    names
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.push(path);
        }
    }
}

/// The literals that follow an opening, each with the rest of its function.
fn named<'a>(text: &'a str, opening: &str) -> Vec<(String, &'a str)> {
    let hits = text.split(opening).skip(1).scan(0, |_, rest| Some(rest));
    let offsets = hits.map(|rest| rest.as_ptr() as usize - text.as_ptr() as usize);
    let found = offsets.filter_map(|at| {
        let rest = &text[at..];
        let (name, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
        let end = ["\n}\n", "\n    }\n"].iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
        Some((name.to_owned(), &rest[..end]))
    });
    found.collect()
}

/// Names of the scripts that a file calls.
fn scripts(text: &str) -> impl Iterator<Item = &str> {
    let calls = text.split("scripts().").skip(1).chain(text.split("scripts.").skip(1));
    calls.map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap_or_default())
}

fn writes(root: &Path, script: &str) -> bool {
    let path = root.join("holds/scripts").join(format!("{script}.lua"));
    std::fs::read_to_string(path)
        .is_ok_and(|text| text.starts_with("#!lua") && !text.starts_with("#!lua flags=no-writes"))
}
