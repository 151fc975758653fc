//! What events and mails tell of a booking beside the event's own facts. Nothing of it changes once the booking is made.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use seatwire_protocol::BookingId;
use time::OffsetDateTime;
use uuid::Uuid;

use super::sql::sql;
use super::{Db, DbError, unsigned};

/// What a booking's events tell beside their own facts; nothing of it ever changes.
#[derive(Debug, Clone)]
pub(crate) struct BookingFacts {
    pub(crate) booking: BookingId,
    pub(crate) show: u64,
    pub(crate) customer: String,
    pub(crate) seats: Vec<i32>,
    pub(crate) labels: Vec<String>,
    pub(crate) amount: u64,
    pub(crate) currency: String,
}

/// The bookings of some events; one whose claim never committed is not there.
pub(crate) async fn bookings(db: &Db, bookings: Vec<Uuid>) -> Result<Vec<BookingFacts>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = BigInt)]
        show_id: i64,
        #[diesel(sql_type = Text)]
        customer_id: String,
        #[diesel(sql_type = Array<Integer>)]
        seats: Vec<i32>,
        #[diesel(sql_type = Array<Text>)]
        labels: Vec<String>,
        #[diesel(sql_type = BigInt)]
        amount: i64,
        #[diesel(sql_type = Text)]
        currency: String,
    }
    db.read("bookings_of_events", move |conn| {
        let bookings = bookings.clone();
        Box::pin(async move {
            let rows: Vec<Row> = sql("SELECT b.id, b.show_id, b.customer_id, b.amount, b.currency,
                    array_agg(s.seat ORDER BY s.seat) AS seats, array_agg(w.label ORDER BY s.seat) AS labels
                FROM bookings b JOIN booking_seats s ON s.booking_id = b.id
                JOIN show_seats w ON w.show_id = s.show_id AND w.seat = s.seat
                WHERE b.id = ANY($1) GROUP BY b.id")
            .bind::<Array<SqlUuid>, _>(bookings)
            .load(conn)
            .await?;
            rows.into_iter()
                .map(|row| {
                    Ok(BookingFacts {
                        booking: BookingId(*row.id.as_bytes()),
                        show: unsigned(row.show_id)?,
                        customer: row.customer_id,
                        seats: row.seats,
                        labels: row.labels,
                        amount: unsigned(row.amount)?,
                        currency: row.currency,
                    })
                })
                .collect()
        })
    })
    .await
}

/// What a mail tells beside the event's facts.
#[derive(Clone)]
pub(crate) struct MailFacts {
    pub(crate) email: String,
    pub(crate) title: String,
    pub(crate) place: String,
    pub(crate) starts_at: OffsetDateTime,
    pub(crate) labels: Vec<String>,
    pub(crate) amount: u64,
    pub(crate) currency: String,
}

/// What the mail about a booking tells.
pub(crate) async fn mail_facts(db: &Db, booking: BookingId) -> Result<Option<MailFacts>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        email: String,
        #[diesel(sql_type = Text)]
        title: String,
        #[diesel(sql_type = Text)]
        place: String,
        #[diesel(sql_type = Timestamptz)]
        starts_at: OffsetDateTime,
        #[diesel(sql_type = Array<Text>)]
        labels: Vec<String>,
        #[diesel(sql_type = BigInt)]
        amount: i64,
        #[diesel(sql_type = Text)]
        currency: String,
    }
    let id = super::bookings::uuid(booking);
    db.read("mail_facts", move |conn| {
        Box::pin(async move {
            let row: Option<Row> = sql("SELECT b.email, m.title, t.name || ', ' || c.name AS place, w.starts_at,
                    ARRAY(SELECT x.label FROM booking_seats s
                        JOIN show_seats x ON x.show_id = s.show_id AND x.seat = s.seat
                        WHERE s.booking_id = b.id ORDER BY s.seat) AS labels,
                    b.amount, b.currency
                FROM bookings b JOIN shows w ON w.id = b.show_id JOIN movies m ON m.id = w.movie_id
                JOIN screens r ON r.id = w.screen_id JOIN theaters t ON t.id = r.theater_id
                JOIN cities c ON c.id = t.city_id
                WHERE b.id = $1")
            .bind::<SqlUuid, _>(id)
            .get_result(conn)
            .await
            .optional()?;
            row.map(|row| {
                Ok(MailFacts {
                    email: row.email,
                    title: row.title,
                    place: row.place,
                    starts_at: row.starts_at,
                    labels: row.labels,
                    amount: unsigned(row.amount)?,
                    currency: row.currency,
                })
            })
            .transpose()
        })
    })
    .await
}
