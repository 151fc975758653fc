//! A running stack with a show to sell, as customers meet it. Tests of one module share one shop: starting it takes
//! seconds. Scenarios run side by side, each on seats of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seatwire_loadtest::audit::{AuditOptions, audit};
use seatwire_loadtest::client::{ClientOptions, Encoding, Guest, Http, ViewerClient, guest, new_key};
use seatwire_loadtest::launcher::{Addresses, Stack, StackOptions};
use seatwire_protocol::catalogue::{Layout, ShowInfo};
use seatwire_protocol::command::{HoldInfo, ShowsReply};
use seatwire_protocol::seat_frame::SeatFrame;
use seatwire_protocol::{SaleState, SeatIndex, SeatStatus, ShowId};
use tokio::sync::MutexGuard;

/// Long enough for a busy machine; a condition that is going to hold does so far sooner.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Expired claims ask the provider first, and a webhook that met a dead core is sent again after seconds.
const AT_REST_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Shop {
    pub(crate) stack: Stack,
    pub(crate) at: Addresses,
    pub(crate) show: ShowId,
    pub(crate) layout: Layout,
    /// Groups of free neighbours from the starts of rows, for [`Shop::seats`].
    rows: Mutex<VecDeque<Vec<u32>>>,
    visits: Mutex<Vec<Arc<ViewerClient>>>,
    /// Last: the next shop opens when this one is gone.
    _turn: Option<MutexGuard<'static, ()>>,
}

/// One shop at a time: a run of kills beside it would make every deadline a matter of luck.
pub(crate) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Seats that belong to one scenario.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    pub(crate) index: Vec<u32>,
    pub(crate) labels: Vec<String>,
    /// Sum of their prices, minor units.
    pub(crate) amount: u64,
}

/// A guest with a WebSocket that watches the show.
pub(crate) struct Customer {
    pub(crate) guest: Guest,
    pub(crate) client: Arc<ViewerClient>,
}

impl Shop {
    pub(crate) async fn open(options: StackOptions) -> Self {
        let turn = TURN.lock().await;
        Self { _turn: Some(turn), ..Self::beside_others(options).await }
    }

    /// For a test that has the turn and opens several.
    pub(crate) async fn beside_others(options: StackOptions) -> Self {
        let stack = Stack::start(options).await.expect("the stack starts");
        let at = stack.addresses();
        let http = Http::default();
        let shows: ShowsReply = http.get(&format!("{}/api/shows", at.gateway), &[]).await.unwrap().json().unwrap();
        let largest_on_sale = |info: &&ShowInfo| (info.sale == SaleState::Open, info.seats);
        let info = shows.shows.iter().max_by_key(largest_on_sale).expect("the demo data have shows");
        assert_eq!(info.sale, SaleState::Open, "the demo data have a show on sale");
        let show = info.show;
        let url = |what: &str| format!("{}/api/shows/{show}/{what}", at.gateway);
        let layout: Layout = http.get(&url("layout"), &[]).await.unwrap().json().unwrap();
        // A busy machine may load the map for longer than a request waits.
        let mut map = String::new();
        super::support::eventually("the map", async || {
            let reply = http.get(&url("seats"), &[]).await.unwrap();
            map = reply.text();
            reply.status == 200
        })
        .await;
        let SeatFrame::Snapshot(map) = SeatFrame::from_json(&map).unwrap() else { panic!("no snapshot: {map}") };
        let free = |seat: &u32| map.statuses.get(SeatIndex(*seat)) == Some(SeatStatus::Available);
        let rows = layout.sections.iter().flat_map(|section| &section.rows).filter_map(|row| {
            let seats: Vec<u32> = (row.first.0..).take(row.numbers.len()).take_while(free).collect();
            (seats.len() >= 8).then_some(seats)
        });
        let rows = Mutex::new(rows.collect());
        Self { stack, at, show, rows, layout, visits: Mutex::default(), _turn: None }
    }

    /// The first `count` seats of a row that nobody else uses.
    pub(crate) fn seats(&self, count: usize) -> Seats {
        let row = self.rows.lock().unwrap().pop_front().expect("a row is left");
        let index = row[..count].to_vec();
        let labels = index.iter().map(|seat| self.layout.label(SeatIndex(*seat)).unwrap()).collect();
        let amount = index.iter().map(|seat| self.price(*seat)).sum();
        Seats { index, labels, amount }
    }

    /// As [`Self::seats`] from the other end of the house, where buyers who take the first free seats come last.
    pub(crate) fn last_seats(&self, count: usize) -> Vec<u32> {
        let row = self.rows.lock().unwrap().pop_back().expect("a row is left");
        row[..count].to_vec()
    }

    pub(crate) fn price(&self, seat: u32) -> u64 {
        let rows = self.layout.sections.iter().flat_map(|section| &section.rows);
        let tier = rows.clone().find_map(|row| row.tiers.get(usize::try_from(seat.checked_sub(row.first.0)?).unwrap()));
        let tier = self.layout.tiers.iter().find(|known| Some(&known.id) == tier).expect("each seat has a tier");
        tier.price
    }

    pub(crate) async fn customer(&self) -> Customer {
        self.customer_with(Encoding::MessagePack).await
    }

    pub(crate) async fn customer_with(&self, encoding: Encoding) -> Customer {
        let guest = guest(&self.at.gateway).await.expect("a guest token");
        let client = self.window(&guest, encoding).await;
        Customer { guest, client }
    }

    /// One more window of the same customer.
    pub(crate) async fn window(&self, guest: &Guest, encoding: Encoding) -> Arc<ViewerClient> {
        let options = ClientOptions::new(&self.at.gateway, &guest.token).encoding(encoding);
        let client = Arc::new(ViewerClient::open(options).await.expect("the gateway welcomes a guest"));
        client.watch(self.show).await.expect("a snapshot");
        self.visits.lock().unwrap().push(Arc::clone(&client));
        client
    }

    /// Waits until nothing is under way any more, then checks the books; `least` is what must have happened.
    pub(crate) async fn audit(&self, least: &[(&str, u64)]) {
        let options = AuditOptions::default().wait(AT_REST_WITHIN);
        let options = least.iter().fold(options, |options, (name, count)| options.require(name, *count));
        let report = audit(&self.stack.addresses(), options).await.expect("the stack can be audited");
        println!("{}", report.into_clean().unwrap());
    }

    /// Nobody who was here saw a gap, a step back, or half of a change.
    pub(crate) fn check_histories(&self) {
        let visits = self.visits.lock().unwrap();
        assert!(!visits.is_empty());
        for client in visits.iter() {
            let violations = client.read(|state| state.history().violations().to_vec());
            assert!(violations.is_empty(), "{:?} saw {violations:?}", client.customer());
        }
    }
}

impl Customer {
    /// A hold that has to be granted. What may be tried again is, with the same key, as a page does.
    pub(crate) async fn holds(&self, shop: &Shop, seats: &[u32]) -> HoldInfo {
        let key = new_key();
        self.client.persist(PATIENCE, || self.client.hold(shop.show, &key, seats)).await.unwrap()
    }

    /// Waits until this customer's map shows all `seats` with this status.
    pub(crate) async fn sees(&self, shop: &Shop, seats: &Seats, status: SeatStatus) {
        let what = format!("{:?} to be {status:?}", seats.labels);
        let all = |viewer: &seatwire_protocol::viewer::ShowViewer| {
            seats.index.iter().all(|seat| viewer.map().status(SeatIndex(*seat)) == Some(status))
        };
        self.client.wait_until(&what, shop.show, PATIENCE, all).await.unwrap();
    }
}

/// Two maps that stand at the same position are the same; waits until they do.
pub(crate) async fn maps_agree(shop: &Shop, one: &Customer, other: &Customer) {
    let map = |customer: &Customer| {
        customer.client.viewer(shop.show, |v| (v.map().position(), v.map().statuses().cloned())).unwrap()
    };
    super::support::eventually("both maps stand at the same position", async || {
        let (one, other) = (map(one), map(other));
        if one.0 == other.0 {
            assert_eq!(one.1, other.1, "two maps at {:?}", one.0);
        }
        one.0 == other.0
    })
    .await;
}
