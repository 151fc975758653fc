//! The list can't rot: every text is where its mutant expects it, and the table in the documentation has every mutant.
//! Compiles nothing and runs nothing else.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use seatwire_mutants::list;
use seatwire_mutants::run::{failed_tests, passed_tests};
use seatwire_mutants::tree::mutated;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_text_occurs_once_and_every_name_too() {
    let mut names = HashSet::new();
    for mutant in list::all() {
        assert!(names.insert(mutant.name), "two mutants {}", mutant.name);
        assert!(!mutant.tests.is_empty(), "{} has no test", mutant.name);
        let text = fs::read_to_string(repository().join(mutant.file)).expect(mutant.name);
        let without = mutated(&mutant, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_ne!(without, text, "{} changes nothing", mutant.name);
    }
}

#[test]
fn the_table_has_every_mutant() {
    let table = fs::read_to_string(repository().join("docs/MUTANTS.md")).unwrap();
    let rows: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    let names: Vec<&str> = list::all().iter().map(|mutant| mutant.name).collect();
    assert_eq!(rows.get(1..), Some(names.as_slice()), "run `make mutants` and put its table into docs/MUTANTS.md");
}

#[test]
fn results_of_tests_are_read() {
    let text = "running 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest a::d ... ignored\n\nfailures:\n";
    assert_eq!(passed_tests(text), ["a::b"]);
    assert_eq!(failed_tests(text), ["a::c"]);
}
