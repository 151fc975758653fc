//! Commands to the core and their replies, over its MessagePack port.
//!
//! A connection starts with [`Hello`]; then commands in any number up to the limit told in [`HelloReply`], answered in
//! any order. The operation is the frame's `kind` ([`Command::OP`]), the reply has the same kind with the high bit set.
//! A peer that does not know an operation answers an error and goes on.

mod byte_string;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Layout, ShowInfo};
use crate::error::ErrorBody;
use crate::id::{BookingId, CustomerId, HoldId, IdempotencyKey, SeatIndex, ShowId};
use crate::position::Position;
use crate::seat::SaleState;

/// One operation: its number, and the type of its reply.
pub trait Command: Serialize + DeserializeOwned {
    /// The frame's kind.
    const OP: u8;
    /// The operation's name, for logs and metrics.
    const NAME: &'static str;
    /// What a success answers.
    type Reply: Serialize + DeserializeOwned;
}

macro_rules! command {
    ($op:literal, $name:literal, $command:ident => $reply:ty) => {
        impl Command for $command {
            const OP: u8 = $op;
            const NAME: &'static str = $name;
            type Reply = $reply;
        }
    };
}

command!(0x01, "hello", Hello => HelloReply);
command!(0x10, "hold_seats", HoldSeats => HoldInfo);
command!(0x11, "extend_hold", ExtendHold => HoldInfo);
command!(0x12, "release_hold", ReleaseHold => Released);
command!(0x13, "own_holds", OwnHolds => OwnHoldsReply);
command!(0x20, "book", Book => BookingInfo);
command!(0x21, "get_booking", GetBooking => BookingInfo);
command!(0x22, "cancel_booking", CancelBooking => BookingInfo);
command!(0x23, "list_bookings", ListBookings => BookingsReply);
command!(0x30, "get_snapshot", GetSnapshot => SnapshotReply);
command!(0x31, "get_positions", GetPositions => PositionsReply);
command!(0x40, "list_shows", ListShows => ShowsReply);
command!(0x41, "get_layout", GetLayout => Layout);
command!(0x42, "list_availability", ListAvailability => AvailabilityReply);
command!(0x50, "log_out", LogOut => LoggedOut);
command!(0x51, "get_logouts", GetLogouts => LogoutsReply);

/// The first message of a connection; anything else before it closes the connection.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The shared secret of gateways, backends and cores.
    pub secret: String,
    /// Who connects, for logs.
    pub name: String,
    /// Lowest protocol version that the client speaks.
    pub version_min: u8,
    /// Highest protocol version that the client speaks.
    pub version_max: u8,
}

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The core accepted the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloReply {
    /// The version that both will use.
    pub version: u8,
    /// Name of the core's instance.
    pub core: String,
    /// Largest frame that the core accepts, bytes after the length field.
    pub frame_bytes_max: u32,
    /// Commands in flight per connection; more are answered OVERLOADED.
    pub in_flight_max: u32,
}

/// Wish for adjacent seats instead of named ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BestAvailable {
    /// How many adjacent seats, 1 ..= 10.
    pub count: u32,
    /// Only of this price tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u32>,
}

/// Holds seats, all or none. Repeating it with the same key answers the same hold in its current state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldSeats {
    /// The show.
    pub show: ShowId,
    /// Who holds.
    pub customer: CustomerId,
    /// The same key and seats have one effect.
    pub key: IdempotencyKey,
    /// 1 ..= 10 different seats; empty when `best` is given.
    #[serde(default)]
    pub seats: Vec<SeatIndex>,
    /// Instead of named seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<BestAvailable>,
}

/// Asks for more time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtendHold {
    /// The show.
    pub show: ShowId,
    /// Who holds.
    pub customer: CustomerId,
    /// The hold.
    pub hold: HoldId,
    /// The same key extends once.
    pub key: IdempotencyKey,
}

/// Gives the seats back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseHold {
    /// The show.
    pub show: ShowId,
    /// Who holds.
    pub customer: CustomerId,
    /// The hold.
    pub hold: HoldId,
}

/// A hold ended by its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The hold.
    pub hold: HoldId,
    /// Position of the batch that freed the seats.
    pub position: Position,
}

/// Where a hold is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HoldPhase {
    /// The customer chooses; may be extended or released.
    Browse,
    /// Being turned into a booking; may be neither extended nor released.
    Paying,
    /// Over.
    Ended,
    /// A phase that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A hold as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldInfo {
    /// Proof of the hold.
    pub hold: HoldId,
    /// The show.
    pub show: ShowId,
    /// The seats, ascending.
    pub seats: Vec<SeatIndex>,
    /// Where it is in its life.
    pub phase: HoldPhase,
    /// Milliseconds left; the server honours a little more.
    pub remaining_ms: u64,
    /// How often it may still be extended.
    pub extensions_left: u32,
    /// Position of the batch that took the seats.
    pub position: Position,
    /// The booking that the hold is being turned into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking: Option<BookingId>,
}

/// Asks for the live holds and pending bookings of customers at one show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnHolds {
    /// The show.
    pub show: ShowId,
    /// Whose.
    pub customers: Vec<CustomerId>,
}

/// Answer to [`OwnHolds`], one entry a customer in the order asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnHoldsReply {
    /// One entry a customer.
    pub customers: Vec<CustomerHolds>,
}

/// What one customer has at one show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerHolds {
    /// Whose.
    pub customer: CustomerId,
    /// Live holds.
    pub holds: Vec<HoldInfo>,
    /// Pending bookings.
    #[serde(default)]
    pub pending: Vec<BookingInfo>,
}

/// Turns a hold into a pending booking with an order at the payment provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// The show.
    pub show: ShowId,
    /// Who books.
    pub customer: CustomerId,
    /// The hold to turn into a booking.
    pub hold: HoldId,
    /// The same key and body make one booking.
    pub key: IdempotencyKey,
    /// Where the confirmation goes.
    pub email: String,
}

/// Asks for one booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetBooking {
    /// Whose.
    pub customer: CustomerId,
    /// The booking.
    pub booking: BookingId,
}

/// Cancels a pending booking, or a confirmed one with a refund where policy allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelBooking {
    /// Whose.
    pub customer: CustomerId,
    /// The booking.
    pub booking: BookingId,
    /// The same key cancels once.
    pub key: IdempotencyKey,
}

/// State of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BookingState {
    /// Seats claimed, payment awaited.
    Pending,
    /// Paid; the seats are the customer's.
    Confirmed,
    /// Not paid in time.
    Expired,
    /// Cancelled by the customer or the organiser.
    Cancelled,
    /// A state that this version does not know.
    #[serde(other)]
    Unknown,
}

/// State of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefundState {
    /// Decided.
    Due,
    /// Asked for at the provider.
    Requested,
    /// Done.
    Processed,
    /// Refused by the provider; it is tried again, or waits for an operator.
    Failed,
    /// A state that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Money going back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundInfo {
    /// How far it is.
    pub state: RefundState,
    /// Minor units.
    pub amount: u64,
}

/// A booking as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingInfo {
    /// The booking.
    pub booking: BookingId,
    /// The show.
    pub show: ShowId,
    /// The seats, ascending.
    pub seats: Vec<SeatIndex>,
    /// Labels of the seats, in the same order.
    pub labels: Vec<String>,
    /// State.
    pub state: BookingState,
    /// Grows with each change of the booking.
    pub version: u64,
    /// Minor units.
    pub amount: u64,
    /// ISO 4217.
    pub currency: String,
    /// Milliseconds left to pay; 0 when not pending.
    pub remaining_ms: u64,
    /// The provider's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Where to pay, while pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout_url: Option<String>,
    /// Refunds of payments for this booking.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundInfo>,
    /// Milliseconds since 1970.
    pub created_at_ms: u64,
}

/// Asks for a customer's bookings, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListBookings {
    /// Whose.
    pub customer: CustomerId,
    /// Only bookings created before this instant, milliseconds since 1970; for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_ms: Option<u64>,
}

/// A page of bookings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingsReply {
    /// Newest first.
    pub bookings: Vec<BookingInfo>,
    /// Whether there are older ones.
    pub more: bool,
}

/// Asks for the whole map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetSnapshot {
    /// The show.
    pub show: ShowId,
}

/// The whole map at a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotReply {
    /// The last batch included.
    pub position: Position,
    /// Sale state.
    pub sale: SaleState,
    /// Milliseconds until the sale opens; 0 unless before.
    pub opens_in_ms: u64,
    /// Version of the layout.
    pub layout_version: u64,
    /// Number of seats.
    pub seats: u32,
    /// Two bits a seat, see [`crate::seat::PackedStatuses`].
    #[serde(with = "byte_string")]
    pub statuses: Vec<u8>,
}

/// Asks where the streams of shows are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetPositions {
    /// The shows.
    pub shows: Vec<ShowId>,
    /// How many watch each of them, from a gateway that asks for all its shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewers: Option<Viewers>,
}

/// How many people watch shows through one gateway, for operators. Forgotten after three seconds without news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewers {
    /// Which gateway, another name after each start: 1 to 64 letters, digits, `-` and `_`.
    pub gateway: String,
    /// A gateway with more shows than one command takes numbers its commands, from 0 to 15.
    pub part: u32,
    /// One count a show, in the order of the shows.
    pub counts: Vec<u32>,
}

/// Answer to [`GetPositions`], in the order asked; `None` for a show that is not loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionsReply {
    /// One entry a show.
    pub positions: Vec<Option<Position>>,
}

/// Asks for shows; all filters are optional.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ListShows {
    /// Only this show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show: Option<ShowId>,
    /// Only this city, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Only this day, `YYYY-MM-DD`, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Only this movie, by title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub movie: Option<String>,
}

/// Shows by start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowsReply {
    /// Ascending by start.
    pub shows: Vec<ShowInfo>,
}

/// Asks for the seat plan of a show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetLayout {
    /// The show.
    pub show: ShowId,
}

/// The outcome of a command as it travels inside one process.
pub type CommandResult<T> = Result<T, ErrorBody>;

/// Makes the tokens void that a customer has now, on all devices, and has every gateway close its connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOut {
    /// Who.
    pub customer: CustomerId,
    /// When the token at hand was issued, milliseconds since 1970: it is void even if the core's clock is behind; 0
    /// without one.
    pub issued_at_ms: u64,
    /// No token that was issued until now is good for longer.
    pub keep_ms: u64,
}

/// The customer is logged out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedOut {
    /// Tokens issued before are void, milliseconds since 1970.
    pub before_ms: u64,
}

/// Asks who was logged out, as far as tokens may still be around: what the control channel told, for who missed it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetLogouts {
    /// Only customers after this one: the last of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<CustomerId>,
    /// Only logouts of the last so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

/// A page of logouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutsReply {
    /// By customer, at most [`crate::limits::LOGOUTS_PER_REPLY_MAX`].
    pub logouts: Vec<Logout>,
    /// Whether there are more.
    pub more: bool,
}

/// A customer whose older tokens are void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logout {
    /// Who.
    pub customer: CustomerId,
    /// Tokens issued before are void, milliseconds since 1970.
    pub before_ms: u64,
}

/// Asks how many seats are left of the shows that [`ListShows`] with the same filters lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ListAvailability(pub ListShows);

/// How full shows are, in the order of [`ShowsReply`]; as of a moment ago, for a list, not for a seat map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvailabilityReply {
    /// The shows.
    pub shows: Vec<Availability>,
}

/// How full a show is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    /// The show.
    pub show: ShowId,
    /// Number of seats.
    pub seats: u32,
    /// Seats that are neither claimed, booked nor blocked; some of them may be held.
    pub available: u32,
}
