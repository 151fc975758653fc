//! The feed's model at the small bound, and every variant of it.

use seatwire_model::Bound;
use seatwire_model::checker::explore;
use seatwire_model::feed::{Feed, Variant, scenario_for, scenarios};

const STATES_MAX: usize = 5_000_000;

#[test]
fn the_design_holds() {
    let mut states = 0;
    for scenario in scenarios(Bound::Small) {
        let report = explore(&Feed::new(scenario, Variant::Design), STATES_MAX);
        println!("{}: {} states, depth {}, {:.1?}", scenario.name, report.states, report.depth, report.elapsed);
        assert!(report.violation.is_none(), "{}: {:#?}", scenario.name, report.violation);
        assert!(report.complete, "{}: not every state was visited", scenario.name);
        assert_eq!(report.missed, Vec::<&str>::new(), "{}: never reached", scenario.name);
        states += report.states;
    }
    assert!(states >= 300_000, "{states} states");
}

/// Each in a run that the design passes, and by the property that its guard is there for.
#[test]
fn every_variant_is_caught() {
    let runs = scenarios(Bound::Small);
    for variant in Variant::BROKEN {
        let scenario = scenario_for(variant);
        assert!(runs.contains(&scenario), "{variant:?}: the design is not shown to hold in '{}'", scenario.name);
        let report = explore(&Feed::new(scenario, variant), STATES_MAX);
        let caught = report.violation.as_ref().map(|violation| violation.property);
        assert_eq!(caught, variant.violates(), "{variant:?} in '{}', {} states", scenario.name, report.states);
        let steps = report.violation.map_or(0, |violation| violation.trace.len());
        println!("{variant:?}: {}, {steps} steps", caught.unwrap_or_default());
    }
}
