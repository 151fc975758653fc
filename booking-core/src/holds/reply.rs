//! Reading what the scripts answer: `{ code, … }`, see each script's header.

use redis::Value;

use seatwire_protocol::command::{HoldInfo, HoldPhase};
use seatwire_protocol::error::{SeatConflict, SeatConflictReason};
use seatwire_protocol::ws::HoldEndReason;
use seatwire_protocol::{BookingId, CustomerId, HoldId, Position, SeatIndex, ShowId};

use super::{HoldConfig, HoldError, LimitKind, Refusal};

/// A script's answer.
#[derive(Debug)]
pub(super) struct Reply {
    code: String,
    fields: Vec<Value>,
}

/// A hold that a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) customer: CustomerId,
    pub(super) hold: HoldId,
    pub(super) reason: HoldEndReason,
    /// How long after the end that the customer was told.
    pub(super) late_ms: u64,
    /// Of the batch that freed the seats.
    pub(super) position: Position,
    pub(super) seats: Vec<SeatIndex>,
}

pub(super) fn malformed(what: &str) -> HoldError {
    HoldError::Internal(format!("a script answered no {what}"))
}

pub(super) fn number(value: &Value) -> Result<u64, HoldError> {
    signed(value).and_then(|n| u64::try_from(n).map_err(|_| malformed("number from 0 up")))
}

fn signed(value: &Value) -> Result<i64, HoldError> {
    match value {
        Value::Int(n) => Ok(*n),
        _ => Err(malformed("integer")),
    }
}

pub(super) fn list(value: &Value) -> Result<&[Value], HoldError> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(malformed("list")),
    }
}

pub(super) fn bytes(value: &Value) -> Result<&[u8], HoldError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        _ => Err(malformed("string")),
    }
}

pub(super) fn text(value: &Value) -> Result<&str, HoldError> {
    std::str::from_utf8(bytes(value)?).map_err(|_| malformed("text"))
}

pub(super) fn seats(value: &Value) -> Result<Vec<SeatIndex>, HoldError> {
    list(value)?.iter().map(seat).collect()
}

fn seat(value: &Value) -> Result<SeatIndex, HoldError> {
    number(value).and_then(|n| u32::try_from(n).map(SeatIndex).map_err(|_| malformed("seat")))
}

impl Reply {
    pub(super) fn read(value: Value) -> Result<Self, HoldError> {
        let Value::Array(mut fields) = value else { return Err(malformed("list")) };
        if fields.is_empty() {
            return Err(malformed("code"));
        }
        let code = text(&fields.remove(0))?.to_owned();
        Ok(Self { code, fields })
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    pub(super) fn field(&self, index: usize) -> Result<&Value, HoldError> {
        self.fields.get(index).ok_or_else(|| malformed("such field"))
    }

    pub(super) fn number(&self, index: usize) -> Result<u64, HoldError> {
        number(self.field(index)?)
    }

    /// Position in two fields.
    pub(super) fn position(&self, index: usize) -> Result<Position, HoldError> {
        Ok(Position::new(self.number(index)?, self.number(index + 1)?))
    }

    /// The holds that a script ended besides; none when the field is missing.
    pub(super) fn ended(&self, index: usize) -> Result<Vec<Ended>, HoldError> {
        self.fields.get(index).map_or(Ok(Vec::new()), |value| list(value)?.iter().map(read_ended).collect())
    }

    /// Any answer but OK.
    pub(super) fn refusal(&self, config: &HoldConfig) -> Result<Refusal, HoldError> {
        let limit = |kind, cap| Ok(Refusal::Limit { kind, cap });
        match self.code.as_str() {
            "NOT_ON_SALE" => {
                let opens_in_ms = signed(self.field(0)?)?.max(0).unsigned_abs();
                Ok(Refusal::NotOnSale { opens_in_ms })
            }
            "SALE_CLOSED" => Ok(Refusal::SaleClosed),
            "TAKEN" => Ok(Refusal::Taken(self.conflicts(0)?)),
            "NO_SUCH_SEAT" => Ok(Refusal::NoSuchSeat(self.conflicts(0)?)),
            "ORPHAN" => Ok(Refusal::Orphan(self.conflicts(0)?)),
            "NONE_LEFT" => Ok(Refusal::NoneLeft),
            "COOL_DOWN" => Ok(Refusal::CoolDown { retry_after_ms: self.number(0)?, seats: self.conflicts(2)? }),
            "HOLDS_LIMIT" => limit(LimitKind::Holds, config.holds_max.into()),
            "SEATS_LIMIT" => limit(LimitKind::Seats, config.seats_max.into()),
            "EXTENSIONS_LIMIT" => limit(LimitKind::Extensions, config.extensions.into()),
            "LIFETIME_LIMIT" => limit(LimitKind::Lifetime, config.lifetime_ms),
            "KEY_REUSED" => Ok(Refusal::KeyReused),
            "IN_PAYMENT" => Ok(Refusal::InPayment),
            "GONE" => Ok(Refusal::Gone),
            "NOT_OWNER" => Ok(Refusal::NotOwner),
            other => Err(HoldError::Internal(format!("a script answered {other}"))),
        }
    }

    fn conflicts(&self, index: usize) -> Result<Vec<SeatConflict>, HoldError> {
        let one = |value: &Value| {
            let [at, why] = list(value)? else { return Err(malformed("conflict")) };
            let reason = match number(why)? {
                1 => SeatConflictReason::Held,
                2 => SeatConflictReason::Booked,
                3 => SeatConflictReason::Blocked,
                4 => SeatConflictReason::NoSuchSeat,
                5 => SeatConflictReason::Orphan,
                6 => SeatConflictReason::CoolDown,
                _ => SeatConflictReason::Unknown,
            };
            Ok(SeatConflict { seat: seat(at)?, reason, label: None })
        };
        list(self.field(index)?)?.iter().map(one).collect()
    }
}

/// `hold_info` of show.lua.
pub(super) fn hold_info(show: ShowId, value: &Value, config: &HoldConfig) -> Result<HoldInfo, HoldError> {
    let [id, phase, remaining, extended, generation, sequence, booking, of_seats] = list(value)? else {
        return Err(malformed("hold"));
    };
    let phase = match number(phase)? {
        1 => HoldPhase::Browse,
        2 => HoldPhase::Paying,
        3 => HoldPhase::Ended,
        _ => return Err(malformed("phase")),
    };
    let extended = u32::try_from(number(extended)?).map_err(|_| malformed("count"))?;
    Ok(HoldInfo {
        hold: HoldId::from_slice(bytes(id)?).map_err(|_| malformed("hold id"))?,
        show,
        seats: seats(of_seats)?,
        phase,
        remaining_ms: number(remaining)?,
        extensions_left: config.extensions.saturating_sub(extended),
        position: Position::new(number(generation)?, number(sequence)?),
        booking: BookingId::from_slice(bytes(booking)?).ok(),
    })
}

fn read_ended(value: &Value) -> Result<Ended, HoldError> {
    let [customer, hold, reason, late, generation, sequence, of_seats] = list(value)? else {
        return Err(malformed("ended hold"));
    };
    let reason = match number(reason)? {
        1 => HoldEndReason::Expired,
        2 => HoldEndReason::Released,
        3 => HoldEndReason::Booked,
        4 => HoldEndReason::SeatsLost,
        5 => HoldEndReason::Operator,
        _ => HoldEndReason::Unknown,
    };
    Ok(Ended {
        customer: CustomerId::new(text(customer)?).map_err(|_| malformed("customer"))?,
        hold: HoldId::from_slice(bytes(hold)?).map_err(|_| malformed("hold id"))?,
        reason,
        late_ms: signed(late)?.max(0).unsigned_abs(),
        position: Position::new(number(generation)?, number(sequence)?),
        seats: seats(of_seats)?,
    })
}
