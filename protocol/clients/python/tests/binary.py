"""What is not MessagePack, as far as the client itself does not need it: seat frames written (PROTOCOL.md 2.1), feed
messages (4) and frames of the core's port (3) both ways.
"""

import struct

from seatwire.wire import LETTERS, SALES, Cursor, WireError

REASONS = (None, "held", "released", "expired", "ledger", "sale", "operator")
HEADER = struct.Struct(">IBBHQIQ")


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varints(*values: int) -> bytes:
    return b"".join(varint(value) for value in values)


def write_seat_frame(frame: dict) -> bytes:
    sale = bytes([SALES.index(frame["sale"])])
    if frame["t"] == "snapshot":
        seats = frame["seats"]
        packed = bytearray((len(seats) + 3) // 4)
        for seat, letter in enumerate(seats):
            packed[seat // 4] |= LETTERS.index(letter) << (6 - 2 * (seat % 4))
        tail = varints(frame["opens_in_ms"], frame["layout"], frame["viewers"], len(seats)) + packed
        return b"\x01" + varints(frame["show"], frame["g"], frame["s"]) + sale + tail
    if frame["t"] == "beat":
        tail = varints(frame["viewers"], frame["server_time_ms"])
        return b"\x03" + varints(frame["show"], frame["g"], frame["s"]) + sale + tail
    entries, before = [], -1
    for seat, letter in frame["seats"]:
        entries.append((seat - before - 1) << 2 | LETTERS.index(letter))
        before = seat
    head = varints(frame["show"], frame["g"], frame["from"], frame["to"])
    return b"\x02" + head + sale + varints(frame["viewers"], len(entries), *entries)


def read_feed(data: bytes) -> dict:
    cursor = Cursor(data)
    version, kind, g, s = cursor.u(1), cursor.u(1), cursor.u(8), cursor.u(8)
    if version != 1 or kind not in (1, 2):
        raise WireError("another version, or no such kind")
    sale, reason = cursor.sale(), cursor.u(1)
    entries = [cursor.u(4) for _ in range(cursor.u(2))]
    holds = [cursor.take(16).hex() for _ in range(cursor.u(1))]
    cursor.end()
    if kind == 2:
        return {"kind": "reset", "g": g}
    known = REASONS[reason] if reason < len(REASONS) else None
    seats = [[entry >> 2, LETTERS[entry & 3]] for entry in entries]
    return {"kind": "batch", "g": g, "s": s, "sale": sale, "reason": known, "seats": seats, "holds": holds}


def write_feed(json: dict) -> bytes:
    seats, holds = json.get("seats", []), json.get("holds", [])
    head = struct.pack(
        ">BBQQBBH",
        1,
        1 if json["kind"] == "batch" else 2,
        json["g"],
        json.get("s", 0),
        SALES.index(json.get("sale", "before")),
        REASONS.index(json.get("reason")),
        len(seats),
    )
    entries = b"".join(struct.pack(">I", seat << 2 | LETTERS.index(letter)) for seat, letter in seats)
    return head + entries + bytes([len(holds)]) + b"".join(bytes.fromhex(hold) for hold in holds)


def take_core_frame(data: bytes) -> tuple[dict, bytes] | None:
    """One frame off the front of a stream, and the bytes after it; None when more bytes are needed."""
    if len(data) < 4:
        return None
    length = int.from_bytes(data[:4], "big")
    if not 24 <= length <= 4 << 20:
        raise WireError(f"a frame of {length} bytes")
    if len(data) < 4 + length:
        return None
    _, version, kind, _, request_id, deadline_ms, trace = HEADER.unpack_from(data)
    frame = {"version": version, "kind": kind, "request_id": request_id, "deadline_ms": deadline_ms, "trace": trace}
    return frame | {"body": data[HEADER.size : 4 + length]}, data[4 + length :]


def write_core_frame(frame: dict) -> bytes:
    fields = (frame[name] for name in ("request_id", "deadline_ms", "trace"))
    return HEADER.pack(24 + len(frame["body"]), frame["version"], frame["kind"], 0, *fields) + frame["body"]
