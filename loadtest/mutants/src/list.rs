//! The mutants: what each takes out, and the cheapest tests that should notice.

/// Path of a Lua script.
macro_rules! lua {
    ($name:literal) => {
        concat!("booking-core/src/holds/scripts/", $name, ".lua")
    };
}

mod holds;
mod ledger;
mod money;
mod scrubber;
mod seat_map;
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
    /// Unit tests of the protocol.
    Protocol,
}

impl Suite {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::CoreUnit, Self::Core, Self::GatewayUnit, Self::Protocol];

    /// What `cargo test` needs to be told.
    #[must_use]
    pub const fn arguments(self) -> &'static [&'static str] {
        match self {
            // With scripts and migrations read from the tree, a mutant of those needs no build.
            Self::CoreUnit => &["--package", "seatwire-core", "--features", "files-from-disk", "--lib"],
            Self::Core => &["--package", "seatwire-core", "--features", "files-from-disk", "--test", "it"],
            Self::GatewayUnit => &["--package", "seatwire-gateway", "--lib"],
            Self::Protocol => &["--package", "seatwire-protocol", "--lib"],
        }
    }
}

/// Every mutant, by area.
#[must_use]
pub fn all() -> Vec<Mutant> {
    [
        seat_map::SEAT_MAP,
        scrubber::SCRUBBER,
        holds::HOLDS,
        ledger::CLAIMS,
        ledger::LAST_LINES,
        money::MONEY,
        stream::STREAM,
    ]
    .concat()
}
