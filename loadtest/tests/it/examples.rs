//! The protocol crate's examples as processes against a real stack: what a newcomer runs first has to work.

use std::path::PathBuf;
use std::process::Stdio;

use seatwire_loadtest::client::{PayOptions, pay};
use seatwire_loadtest::launcher::StackOptions;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::shop::{PATIENCE, Shop};

/// An example's process and what it prints.
struct Example {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Example {
    fn start(name: &str, args: &[&str], secret: &str) -> Self {
        let tests = std::env::current_exe().unwrap();
        let program: PathBuf = tests.parent().unwrap().parent().unwrap().join("examples").join(name);
        assert!(program.exists(), "{}: run `cargo build --workspace --examples` first", program.display());
        let mut command = Command::new(program);
        command.args(args).env("SEATWIRE_CORE_SECRET", secret).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("it says nothing").unwrap();
        line.expect("it ended too soon")
    }

    async fn ends_well(mut self) {
        let status = timeout(PATIENCE, self.process.wait()).await.expect("it does not end").unwrap();
        assert!(status.success(), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_example_sells_seats_and_the_other_sees_it() {
    let shop = Shop::open(StackOptions::new()).await;
    let show = shop.show.to_string();
    let secret = &shop.at.secrets.core;
    let mut watch = Example::start("watch_show", &[&shop.at.gateway, &show, "--changes", "3"], secret);
    let map = watch.line().await;
    assert!(map.contains("map of"), "{map}");

    let core = shop.at.core.to_string();
    let args = [core.as_str(), &show, "2", "kiosk-7", "kiosk@example.com"];
    let mut sell = Example::start("sell_seats", &args, secret);
    let held = sell.line().await;
    assert!(held.starts_with("held seats ["), "{held}");
    let booked = sell.line().await;
    let labels: Vec<String> = booked.split(' ').skip(1).take(2).map(str::to_owned).collect();
    let line = sell.line().await;
    let checkout = line.strip_prefix("pay at ").expect("an address to pay at").to_owned();
    // As after a crash: the same command again goes on with the same hold and booking.
    let mut again = Example::start("sell_seats", &args, secret);
    assert!(again.line().await.starts_with("held seats"));
    assert_eq!((again.line().await, again.line().await), (booked, line));
    pay(&checkout, &PayOptions::default()).await.unwrap();
    for mut seller in [sell, again] {
        assert_eq!(seller.line().await, "confirmed");
        seller.ends_well().await;
    }

    for status in ["h", "b"] {
        let line = watch.line().await;
        for label in &labels {
            assert!(line.contains(&format!("{label}={status}")), "{label}={status} is not in {line}");
        }
    }
    watch.ends_well().await;
    shop.audit(&[("confirmed", 1)]).await;
}
