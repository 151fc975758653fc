//! The mutants: what each takes out, and the cheapest tests that should notice.

mod ledger;
mod money;
mod redis;
mod stream;

/// One guard, taken out.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// Short and unique.
    pub name: &'static str,
    /// What is missing without it.
    pub guard: &'static str,
    /// Path from the repository's root.
    pub file: &'static str,
    /// Occurs exactly once in the file.
    pub old: &'static str,
    /// Takes its place.
    pub new: &'static str,
    /// Where it has to be noticed.
    pub suite: Suite,
    /// Tests whose names contain one of these are run.
    pub tests: &'static [&'static str],
}

/// A test binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// Unit tests of the core.
    CoreUnit,
    /// The core on real servers.
    Core,
    /// Unit tests of the gateway.
    GatewayUnit,
    /// The gateway with random histories, and on real servers.
    Gateway,
    /// Unit tests of the protocol.
    Protocol,
}

impl Suite {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::CoreUnit, Self::Core, Self::GatewayUnit, Self::Gateway, Self::Protocol];

    /// What `cargo test` needs to be told.
    #[must_use]
    pub const fn arguments(self) -> &'static [&'static str] {
        match self {
            // With scripts and migrations read from the tree, a mutant of those needs no build.
            Self::CoreUnit => &["--package", "seatwire-core", "--features", "files-from-disk", "--lib"],
            Self::Core => &["--package", "seatwire-core", "--features", "files-from-disk", "--test", "it"],
            Self::GatewayUnit => &["--package", "seatwire-gateway", "--lib"],
            Self::Gateway => &["--package", "seatwire-gateway", "--test", "it"],
            Self::Protocol => &["--package", "seatwire-protocol", "--lib"],
        }
    }
}

/// Every mutant, by area.
#[must_use]
pub fn all() -> Vec<Mutant> {
    [redis::SEAT_MAP, redis::HOLDS, ledger::CLAIMS, ledger::LAST_LINES, money::MONEY, stream::STREAM].concat()
}
