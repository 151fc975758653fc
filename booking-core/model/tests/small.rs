//! The smaller models at the small bound, and every variant of them.

use seatwire_model::Bound;
use seatwire_model::checker::{Model, explore};
use seatwire_model::{customers, split};

const STATES_MAX: usize = 5_000_000;

fn holds<M: Model>(model: &M, at_least: usize) {
    let report = explore(model, STATES_MAX);
    println!("{} states, depth {}, {:.1?}", report.states, report.depth, report.elapsed);
    assert!(report.violation.is_none(), "{:#?}", report.violation);
    assert!(report.complete, "not every state was visited");
    assert_eq!(report.missed, Vec::<&str>::new(), "never reached");
    assert!(report.states >= at_least, "{} states", report.states);
}

fn caught<M: Model>(model: &M) -> Option<&'static str> {
    let report = explore(model, STATES_MAX);
    let steps = report.violation.as_ref().map_or(0, |violation| violation.trace.len());
    let caught = report.violation.map(|violation| violation.property);
    println!("{} in {steps} steps", caught.unwrap_or("nothing"));
    caught
}

#[test]
fn a_split_holds_and_every_variant_is_caught() {
    holds(&split::Split { variant: split::Variant::Design }, 20_000);
    for variant in split::Variant::BROKEN {
        assert_eq!(caught(&split::Split { variant }), variant.violates(), "{variant:?}");
    }
}

#[test]
fn counts_and_owners_hold_and_every_variant_is_caught() {
    holds(&customers::Customers::new(Bound::Small, customers::Variant::Design), 20_000);
    for variant in customers::Variant::BROKEN {
        let model = customers::Customers::new(Bound::Small, variant);
        assert_eq!(caught(&model), variant.violates(), "{variant:?}");
    }
}
