//! A gateway that lies: viewers of a load test find a seat that is not as the ledger has it, and a delta with a gap before
//! it. So it is shown that their checks can fail, and what they say then.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seatwire_loadtest::times::Times;
use seatwire_loadtest::viewers::{Habits, Herd, Plan};
use seatwire_protocol::seat::PackedStatuses;
use seatwire_protocol::seat_frame::{Delta, SeatFrame, Snapshot};
use seatwire_protocol::{Position, SaleState, SeatIndex, SeatStatus, ShowId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::eventually;

const VIEWERS: usize = 4;
const HERE: Position = Position::new(3, 10);

#[tokio::test]
async fn a_wrong_map_and_a_gap_are_found_and_name_their_seats_and_frames() {
    let show = ShowId::new(7).unwrap();
    let mut ledger = PackedStatuses::new(40);
    ledger.set(SeatIndex(5), SeatStatus::Booked);
    for (lies, wrong) in [(false, 0), (true, VIEWERS as u64)] {
        let seen = watch(show, lies, &ledger).await;
        let [maps, histories] = &seen.checks[..] else { panic!("{:?}", seen.checks) };
        assert_eq!((&maps.name[..], &histories.name[..]), CHECKS);
        assert_eq!((maps.examined, maps.violations), (VIEWERS as u64, wrong), "{:?}", maps.rows);
        assert_eq!(histories.violations, wrong, "{:?}", histories.rows);
        assert!(histories.examined >= VIEWERS as u64 && (seen.viewers.diverged > 0) == lies, "{seen:?}");
        for (row, words) in maps.rows.iter().zip(["seat 8 is seen as Held and is Available"; VIEWERS]) {
            assert!(row.contains(words) && row.contains("show 7") && row.contains("snapshot 3/10"), "{row}");
        }
        for row in &histories.rows {
            assert!(row.contains("a gap, of seats 2 Held") && row.contains("delta 14..3/15"), "{row}");
            assert!(row.starts_with("viewer ") && row.contains("show 7"), "{row}");
        }
    }
}

/// What viewers saw at such a gateway, compared with the ledger.
async fn watch(show: ShowId, lies: bool, ledger: &PackedStatuses) -> seatwire_loadtest::viewers::Seen {
    let mut statuses = ledger.clone();
    let mut frames = Vec::new();
    if lies {
        statuses.set(SeatIndex(8), SeatStatus::Held);
    }
    let sale = SaleState::Open;
    frames.push(SeatFrame::Snapshot(Snapshot {
        show,
        position: HERE,
        sale,
        opens_in_ms: 0,
        layout_version: 1,
        viewers: 1,
        statuses,
    }));
    if lies {
        let seats = vec![(SeatIndex(2), SeatStatus::Held)];
        frames.push(SeatFrame::Delta(Delta { show, generation: 3, from: 14, to: 15, sale, viewers: 1, seats }));
    }
    let gateway = gateway(frames).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let plan = Plan {
        show,
        gateways: vec![gateway],
        redis: format!("redis://{gateway}"),
        jwt: "a secret of thirty-two bytes or more".to_owned(),
        viewers: VIEWERS,
        come_at_ms: u64::try_from(now.as_millis()).unwrap(),
        within_ms: 0,
        habits: Habits { drop: 0, stall: 0, hide: 0 },
        seed: 1,
        number: 0,
    };
    let herd = Herd::start(plan, 1).await.unwrap();
    let wrong = if lies { VIEWERS as u64 } else { 0 };
    let all = async || herd.progress().live == VIEWERS as u64 && herd.progress().violations == wrong;
    eventually("viewers who have seen everything", all).await;
    herd.compare(HERE, ledger.as_bytes(), &Times::new().unwrap()).await.unwrap()
}

/// Answers every upgrade, then says this.
async fn gateway(frames: Vec<SeatFrame>) -> SocketAddr {
    let mut said = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
    for frame in frames {
        let mut payload = Vec::new();
        frame.put_packed(&mut payload);
        said.extend([0x82, u8::try_from(payload.len()).unwrap()]);
        said.extend(payload);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(tell(stream, said.clone()));
        }
    });
    address
}

/// Until the viewer leaves.
async fn tell(mut stream: TcpStream, said: Vec<u8>) {
    let mut asked = vec![0; 4_096];
    if !matches!(stream.read(&mut asked).await, Ok(1..)) || !asked.starts_with(b"GET /ws ") {
        return;
    }
    stream.write_all(&said).await.unwrap();
    while tokio::time::timeout(Duration::from_secs(60), stream.read(&mut asked))
        .await
        .is_ok_and(|read| read.is_ok_and(|n| n > 0))
    {}
}

const CHECKS: (&str, &str) = ("viewers_end_with_the_ledgers_map", "viewers_histories_obey_the_delta_rule");
