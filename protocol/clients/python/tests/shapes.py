"""The messages of the three wires, field by field, as PROTOCOL.md has them (sections 2.2, 2.3, 3, 4, 5, 6).

A shape reads what MessagePack gives into what the golden JSON says, and writes it the other way round with the fields
in the order of the JSON. It raises ValueError for what does not fit.
"""

import re
from typing import Any

MAX = 2**53 - 1


class Same:
    """The same on both sides, if it passes the check."""

    def __init__(self, check):
        self.check = check

    def read(self, value: Any) -> Any:
        if not self.check(value):
            raise ValueError(f"does not fit: {value!r}")
        return value

    write = read


class Id:
    """16 bytes, where hex text is read too; hex text in JSON."""

    def read(self, value: Any) -> str:
        text = value.hex() if isinstance(value, bytes) else value
        if not (isinstance(text, str) and re.fullmatch("[0-9a-f]{32}", text)):
            raise ValueError(f"no id: {value!r}")
        return text

    def write(self, text: str) -> bytes:
        return bytes.fromhex(text)


class Bytes:
    """Bytes; a list of numbers in a golden JSON file."""

    def read(self, value: bytes) -> list[int]:
        return list(value)

    def write(self, numbers: list[int]) -> bytes:
        return bytes(numbers)


class List:
    def __init__(self, of):
        self.of = of

    def read(self, value: Any) -> list:
        if not isinstance(value, list):
            raise ValueError(f"no list: {value!r}")
        return [self.of.read(item) for item in value]

    def write(self, value: list) -> list:
        return [self.of.write(item) for item in value]


class OrNil:
    def __init__(self, of):
        self.of = of

    def read(self, value: Any) -> Any:
        return None if value is None else self.of.read(value)

    def write(self, value: Any) -> Any:
        return None if value is None else self.of.write(value)


class Record:
    """A map of named fields; a name that ends in `_` may be absent or nil. Fields that are not known are left out."""

    def __init__(self, **fields):
        self.must = {name: shape for name, shape in fields.items() if not name.endswith("_")}
        self.may = {name[:-1]: shape for name, shape in fields.items() if name.endswith("_")}

    def read(self, value: Any) -> dict:
        if not isinstance(value, dict):
            raise ValueError(f"no map: {value!r}")
        missing = self.must.keys() - value.keys()
        if missing:
            raise ValueError(f"without {missing}: {value!r}")
        found = {name: shape.read(value[name]) for name, shape in self.must.items()}
        return found | {name: shape.read(value[name]) for name, shape in self.may.items() if value.get(name) is not None}

    def write(self, value: dict) -> dict:
        shapes = self.must | self.may
        return {name: shapes[name].write(item) for name, item in value.items()}


class Tagged:
    """Records told apart by the field `tag`."""

    def __init__(self, tag: str, **records: dict):
        self.tag = tag
        self.records = {name: Record(**{tag: TEXT}, **fields) for name, fields in records.items()}

    def of(self, value: Any) -> Record:
        name = value.get(self.tag) if isinstance(value, dict) else None
        if name not in self.records:
            raise ValueError(f"no {self.tag} that is known: {value!r}")
        return self.records[name]

    def read(self, value: Any) -> dict:
        return self.of(value).read(value)

    def write(self, value: dict) -> dict:
        return self.of(value).write(value)


class One:
    """A map with one field, which says what it is."""

    def __init__(self, **shapes):
        self.shapes = shapes

    def read(self, value: dict) -> dict:
        [(name, item)] = value.items()
        return {name: self.shapes[name].read(item)}

    def write(self, value: dict) -> dict:
        [(name, item)] = value.items()
        return {name: self.shapes[name].write(item)}


def integer(low: int = 0, high: int = MAX) -> Same:
    return Same(lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high)


def text(pattern: str = ".*") -> Same:
    return Same(lambda v: isinstance(v, str) and re.fullmatch(pattern, v, re.DOTALL) is not None)


TEXT, BOOL, NUMBER, SIGNED = text(), Same(lambda v: isinstance(v, bool)), integer(), integer(-MAX)
SHOW, SEAT = integer(1), integer(0, 65_535)
SEATS, HOLD_ID, BOOKING_ID = List(SEAT), Id(), Id()
CUSTOMER, KEY = text("[A-Za-z0-9_.-]{1,64}"), text("[!-~]{1,255}")
SALE = text("before|open|closed")
POSITION = Record(g=NUMBER, s=NUMBER)
BEST = Record(count=integer(1, 10), tier_=NUMBER)

HOLD = Record(
    hold=HOLD_ID, show=SHOW, seats=SEATS, phase=TEXT, remaining_ms=NUMBER, extensions_left=NUMBER, position=POSITION,
    booking_=BOOKING_ID,
)  # fmt: skip
BOOKING = Record(
    booking=BOOKING_ID, show=SHOW, seats=SEATS, labels=List(TEXT), state=TEXT, version=NUMBER, amount=NUMBER,
    currency=TEXT, remaining_ms=NUMBER, order_=TEXT, checkout_url_=TEXT,
    refunds_=List(Record(state=TEXT, amount=NUMBER)), created_at_ms=NUMBER,
)  # fmt: skip
RELEASED = Record(hold=HOLD_ID, position=POSITION)
BOOKINGS = Record(bookings=List(BOOKING), more=BOOL)
SHOW_INFO = Record(
    show=SHOW, movie=TEXT, city=TEXT, theater=TEXT, screen=TEXT, starts_at_ms=NUMBER, sale=SALE, opens_in_ms=NUMBER,
    seats=NUMBER, price_min=NUMBER, price_max=NUMBER, currency=TEXT, layout_version=NUMBER,
)  # fmt: skip
ROW = Record(
    name=TEXT, prefix=TEXT, rank=NUMBER, y=SIGNED, first=SEAT, numbers=List(NUMBER), x=List(SIGNED), tiers=List(NUMBER)
)
LAYOUT = Record(
    show=SHOW, version=NUMBER, seats=NUMBER, focus=TEXT, currency=TEXT,
    tiers=List(Record(id=NUMBER, name=TEXT, price=NUMBER)), sections=List(Record(name=TEXT, rows=List(ROW))),
)  # fmt: skip
ERROR = Record(
    code=TEXT, message=TEXT, field_=TEXT, seats_=List(Record(seat=SEAT, reason=TEXT, label_=TEXT)),
    retry_after_ms_=NUMBER, opens_in_ms_=NUMBER, limit_=NUMBER, trace_id_=TEXT,
)  # fmt: skip

CLIENT = Tagged(
    "t",
    auth=dict(token=TEXT),
    watch=dict(show=SHOW, pos_=POSITION),
    unwatch=dict(show=SHOW),
    hide=dict(hidden=BOOL),
    hold=dict(id=NUMBER, show=SHOW, key=KEY, seats_=SEATS, best_=BEST),
    extend=dict(id=NUMBER, show=SHOW, hold=HOLD_ID, key=KEY),
    release=dict(id=NUMBER, show=SHOW, hold=HOLD_ID),
    own_holds=dict(id=NUMBER, show=SHOW),
    book=dict(id=NUMBER, show=SHOW, hold=HOLD_ID, key=KEY, email=TEXT),
    booking=dict(id=NUMBER, booking=BOOKING_ID),
    cancel=dict(id=NUMBER, booking=BOOKING_ID, key=KEY),
    bookings=dict(id=NUMBER, before_ms_=NUMBER),
)
PUSH = Tagged(
    "p",
    hold=dict(hold=HOLD),
    hold_ended=dict(show=SHOW, hold=HOLD_ID, seats=SEATS, reason=TEXT, position=POSITION),
    booking=dict(booking=BOOKING),
    reread={},
)
OK = One(
    hold=HOLD,
    released=RELEASED,
    booking=BOOKING,
    own_holds=Record(show=SHOW, holds=List(HOLD), pending=List(BOOKING)),
    bookings=BOOKINGS,
)
SERVER = Tagged(
    "t",
    welcome=dict(customer=CUSTOMER, server_time_ms=NUMBER, token_expires_in_ms=NUMBER, beat_ms=NUMBER),
    reply=dict(id=NUMBER, ok=OK),
    error=dict(id_=NUMBER, error=ERROR),
    push=dict(push=PUSH),
    stale=dict(show=SHOW, stale=BOOL),
    alive=dict(server_time_ms=NUMBER),
)
CONTROL = Tagged("t", logout=dict(customer=CUSTOMER, before_ms=NUMBER))

#: Operations of the core's port: kind, body, reply.
OPERATIONS = {
    "hello": (
        0x01,
        Record(secret=TEXT, name=TEXT, version_min=NUMBER, version_max=NUMBER),
        Record(version=NUMBER, core=TEXT, frame_bytes_max=NUMBER, in_flight_max=NUMBER),
    ),
    "hold_seats": (0x10, Record(show=SHOW, customer=CUSTOMER, key=KEY, seats_=SEATS, best_=BEST), HOLD),
    "extend_hold": (0x11, Record(show=SHOW, customer=CUSTOMER, hold=HOLD_ID, key=KEY), HOLD),
    "release_hold": (0x12, Record(show=SHOW, customer=CUSTOMER, hold=HOLD_ID), RELEASED),
    "own_holds": (
        0x13,
        Record(show=SHOW, customers=List(CUSTOMER)),
        Record(customers=List(Record(customer=CUSTOMER, holds=List(HOLD), pending=List(BOOKING)))),
    ),
    "book": (0x20, Record(show=SHOW, customer=CUSTOMER, hold=HOLD_ID, key=KEY, email=TEXT), BOOKING),
    "get_booking": (0x21, Record(customer=CUSTOMER, booking=BOOKING_ID), BOOKING),
    "cancel_booking": (0x22, Record(customer=CUSTOMER, booking=BOOKING_ID, key=KEY), BOOKING),
    "list_bookings": (0x23, Record(customer=CUSTOMER, before_ms_=NUMBER), BOOKINGS),
    "get_snapshot": (
        0x30,
        Record(show=SHOW),
        Record(
            position=POSITION, sale=SALE, opens_in_ms=NUMBER, layout_version=NUMBER, seats=NUMBER, statuses=Bytes()
        ),
    ),
    "get_positions": (
        0x31,
        Record(shows=List(SHOW), viewers_=Record(gateway=TEXT, part=NUMBER, counts=List(NUMBER))),
        Record(positions=List(OrNil(POSITION))),
    ),
    "list_shows": (0x40, Record(show_=SHOW, city_=TEXT, date_=TEXT, movie_=TEXT), Record(shows=List(SHOW_INFO))),
    "get_layout": (0x41, Record(show=SHOW), LAYOUT),
    "list_availability": (
        0x42,
        Record(show_=SHOW, city_=TEXT, date_=TEXT, movie_=TEXT),
        Record(shows=List(Record(show=SHOW, seats=NUMBER, available=NUMBER))),
    ),
    "log_out": (0x50, Record(customer=CUSTOMER, issued_at_ms=NUMBER, keep_ms=NUMBER), Record(before_ms=NUMBER)),
    "get_logouts": (
        0x51,
        Record(after_=CUSTOMER, within_ms_=NUMBER),
        Record(logouts=List(Record(customer=CUSTOMER, before_ms=NUMBER)), more=BOOL),
    ),
}
