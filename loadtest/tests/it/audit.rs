//! The audit finds nothing wrong after real purchases, and finds every kind of wrong that is planted: in a copy of the
//! database without its guards, in a copy of the seat map, in what gateways show.

mod plants;
mod world;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use seatwire_loadtest::audit::{AuditOptions, AuditReport, Sources, audit};
use seatwire_loadtest::client::{ClientOptions, ViewerClient, sign_token};
use seatwire_loadtest::faults::Normal;
use seatwire_loadtest::launcher::Process;
use seatwire_protocol::CustomerId;

use plants::{Plant, Where};
use world::World;

#[tokio::test]
async fn finds_nothing_after_purchases_and_every_planted_violation() {
    let mut world = World::start().await;
    let options = AuditOptions::default().wait(Duration::from_secs(60));
    let options = options.require("confirmed", 2).require("expired", 1).require("cancelled", 1).require("refunds", 1);
    let clean = audit(&world.addresses(), options).await.unwrap().into_clean().unwrap();
    let blind: Vec<&str> =
        clean.checks.iter().filter(|check| check.examined == 0).map(|check| check.name.as_ref()).collect();
    assert!(blind.is_empty(), "these looked at nothing: {blind:?}\n{clean}");
    as_a_program(&world);

    plant_in_a_gateway(&world).await;
    // Cores would repair or act on what is planted.
    world.stack.kill(Process::Core(0));
    world.make_copying_cheap().await;
    let mut found = BTreeSet::from(["viewers_see_the_map"]);
    for plant in plants::PLANTS {
        let report = audit_with(&world, plant).await;
        let violated: BTreeSet<&str> = report.violated().map(|check| check.name.as_ref()).collect();
        assert!(violated.contains(plant.check), "{plant:?} was not found, but {violated:?}\n{report}");
        let offender = report.violated().find(|check| check.name == plant.check).unwrap();
        assert!(!offender.rows.is_empty(), "offending rows are shown");
        found.insert(plant.check);
    }
    let every: BTreeSet<&str> = clean.checks.iter().map(|check| check.name.as_ref()).collect();
    let unplanted: Vec<_> = every.difference(&found).collect();
    assert!(unplanted.is_empty(), "checks that no plant has shown to find anything: {unplanted:?}");
}

/// A copy of what is changed, with one thing wrong in it.
async fn audit_with(world: &World, plant: &Plant) -> AuditReport {
    let mut options = AuditOptions::default();
    let mut sources = Sources { gateways: Vec::new(), ..Sources::from(&world.addresses()) };
    match plant.how {
        Where::Sql(statements) => {
            sources.postgres = world.copy_of_database().await;
            world::execute(&sources.postgres, statements).await;
        }
        Where::Redis(script) => {
            let copy = world.copy_of_redis().await;
            world.eval(&copy, script).await;
            sources.redis = Some(copy);
        }
        Where::Options(change) => options = change(options),
    }
    audit(sources, options).await.unwrap()
}

/// A status that changes without a batch: viewers are not told.
async fn plant_in_a_gateway(world: &World) {
    let addresses = world.addresses();
    // The lease of somebody who just scrubbed the show: cores would repair what is planted.
    let lease = "redis.call('SET', string.gsub(STATUS, '^seat_status', 'scrubbed'), 1, 'PX', 120000)\n";
    let plant = format!("{lease} redis.call('BITFIELD', STATUS, 'SET', 'u2', '#0', 2)");
    let normal = watched(world).await;
    normal.maps_are_equal(&addresses.redis).await.unwrap();
    world.eval(&addresses.redis, &plant).await;
    let differs = normal.maps_are_equal(&addresses.redis).await.unwrap_err().to_string();
    assert!(differs.contains("seat 0 is seen as Available and is Booked"), "{differs}");
    let report = audit(&addresses, AuditOptions::default()).await.unwrap();
    assert!(report.violated().any(|check| check.name == "viewers_see_the_map"), "{report}");
    world.eval(&addresses.redis, "redis.call('BITFIELD', STATUS, 'SET', 'u2', '#0', 0)").await;
    let report = audit(&addresses, AuditOptions::default()).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

/// Somebody whose map is compared with Redis' as load tests compare it.
async fn watched(world: &World) -> Normal {
    let addresses = world.addresses();
    let customer = CustomerId::new("watcher").unwrap();
    let token = sign_token(&addresses.secrets.jwt, &customer, Duration::from_secs(600)).unwrap();
    let watcher = ViewerClient::open(ClientOptions::new(&addresses.gateway, &token)).await.unwrap();
    watcher.watch(world.show()).await.unwrap();
    Normal::new(&addresses, world.show(), Vec::new(), vec![Arc::new(watcher)])
}

fn as_a_program(world: &World) {
    let file = world.stack.folder().join("ready.json");
    world.addresses().write(&file).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        command.arg("audit").arg("--ready-file").arg(&file).args(args).output().unwrap()
    };
    let good = run(&["--json", "--require", "confirmed=2"]);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let report: serde_json::Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(report["money"][0]["open"], 0);
    let bad = run(&["--require", "confirmed=1000"]);
    assert_eq!(bad.status.code(), Some(1));
    let lines = String::from_utf8_lossy(&bad.stdout);
    assert!(lines.contains("FAIL as_much_as_required") && lines.contains("ok   bookings_are_whole"), "{lines}");
    let unknown = run(&["--require", "sold=1"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("sold is not counted"));
}
