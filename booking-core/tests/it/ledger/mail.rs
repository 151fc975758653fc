//! Mail to customers, over a socket to a server that takes it, puts it off, refuses it, or loses the connection.

use seatwire_core::mail::{MailConfig, MailError, Mailer, Post};
use seatwire_loadtest::launcher::Port;
use seatwire_protocol::command::{BookingInfo, CancelBooking};
use serde_json::json;

use super::rig::{Rig, customer, idempotency_key};
use crate::smtp_sink::{Identity, Next, SmtpSink, Taken, Tls};

fn mailer(rig: &Rig, url: &str) -> Mailer {
    mailer_trusting(rig, url, None)
}

fn mailer_trusting(rig: &Rig, url: &str, authorities: Option<&[u8]>) -> Mailer {
    let from = "Seatwire <tickets@example.com>".parse().unwrap();
    let config = MailConfig { from, public_url: "http://127.0.0.1:7000".to_owned() };
    Mailer::new(config, rig.db.clone(), Post::open(url, authorities).unwrap())
}

async fn cancel(rig: &Rig, name: &str, booking: &BookingInfo) {
    let command = CancelBooking { customer: customer(name), booking: booking.booking, key: idempotency_key("cancel") };
    rig.saga.cancel(&command).await.unwrap().unwrap();
}

/// Mails until nothing is due, as if the pauses were over.
async fn mail_all(rig: &Rig, mailer: &Mailer) {
    for _ in 0..20 {
        rig.sql.batch_execute(DUE_NOW).await.unwrap();
        if mailer.mail_once().await.unwrap() == 0 {
            return;
        }
    }
    panic!("there is always more to mail");
}

const DUE_NOW: &str = "UPDATE booking_events SET mail_next_try_at = now() WHERE mail_next_try_at IS NOT NULL";

fn subjects(taken: &[Taken]) -> Vec<String> {
    taken.iter().map(|mail| mail.header("Subject")).collect()
}

/// As a reader shows it: without the soft ends of lines.
fn body(mail: &Taken) -> String {
    mail.text.replace("=\r\n", "").replace("=3D", "=")
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_told_of_confirmation_cancellation_and_refund_once_each() {
    let (rig, sink) = (Rig::new().await, SmtpSink::start().await);
    let booking = rig.buy("ann", &[0, 1]).await;
    let unpaid = rig.book("bob", &[5]).await;
    cancel(&rig, "bob", &unpaid).await;
    // Two workers at once, as two cores would.
    let (one, other) = (mailer(&rig, &sink.url()), mailer(&rig, &sink.url()));
    let (a, b) = tokio::join!(one.mail_once(), other.mail_once());
    assert_eq!(a.unwrap() + b.unwrap(), 2);
    cancel(&rig, "ann", &booking).await;
    rig.refund().await;
    mail_all(&rig, &one).await;
    mail_all(&rig, &other).await;

    let taken = sink.taken();
    let mut told = subjects(&taken);
    told.sort_unstable();
    let title = rig.text("SELECT title FROM movies m JOIN shows s ON s.movie_id = m.id WHERE s.id = 1").await;
    let paid = format!("{} {}.00", booking.currency, booking.amount / 100);
    let expected = [
        format!("Booked: {title}"),
        format!("Cancelled: {title}"),
        format!("Cancelled: {title}"),
        format!("Refunded: {paid} for {title}"),
    ];
    assert_eq!(told, expected);
    assert!(taken.iter().all(|mail| mail.to == "ann@example.org"));
    let confirmed = taken.iter().find(|mail| mail.header("Subject").starts_with("Booked")).unwrap();
    let reference = booking.booking.to_hex()[24..].to_uppercase();
    for part in [&format!("Seats: {}", booking.labels.join(", ")), &format!("Paid: {paid}"), &reference] {
        assert!(body(confirmed).contains(part.as_str()), "{part} is missing in {}", body(confirmed));
    }
    let of_event = rig.text("SELECT id::text FROM booking_events WHERE kind = 'BookingConfirmed'").await;
    assert_eq!(confirmed.header("Message-ID"), format!("<{of_event}@example.com>"));
    let refunded = taken.iter().find(|mail| mail.header("Subject").starts_with("Refunded")).unwrap();
    assert!(body(refunded).contains(&format!("{paid} went back")), "{}", body(refunded));
    assert_eq!(rig.count("SELECT count(*) FROM booking_events WHERE mail_failures > 0").await, 0);
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_put_off_refused_or_lost_on_the_way_is_tried_again_within_limits() {
    // Its own while the server is away.
    let port = Port::any().unwrap();
    let (rig, sink) = (Rig::new().await, SmtpSink::start_at(port.address()).await);
    let mailer = mailer(&rig, &sink.url());
    let failures = "SELECT sum(mail_failures) FROM booking_events";

    // Put off: counts for nothing.
    rig.buy("ann", &[0]).await;
    sink.expect(&[Next::Recipient(450), Next::End(451)]);
    mail_all(&rig, &mailer).await;
    assert_eq!((sink.taken().len(), rig.count(failures).await), (1, 0));

    // Lost after the whole message: it may have arrived, so it counts; the second copy is the same.
    rig.buy("bob", &[1]).await;
    sink.expect(&[Next::Drop]);
    mail_all(&rig, &mailer).await;
    let taken = sink.taken();
    assert_eq!((taken.len(), rig.count(failures).await), (3, 1));
    assert_eq!(taken[1], taken[2]);
    let marked = "SELECT count(*) FROM booking_events WHERE mail_done_at IS NOT NULL";
    assert_eq!(rig.count(marked).await, 2);

    // Refused for good: parked after five tries, while others go on.
    rig.buy("cid", &[2]).await;
    sink.expect(&[Next::Recipient(550), Next::End(554), Next::End(552), Next::Recipient(553), Next::Recipient(550)]);
    mail_all(&rig, &mailer).await;
    let backlog = rig.saga.backlog().await.unwrap();
    assert_eq!((sink.taken().len(), backlog.mail, backlog.mail_parked), (3, 0, 1));
    let error = rig.text("SELECT last_error FROM booking_events WHERE mail_parked_at IS NOT NULL").await;
    assert_eq!(error, "mail: smtp: the server said 550", "and not whom it is about");
    rig.buy("dan", &[3]).await;
    mail_all(&rig, &mailer).await;
    assert_eq!(sink.taken().len(), 4);
    let parked = rig.text("SELECT id::text FROM booking_events WHERE mail_parked_at IS NOT NULL").await;
    assert!(rig.saga.requeue(&format!("mail-{parked}")).await.unwrap());
    assert!(!rig.saga.requeue(&format!("mail-{parked}")).await.unwrap(), "it is not parked any more");
    mail_all(&rig, &mailer).await;
    assert_eq!((sink.taken().len(), rig.saga.backlog().await.unwrap().mail_parked), (5, 0));

    // No server: nothing is taken from a row, and it goes on where it was.
    sink.stop().await;
    let before = rig.count(failures).await;
    rig.buy("eve", &[4]).await;
    assert!(matches!(mailer.mail_once().await, Err(MailError::Away(_))));
    assert_eq!(rig.count(failures).await, before);
    let sink = SmtpSink::start_at(port.address()).await;
    mail_all(&rig, &mailer).await;
    assert_eq!(subjects(&sink.taken()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_into_files_or_nowhere_and_a_late_payment_is_told_of() {
    let rig = Rig::with(|config| config.claim_ms = 1).await;
    let folder = tempfile::tempdir().unwrap();
    let (files, off) = (mailer(&rig, &format!("file:{}", folder.path().join("mail").display())), mailer(&rig, ""));
    let late = rig.book("ann", &[0]).await;
    rig.expire(late.booking).await;
    // Somebody else has the seat, so the money goes back.
    rig.hold(&customer("bob"), "hold", &[0]).await;
    rig.pay(&late, json!({})).await;
    rig.settle().await;
    rig.refund().await;
    mail_all(&rig, &files).await;
    let mails: Vec<_> = std::fs::read_dir(folder.path().join("mail")).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let text = std::fs::read_to_string(&mails[0]).unwrap().replace("=\r\n", "");
    assert!(text.contains("Subject: Refunded") && text.contains("somebody else has the seats"), "{text}");

    let unpaid = rig.book("cid", &[7]).await;
    cancel(&rig, "cid", &unpaid).await;
    assert_eq!(off.mail_once().await.unwrap(), 1);
    assert_eq!(rig.saga.backlog().await.unwrap().mail, 0);
    assert_eq!(std::fs::read_dir(folder.path().join("mail")).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_tls_is_told_only_when_its_certificate_is_known() {
    let rig = Rig::new().await;
    let (own, others) = (Identity::of("127.0.0.1"), Identity::of("127.0.0.1"));
    let elsewhere = Identity::of("mail.example.org");
    let mut expected = 0;
    for tls in [Tls::FromTheStart, Tls::Upgraded] {
        let sink = SmtpSink::with_tls(&own, tls).await;
        rig.buy(&format!("ann{expected}"), &[expected]).await;
        // The certificate of nobody that is known, of another server, and none at all.
        let wrong_host = SmtpSink::with_tls(&elsewhere, tls).await;
        for (sink, authority) in [(&sink, None), (&sink, Some(&others)), (&wrong_host, Some(&elsewhere))] {
            let suspicious = mailer_trusting(&rig, &sink.url(), authority.map(|of| of.pem.as_bytes()));
            let told = suspicious.mail_once().await;
            assert!(matches!(&told, Err(MailError::Away(why)) if why.contains("smtp")), "{told:?}");
            rig.sql.batch_execute(DUE_NOW).await.unwrap();
        }
        assert_eq!((sink.taken(), wrong_host.taken()), (Vec::new(), Vec::new()));
        let trusting = mailer_trusting(&rig, &sink.url(), Some(own.pem.as_bytes()));
        mail_all(&rig, &trusting).await;
        assert!(sink.taken().len() == 1 && sink.taken()[0].secured, "{:?}", sink.taken());
        expected += 1;
    }
    // TLS is asked for, and the server has none: nothing is sent in the clear.
    let plain = SmtpSink::start().await;
    rig.buy("bob", &[expected]).await;
    let strict = mailer_trusting(&rig, &format!("{}?tls=required", plain.url()), Some(own.pem.as_bytes()));
    assert!(matches!(strict.mail_once().await, Err(MailError::Away(_))));
    assert_eq!((plain.taken(), rig.count("SELECT sum(mail_failures) FROM booking_events").await), (Vec::new(), 0));
}
