//! Every maximum on the wire, with the relations between them checked when compiling.

/// Largest integer on any wire: 2^53 − 1, the largest that JavaScript's number holds exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Seats in one show.
pub const SEATS_PER_SHOW_MAX: usize = 65_536;
/// Seats in one hold.
pub const SEATS_PER_HOLD_MAX: usize = 10;
/// Length of a customer id, bytes.
pub const CUSTOMER_ID_BYTES_MAX: usize = 64;
/// Length of an idempotency key, bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Length of an e-mail address, bytes (RFC 5321, 4.5.3.1.3).
pub const EMAIL_BYTES_MAX: usize = 254;
/// One message from a viewer to the gateway, bytes.
pub const CLIENT_MESSAGE_BYTES_MAX: usize = 4_096;
/// One frame between gateway and core, bytes after the length field. A layout of [`SEATS_PER_SHOW_MAX`] seats fits.
pub const CORE_FRAME_BYTES_MAX: usize = 4 << 20;
/// Nesting of a MessagePack body.
pub const NESTING_MAX: u16 = 16;
/// Shows in one positions command.
pub const POSITIONS_PER_COMMAND_MAX: usize = 10_000;
/// Commands in which one gateway tells how many watch its shows.
pub const VIEWER_PARTS_MAX: u32 = 16;
/// Customers in one own-holds command.
pub const CUSTOMERS_PER_COMMAND_MAX: usize = 500;
/// Bookings in one answer.
pub const BOOKINGS_PER_REPLY_MAX: usize = 50;
/// Logouts in one answer.
pub const LOGOUTS_PER_REPLY_MAX: usize = 5_000;
/// Shows that one WebSocket may watch at a time.
pub const WATCHED_SHOWS_MAX: usize = 8;
/// Commands in flight per WebSocket; while they wait, the gateway stops reading that socket.
pub const COMMANDS_IN_FLIGHT_PER_VIEWER_MAX: usize = 8;
/// Commands in flight per connection to the core; more are answered OVERLOADED.
pub const COMMANDS_IN_FLIGHT_PER_CORE_CONNECTION_MAX: usize = 4_096;

const _: () = assert!(LOGOUTS_PER_REPLY_MAX * (CUSTOMER_ID_BYTES_MAX + 64) < CORE_FRAME_BYTES_MAX);
const _: () = assert!(SEATS_PER_HOLD_MAX < SEATS_PER_SHOW_MAX);
const _: () = assert!(SEATS_PER_SHOW_MAX / 4 < CORE_FRAME_BYTES_MAX, "a packed snapshot fits one frame");
const _: () = assert!(CLIENT_MESSAGE_BYTES_MAX > IDEMPOTENCY_KEY_BYTES_MAX * 4 + EMAIL_BYTES_MAX);
