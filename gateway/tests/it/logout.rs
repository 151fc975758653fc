//! Logging out: the customer's sockets are closed and its tokens refused at every gateway, also at one that was cut off
//! or down when it was told.

use std::time::Duration;

use seatwire_loadtest::client::{ClientError, ClientOptions, Http, ViewerClient, sign_token};
use seatwire_loadtest::launcher::{Link, Process, Stack, StackOptions};
use seatwire_protocol::CustomerId;
use serde_json::json;

use crate::stack::{ONE_AT_A_TIME, PATIENCE};

async fn log_out(gateway: &str, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let url = format!("{gateway}/api/logout");
    Http::default().post(&url, &[("authorization", &bearer)], &json!({})).await.unwrap().status
}

async fn is_closed(viewer: &ViewerClient) {
    viewer.wait_for_state("the close", PATIENCE, |state| state.closed().is_some()).await.unwrap();
    assert_eq!(viewer.closed().unwrap().code, Some(4401));
}

async fn open(gateway: &str, token: &str) -> Result<ViewerClient, ClientError> {
    ViewerClient::open(ClientOptions::new(gateway, token)).await
}

async fn is_refused(gateway: &str, token: &str) {
    let refused = open(gateway, token).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 401, .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_reaches_every_gateway_also_one_that_was_cut_off_or_down() {
    let _one = ONE_AT_A_TIME.lock().await;
    let mut stack = Stack::start(StackOptions::new().gateways(2).proxy(Link::GatewayRedis)).await.unwrap();
    let addresses = stack.addresses();
    let [first, second] = [&addresses.gateways[0], &addresses.gateways[1]].map(String::clone);
    let token = |name: &str| {
        sign_token(&addresses.secrets.jwt, &CustomerId::new(name).unwrap(), Duration::from_secs(600)).unwrap()
    };
    // Told by the control channel.
    let [anna, ben, carla, dora] = ["anna", "ben", "carla", "dora"].map(token);
    let (here, there) = (open(&first, &anna).await.unwrap(), open(&second, &anna).await.unwrap());
    let others = [open(&first, &ben).await.unwrap(), open(&second, &ben).await.unwrap()];
    assert_eq!(log_out(&first, &anna).await, 200);
    is_closed(&here).await;
    is_closed(&there).await;
    is_refused(&first, &anna).await;
    is_refused(&second, &anna).await;
    assert_eq!(log_out(&first, &anna).await, 401, "it is nobody's token now");
    assert!(others.iter().all(|other| other.closed().is_none()), "nobody else is logged out");
    // A token of later is good.
    let again = tokio::time::timeout(PATIENCE, async {
        while open(&second, &sign_token(&addresses.secrets.jwt, &CustomerId::new("anna").unwrap(), PATIENCE).unwrap())
            .await
            .is_err()
        {}
    });
    again.await.expect("a new login");
    // Nobody hears the control channel.
    let proxy = stack.proxy(Link::GatewayRedis).unwrap();
    proxy.refuse();
    for gateway in [&first, &second] {
        let url = format!("{gateway}/ready");
        let cut = tokio::time::timeout(PATIENCE, async {
            while Http::default().get(&url, &[]).await.unwrap().status == 200 {}
        });
        cut.await.expect("the feed is cut");
    }
    assert_eq!(log_out(&first, &ben).await, 200);
    is_closed(&others[0]).await;
    proxy.restore();
    is_closed(&others[1]).await;
    is_refused(&second, &ben).await;
    // A gateway that is down, and a Redis that forgets everything.
    stack.kill(Process::Gateway(1));
    assert_eq!(log_out(&first, &carla).await, 200);
    stack.kill(Process::Redis);
    stack.restart(Process::Redis).await.unwrap();
    stack.restart(Process::Gateway(1)).await.unwrap();
    stack.wait_ready().await.unwrap();
    is_refused(&second, &carla).await;
    open(&second, &dora).await.unwrap();
    stack.shutdown().await;
}
