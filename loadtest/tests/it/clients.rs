//! The clients in other languages: their examples, run as anybody would, on a whole stack. A watcher sees what a buyer
//! does, and comes back to a live map after the gateway died; the ledger has what the buyer was told.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatwire_loadtest::audit::{AuditOptions, audit};
use seatwire_loadtest::client::{Http, PayOptions, pay};
use seatwire_loadtest::launcher::{Process, Stack, StackOptions};
use seatwire_protocol::SaleState;
use seatwire_protocol::command::ShowsReply;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::connect;

/// Long enough for a busy machine; what is going to be said is said far sooner.
const PATIENCE: Duration = Duration::from_secs(60);

/// An interpreter with what the client needs, and how its examples are named.
struct Language {
    name: &'static str,
    ending: &'static str,
    interpreter: PathBuf,
}

impl Language {
    /// `None` where the interpreter or its packages can't be had; the script has said so.
    async fn find(name: &'static str, ending: &'static str) -> Option<Self> {
        let output = Command::new(project().join(".ci/client-tools")).arg(name).stderr(Stdio::inherit()).output();
        let output = output.await.expect("the script runs");
        let interpreter = String::from_utf8(output.stdout).unwrap().trim().into();
        output.status.success().then_some(Self { name, ending, interpreter })
    }

    fn run(&self, example: &str, arguments: &[&str]) -> Example {
        let file = format!("protocol/clients/{}/examples/{example}.{}", self.name, self.ending);
        let mut command = Command::new(&self.interpreter);
        command.arg(project().join(file)).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("the example starts");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Example { child, lines, said: Vec::new() }
    }
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

struct Example {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Example {
    /// The next line that fits.
    async fn says(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let found = timeout(PATIENCE, async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.said.push(line.clone());
                if fits(&line) {
                    return Some(line);
                }
            }
            None
        });
        found.await.ok().flatten().unwrap_or_else(|| panic!("it never said {what}: {:#?}", self.said))
    }

    /// What stands behind `start` in the next line that begins so.
    async fn tells(&mut self, start: &str) -> String {
        let line = self.says(start, |line| line.starts_with(start)).await;
        line[start.len()..].to_owned()
    }

    async fn ends(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }

    async fn interrupt(&mut self) -> ExitStatus {
        let pid = self.child.id().unwrap().try_into().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
        self.ends().await
    }
}

/// The number before a word: `3 booked`.
fn number(line: &str, word: &str) -> u32 {
    let words: Vec<&str> = line.split([' ', ',']).filter(|part| !part.is_empty()).collect();
    let at = words.iter().position(|part| *part == word).unwrap_or_else(|| panic!("no {word} in {line}"));
    words[at - 1].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_in_other_languages_watch_and_buy() {
    let found = [Language::find("python", "py").await, Language::find("javascript", "mjs").await];
    let languages: Vec<Language> = found.into_iter().flatten().collect();
    if languages.is_empty() {
        return;
    }
    let mut stack = Stack::start(StackOptions::new()).await.expect("the stack starts");
    let shows = Http::default().get(&format!("{}/api/shows", stack.addresses().gateway), &[]).await.unwrap();
    let shows: ShowsReply = shows.json().unwrap();
    let on_sale = shows.shows.iter().filter(|show| show.sale == SaleState::Open);
    let show = on_sale.min_by_key(|show| show.seats).expect("the demo data have a show on sale").show.to_string();
    for language in &languages {
        watch_and_buy(&mut stack, &show, language).await;
    }
    let options = AuditOptions::default().wait(PATIENCE).require("confirmed", languages.len() as u64);
    let report = audit(&stack.addresses(), options).await.expect("the stack can be audited");
    println!("{}", report.into_clean().unwrap());
    stack.shutdown().await;
}

async fn watch_and_buy(stack: &mut Stack, show: &str, language: &Language) {
    let at = stack.addresses();
    let gateway = at.gateway.as_str();
    let mut watcher = language.run("watch_show", &[gateway, show]);
    let first = watcher.tells("live at ").await;

    let mut buyer = language.run("sell_seats", &[gateway, show, "2", "ana@example.com"]);
    buyer.tells("held ").await;
    let held = number(&first, "held") + 2;
    watcher.says("that two seats are held", |line| line.starts_with("live") && number(line, "held") == held).await;
    let booking = buyer.tells("booking ").await;
    let checkout = buyer.tells("pay at ").await;
    pay(&checkout, &PayOptions::default()).await.unwrap();
    buyer.tells("confirmed: ").await;
    assert!(buyer.ends().await.success());
    let booked = number(&first, "booked") + 2;
    watcher.says("that they are booked", |line| line.starts_with("live") && number(line, "booked") == booked).await;

    let id = booking.split(' ').next().unwrap();
    let ledger = connect(&at.postgres).await;
    let in_ledger = "SELECT state, seats FROM bookings WHERE replace(id::text, '-', '') = $1";
    let row = ledger.query_one(in_ledger, &[&id]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, i32>(1)), ("CONFIRMED", 2));

    let mut refused = language.run("sell_seats", &[gateway, show, "99", "ana@example.com"]);
    assert_eq!(refused.ends().await.code(), Some(1), "nobody may hold 99 seats");

    stack.kill(Process::Gateway(0));
    watcher.tells("not live").await;
    stack.restart(Process::Gateway(0)).await.unwrap();
    let again = watcher.tells("live at ").await;
    assert!(number(&again, "booked") >= booked, "{again}");
    assert!(watcher.interrupt().await.success());
}
