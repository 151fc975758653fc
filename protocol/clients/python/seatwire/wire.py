"""Bytes to messages and back: MessagePack maps, and packed seat frames (PROTOCOL.md, sections 1 and 2.1).

A message is a dict with the field names of the document; ids of holds and bookings are hex text. Seat frames come out
in the shape of their JSON form, so that the rest of the client needs to know one shape only.
"""

import msgpack

INTEGER_MAX = 2**53 - 1
NESTING_MAX = 16
SEATS_MAX = 65_536
LETTERS = "ahbx"
SALES = ("before", "open", "closed")


class WireError(ValueError):
    """Bytes that are no message."""


def read(data: bytes) -> dict:
    """A message of the gateway: a packed seat frame begins below 0x80, a MessagePack map does not."""
    if data and data[0] < 0x80:
        return read_seat_frame(data)
    return with_hex_ids(unpack(data))


def write(message: dict) -> bytes:
    """A message of the client. Ids may stay hex text: readers take that as well."""
    return msgpack.packb(message)


def unpack(data: bytes) -> dict:
    """One strict MessagePack map: no float, no key twice, not deep, nothing after it."""
    try:
        value = msgpack.unpackb(data, object_pairs_hook=_map, max_array_len=SEATS_MAX, max_map_len=SEATS_MAX)
    except (msgpack.UnpackException, msgpack.ExtraData, ValueError, TypeError) as error:
        raise WireError(f"not MessagePack as it should be: {error}") from error
    if not isinstance(value, dict):
        raise WireError("a message is a map")
    _check(value, 1)
    return value


def _map(pairs: list) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WireError("a key twice")
    return found


def _check(value, depth: int) -> None:
    if depth > NESTING_MAX:
        raise WireError("nested too deep")
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth + 1)
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) > INTEGER_MAX):
        raise WireError(f"not an integer of at most 53 bits: {value}")
    elif not isinstance(value, (str, bytes, int, bool, type(None))):
        raise WireError(f"not part of the protocol: {type(value).__name__}")


def with_hex_ids(value):
    """The same with each `bin` as hex text."""
    if isinstance(value, dict):
        return {name: with_hex_ids(item) for name, item in value.items()}
    if isinstance(value, list):
        return [with_hex_ids(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


class Cursor:
    """Reads from the front; bytes that end too soon are no message."""

    def __init__(self, data: bytes):
        self.data, self.at = bytes(data), 0

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        if len(taken) < count:
            raise WireError("cut short")
        self.at += count
        return taken

    def u(self, size: int) -> int:
        """A big-endian number of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def varint(self) -> int:
        """Seven bits a byte, low bits first, the high bit set on all but the last byte."""
        value = 0
        for place in range(8):
            byte = self.u(1)
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if byte == 0 and place > 0:
                    raise WireError("an integer that is longer than needed")
                if value > INTEGER_MAX:
                    raise WireError("2^53 or more")
                return value
        raise WireError("an integer of more than eight bytes")

    def sale(self) -> str:
        code = self.u(1)
        if code >= len(SALES):
            raise WireError(f"no sale state {code}")
        return SALES[code]

    def end(self) -> None:
        if self.at != len(self.data):
            raise WireError("bytes after the message")


def read_seat_frame(data: bytes) -> dict:
    """A packed snapshot, delta or beat, in the shape of its JSON form."""
    cursor = Cursor(data)
    readers = {1: _snapshot, 2: _delta, 3: _beat}
    kind = cursor.u(1)
    if kind not in readers:
        raise WireError(f"no seat frame of kind {kind}")
    show = cursor.varint()
    if show == 0:
        raise WireError("shows begin with 1")
    frame = readers[kind](cursor, show)
    cursor.end()
    return frame


def _snapshot(cursor: Cursor, show: int) -> dict:
    frame = {"t": "snapshot", "show": show, "g": cursor.varint(), "s": cursor.varint(), "sale": cursor.sale()}
    for name in ("opens_in_ms", "layout", "viewers"):
        frame[name] = cursor.varint()
    count = cursor.varint()
    if count > SEATS_MAX:
        raise WireError("too many seats")
    packed = cursor.take((count + 3) // 4)
    letters = "".join(LETTERS[byte >> shift & 3] for byte in packed for shift in (6, 4, 2, 0))
    if letters[count:].strip(LETTERS[0]):
        raise WireError("bits behind the last seat")
    frame["seats"] = letters[:count]
    return frame


def _delta(cursor: Cursor, show: int) -> dict:
    frame = {"t": "delta", "show": show, "g": cursor.varint(), "from": cursor.varint(), "to": cursor.varint()}
    frame |= {"sale": cursor.sale(), "viewers": cursor.varint(), "seats": []}
    if frame["to"] <= frame["from"]:
        raise WireError("a delta leads on")
    seat = -1
    for _ in range(cursor.varint()):
        entry = cursor.varint()
        seat += 1 + (entry >> 2)
        if seat >= SEATS_MAX:
            raise WireError(f"no seat {seat}")
        frame["seats"].append([seat, LETTERS[entry & 3]])
    return frame


def _beat(cursor: Cursor, show: int) -> dict:
    frame = {"t": "beat", "show": show, "g": cursor.varint(), "s": cursor.varint(), "sale": cursor.sale()}
    return frame | {"viewers": cursor.varint(), "server_time_ms": cursor.varint()}
