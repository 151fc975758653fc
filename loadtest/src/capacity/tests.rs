use clap::Parser as _;

use super::{CapacityArgs, Sheet, UnitCosts};

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    args: CapacityArgs,
}

fn bench(name: &str, figures: &[(&str, f64)]) -> Vec<u8> {
    let figures = figures.iter().map(|(name, measured)| serde_json::json!({ "name": name, "measured": measured }));
    let bench = serde_json::json!({
        "bench": name, "build": "release", "date": "2026-11-22", "cores": 2, "cpu": "some", "busy": false,
        "figures": figures.collect::<Vec<_>>(),
    });
    serde_json::to_vec(&bench).unwrap()
}

fn costs() -> UnitCosts {
    let mut costs = UnitCosts::default();
    let loads = [("light: CPU of a frame", 5.0), ("heavy: CPU of a frame", 10.0), ("light: bytes a change", 4.0)];
    costs.take("fanout.json", &bench("fanout", &loads)).unwrap();
    let viewers = [
        ("RSS of an idle viewer", 2.0),
        ("kernel's objects of an idle viewer", 2_048.0),
        ("CPU of an idle viewer, a second", 0.5),
    ];
    costs.take("viewers.json", &bench("viewers", &viewers)).unwrap();
    costs.take("joins.json", &bench("joins", &[("CPU of a join", 60.0)])).unwrap();
    let holds = ["core CPU of a hold", "core CPU of a release", "core CPU of a refusal"];
    let redis = ["Redis CPU of a hold", "Redis CPU of a release", "Redis CPU of a refusal"];
    let holds: Vec<(&str, f64)> =
        holds.iter().map(|name| (*name, 20.0)).chain(redis.iter().map(|name| (*name, 50.0))).collect();
    costs.take("holds.json", &bench("holds", &holds)).unwrap();
    let bookings = [
        ("core CPU of a booking", 1_000.0),
        ("Redis CPU of a booking", 300.0),
        ("PostgreSQL CPU of a booking", 3_000.0),
        ("commits of a booking", 2.0),
    ];
    costs.take("bookings.json", &bench("bookings", &bookings)).unwrap();
    costs
}

#[test]
fn the_arithmetic_is_that_of_the_flags_and_the_unit_costs() {
    let flags = Flags::parse_from(["capacity", "--headroom", "2", "some.json"]);
    let sheet = Sheet::of(&flags.args.demand, &costs());
    let line = |part: usize, what: &str| {
        let line = sheet.parts[part].lines.iter().find(|line| line.what == what);
        line.unwrap_or_else(|| panic!("{what}: {sheet}")).value
    };
    let near =
        |value: f64, wanted: f64| assert!((value - wanted).abs() < wanted * 1e-9, "{value} not {wanted}\n{sheet}");
    // 10,000 bookings with two holds each, all of which begin and end, over 1,000 shows.
    near(line(0, "of one show"), 40.0);
    near(line(0, "frames to viewers"), 5e6);
    // By the dearest of the loads.
    near(line(0, "writing them"), 50.0);
    near(line(0, "silence"), 0.5);
    near(line(0, "joins, while they come"), 1.0);
    near(sheet.totals.gateway_cores.unwrap(), 103.0);
    near(sheet.totals.gateway_memory_gib.unwrap(), 1e6 * 4_096.0 * 2.0 / (1024.0 * 1024.0 * 1024.0));
    // Eight changes of two seats each in a frame.
    near(sheet.totals.viewer_network_gbit_s.unwrap(), 5e6 * (16.0 * 4.0 + 66.0) * 8.0 / 1e9);
    // 10 for bookings, 0.2 and 0.2 for the other hold, 0.6 for three refusals.
    near(sheet.totals.booking_cores.unwrap(), 22.0);
    // 3 + 0.5 + 0.5 + 1.5.
    near(sheet.totals.redis_shards.unwrap(), 11.0);
    near(sheet.totals.postgres_cores.unwrap(), 60.0);
    near(sheet.totals.postgres_shards.unwrap(), 4.0);
    near(line(3, "commits"), 20_000.0);
    // 11 stacks, each of 103 / 11 / 4 gateways, rounded up.
    near(sheet.totals.stacks.unwrap(), 11.0);
    near(sheet.totals.gateways.unwrap(), 33.0);
    near(line(4, "messages that each Redis sends"), 40_000.0 / 11.0 * 3.0);
    let text = sheet.to_string();
    for part in [
        "5000000 /s x 10 us = 50 cores",
        "(50 + 0.50 + 1) x headroom 2 = 103 cores",
        "heavy: CPU of a frame",
        "2 cores, some, release build",
        "= 10000 holds a second",
        "= 909 bookings a second",
        "= 2666 bookings a second",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn what_was_not_measured_has_no_line_and_says_so() {
    let demand = Flags::parse_from(["capacity", "some.json"]).args.demand;
    let mut costs = UnitCosts::default();
    costs.take("fanout.json", &bench("fanout", &[("light: CPU of a frame", 5.0)])).unwrap();
    let sheet = Sheet::of(&demand, &costs);
    assert!(sheet.totals.gateways.is_none() && sheet.totals.redis_shards.is_none());
    assert!(sheet.to_string().contains("not measured: gateway, a join"), "{sheet}");
    let json = serde_json::to_value(&sheet).unwrap();
    assert!(json["totals"]["gateways"].is_null() && json["parts"][0]["lines"][0]["value"] == 40_000.0);
    assert!(costs.take("other.json", b"{}").is_err());
}
