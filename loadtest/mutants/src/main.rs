//! `make mutants`: takes out each guard in turn and expects the tests to fail.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use seatwire_mutants::list::{self, Mutant, Suite};
use seatwire_mutants::report;
use seatwire_mutants::run::{Cargo, Verdict, passed_tests};
use seatwire_mutants::tree::Tree;

const USAGE: &str = "\
Takes out each guard in turn and expects the tests to fail. Prints the table of docs/MUTANTS.md.

Usage: seatwire-mutants [--list] [--control | --no-control] [--only NAME]...

  --list       prints names and guards, runs nothing
  --control    only looks that every test passes without a mutant
  --no-control trusts an earlier run that every test passes without a mutant
  --only NAME  runs the mutant NAME, else those whose name contains NAME; may be repeated

Works in a copy of the checked-in files, target/mutants/tree. SEATWIRE_MUTANTS_TARGET names another folder for what
cargo builds than target/mutants/target. Exit status 1 when a mutant survives or does not compile.";

fn main() -> Result<ExitCode> {
    let mut only = Vec::new();
    let (mut is_list, mut has_control, mut has_mutants) = (false, true, true);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => is_list = true,
            "--control" => has_mutants = false,
            "--no-control" => has_control = false,
            "--only" => only.push(arguments.next().context("--only needs a name")?),
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
            other => bail!("{other}?\n\n{USAGE}"),
        }
    }
    let all = list::all();
    let is_whole = |name: &String| all.iter().any(|mutant| mutant.name == name);
    let is_named = |mutant: &Mutant, name: &String| {
        mutant.name == name || (!is_whole(name) && mutant.name.contains(name.as_str()))
    };
    let chosen = |mutant: &&Mutant| only.is_empty() || only.iter().any(|name| is_named(mutant, name));
    let mutants: Vec<Mutant> = all.iter().filter(chosen).copied().collect();
    ensure!(!mutants.is_empty(), "no mutant has such a name");
    if is_list {
        for mutant in &mutants {
            println!("{:<28} {}", mutant.name, mutant.guard);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let folder = repository.join("target/mutants");
    let tree = Tree::copy(&repository, folder.join("tree"))?;
    let target = std::env::var_os("SEATWIRE_MUTANTS_TARGET").map_or_else(|| folder.join("target"), PathBuf::from);
    let cargo = Cargo { tree: tree.root().to_owned(), target, logs: folder.join("logs") };
    eprintln!("building without a mutant");
    ensure!(cargo.build_binaries()?.succeeded, "the tree does not build, see {}", cargo.logs.display());
    if has_control {
        control(&cargo, &mutants)?;
    }
    if has_mutants { run(&tree, &cargo, &mutants) } else { Ok(ExitCode::SUCCESS) }
}

/// Without a mutant every test passes, and every name stands for one.
fn control(cargo: &Cargo, mutants: &[Mutant]) -> Result<()> {
    for suite in Suite::ALL {
        let of_suite = mutants.iter().filter(|mutant| mutant.suite == suite);
        let names: Vec<&str> =
            of_suite.flat_map(|mutant| mutant.tests).copied().collect::<BTreeSet<_>>().into_iter().collect();
        if names.is_empty() {
            continue;
        }
        eprintln!("testing without a mutant: {suite:?}");
        ensure!(cargo.compile("control", suite)?.succeeded, "{suite:?} does not build, see {}", cargo.logs.display());
        let ran = cargo.control(suite, &names)?;
        ensure!(ran.succeeded, "{suite:?} fails without a mutant, see {}", cargo.logs.display());
        let passed = passed_tests(&ran.text);
        for name in names {
            ensure!(passed.iter().any(|test| test.contains(name)), "no test of {suite:?} has the name {name}");
        }
    }
    Ok(())
}

fn run(tree: &Tree, cargo: &Cargo, mutants: &[Mutant]) -> Result<ExitCode> {
    let started = Instant::now();
    let mut survivors = 0_usize;
    println!("{}", report::HEAD);
    for mutant in mutants {
        let original = tree.mutate(mutant)?;
        let verdict = cargo.judge(mutant);
        tree.restore(&original)?;
        let verdict = verdict?;
        survivors += usize::from(!matches!(verdict, Verdict::Caught(_)));
        println!("{}", report::line(mutant, &verdict));
    }
    eprintln!("{} mutants, {survivors} not caught, {:.0?}", mutants.len(), started.elapsed());
    Ok(if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
