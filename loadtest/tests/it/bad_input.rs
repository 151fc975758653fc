//! Bad input at every door of a running stack: each is answered in a way that names the fault, and afterwards
//! everything is up and works, for those who were there all the time as well.

mod command_line;
mod core_port;
mod http;
mod raw;
mod webhook;
mod websocket;

use seatwire_loadtest::client::Http;
use seatwire_loadtest::launcher::StackOptions;
use seatwire_protocol::SeatStatus;

use crate::shop::Shop;

#[tokio::test]
async fn bad_input_at_every_door_is_answered_by_name_and_harms_nobody() {
    let shop = Shop::open(StackOptions::new()).await;
    let pids = shop.stack.addresses().pids;
    let bystander = shop.customer().await;
    let doors = [
        ("websocket", websocket::every_bad_message(&shop).await),
        ("upgrade", websocket::every_bad_upgrade(&shop).await),
        ("raw websocket", websocket::every_bad_frame(&shop).await),
        ("http", http::every_bad_request(&shop).await),
        ("core port", core_port::every_bad_frame(&shop).await),
        ("webhook", webhook::every_bad_call(&shop).await),
    ];
    let mut wrong = Vec::new();
    for (door, (asked, failures)) in doors {
        println!("{door}: {asked} inputs, {} not answered as they should be", failures.len());
        wrong.extend(failures.into_iter().map(|failure| format!("{door}: {failure}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    assert_eq!(shop.stack.addresses().pids, pids, "no process ended");
    let http = Http::default();
    for base in [&shop.at.gateway, &shop.at.core_http] {
        for path in ["live", "ready"] {
            assert_eq!(http.get(&format!("{base}/{path}"), &[]).await.unwrap().status, 200, "{base}/{path}");
        }
    }
    assert_eq!(bystander.client.connections(), 1, "nobody else was disconnected");
    let seats = shop.seats(2);
    let hold = bystander.holds(&shop, &seats.index).await;
    bystander.sees(&shop, &seats, SeatStatus::Held).await;
    bystander.client.release(shop.show, hold.hold).await.unwrap();
    shop.check_histories();
    no_secret_in_the_logs(&shop);
    shop.audit(&[]).await;
    shop.stack.shutdown().await;
}

/// Inputs tried, and what was answered otherwise than it should be.
pub(crate) type Findings = (usize, Vec<String>);

fn no_secret_in_the_logs(shop: &Shop) {
    let secrets = &shop.at.secrets;
    let secrets = [
        ("core", &secrets.core),
        ("hold", &secrets.hold),
        ("jwt", &secrets.jwt),
        ("guest", &secrets.guest),
        ("admin", &secrets.admin),
        ("webhook", &secrets.webhook),
        ("provider", &secrets.provider_key_secret),
    ];
    let mut files = 0;
    for entry in std::fs::read_dir(shop.stack.logs()).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()) else { continue };
        files += 1;
        for (name, secret) in secrets {
            assert!(!text.contains(secret.as_str()), "the {name} secret is in {}", path.display());
        }
    }
    assert!(files >= 3, "logs were found");
}
