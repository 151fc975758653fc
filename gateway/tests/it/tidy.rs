//! No guard of a DashMap lives across an await, also where clippy does not see it (`Option<Ref>`): only the registry has
//! a DashMap, its functions hand out no guard, and nothing in it waits.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            out.push(path);
        }
    }
}

/// The code of a file, without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn uses_dashmap(code: &str) -> bool {
    code.to_lowercase().contains("dashmap::") || code.contains("DashMap")
}

fn waits(code: &str) -> bool {
    code.contains("async") || code.contains(".await")
}

#[test]
fn only_the_registry_has_a_dashmap_and_nothing_in_it_waits() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    assert!(files.len() > 40, "{files:?}");
    let with_map: Vec<_> = files.iter().filter(|path| uses_dashmap(&code(path))).collect();
    let registry = root.join("src/registry.rs");
    assert_eq!(with_map, [&registry]);
    assert!(!waits(&code(&registry)), "the registry waits");
    let hands_out =
        code(&registry).lines().filter(|line| line.contains("pub fn")).map(str::to_owned).collect::<Vec<_>>();
    assert!(hands_out.len() >= 4 && !hands_out.iter().any(|line| line.contains("Ref<") || line.contains("Entry<")));
    // What the rule is for would be seen.
    let fixture = code(&root.join("tests/lint/guards_across_awaits.rs"));
    assert!(uses_dashmap(&fixture) && waits(&fixture));
}
