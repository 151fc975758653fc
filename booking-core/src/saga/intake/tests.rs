use super::*;

fn event(kind: &str) -> NewEvent {
    NewEvent {
        provider: "test",
        body_hash: [0; 32],
        event_id: None,
        fetched: false,
        kind: kind.to_owned(),
        order: None,
        payment: None,
        body: serde_json::Value::Null,
    }
}

#[test]
fn what_waits_is_bounded_and_taken_in_order() {
    let intake = Intake::default();
    let told: Vec<_> = (0..WAITING_MAX).map_while(|_| intake.push(event("test"))).collect();
    assert_eq!(told.len(), WAITING_MAX);
    assert!(intake.push(event("one too many")).is_none());
    assert_eq!(intake.take().len(), BATCH_MAX);
    assert!(intake.push(event("last")).is_some());
    let batches = std::iter::from_fn(|| Some(intake.take()).filter(|batch| !batch.is_empty()));
    let taken: Vec<Waiting> = batches.flatten().collect();
    assert_eq!(taken.len(), WAITING_MAX - BATCH_MAX + 1);
    assert_eq!(taken.last().unwrap().event.kind, "last");
}
