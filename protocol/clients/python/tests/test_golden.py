"""Reads and writes every golden vector with code made from PROTOCOL.md alone: an independent opinion on the bytes,
beside the Rust types and the JavaScript reader.
"""

import json
import unittest
from pathlib import Path

import binary
import msgpack
import shapes
from seatwire.wire import read_seat_frame, unpack

GOLDEN = Path(__file__).resolve().parents[3] / "tests" / "golden" / "v1"


def golden(name: str) -> dict:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def golden_bytes(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def names(folder: str = "") -> list[str]:
    return sorted(folder + file.name.removesuffix(".hex") for file in (GOLDEN / folder).glob("*.hex"))


def shape(kind: str, rest: str):
    """The shape of a MessagePack body by the name of its vector: `client.hold_best`, `reply.own_holds`."""
    if kind not in ("command", "reply"):
        return {"client": shapes.CLIENT, "server": shapes.SERVER, "control": shapes.CONTROL, "error": shapes.ERROR}[kind]
    fitting = [found for name, found in shapes.OPERATIONS.items() if rest.startswith(name)]
    assert fitting, f"{kind}.{rest} is a new operation: add it to shapes.py"
    _, command, reply = fitting[0]
    return command if kind == "command" else reply


def body_shape(kind: int):
    """The shape of a frame's body by the frame's kind."""
    if kind == 0xFF:
        return shapes.ERROR
    _, command, reply = next(found for found in shapes.OPERATIONS.values() if found[0] == kind & 0x7F)
    return reply if kind & 0x80 else command


def decoded(name: str, data: bytes) -> dict:
    kind, rest = name.split(".")[:2]
    if kind == "seat_frame":
        return read_seat_frame(data)
    if kind == "feed":
        return binary.read_feed(data)
    if kind == "frame":
        frame, after = binary.take_core_frame(data)
        assert after == b""
        return frame | {"body": body_shape(frame["kind"]).read(unpack(frame["body"]))}
    return shape(kind, rest).read(unpack(data))


def encoded(name: str, meant: dict) -> bytes:
    kind, rest = name.split(".")[:2]
    if kind == "seat_frame":
        return binary.write_seat_frame(meant)
    if kind == "feed":
        return binary.write_feed(meant)
    if kind == "frame":
        body = msgpack.packb(body_shape(meant["kind"]).write(meant["body"]))
        return binary.write_core_frame(meant | {"body": body})
    return msgpack.packb(shape(kind, rest).write(meant))


class Golden(unittest.TestCase):
    def test_every_vector_means_what_its_json_says_and_is_written_with_the_same_bytes(self):
        self.assertGreaterEqual(len(names()), 70)
        for name in names():
            with self.subTest(name):
                self.assertEqual(decoded(name, golden_bytes(name)), golden(name))
                self.assertEqual(encoded(name, golden(name)).hex(), golden_bytes(name).hex())

    def test_other_bytes_of_the_same_meaning_are_read_as_the_same_message(self):
        self.assertGreaterEqual(len(names("also/")), 7)
        for name in names("also/"):
            with self.subTest(name):
                kind, message, _ = name.removeprefix("also/").split(".")
                meant = golden(f"{kind}.{message}")
                # A reason that is not known says nothing, and hurts nothing.
                meant |= {"reason": None} if kind == "feed" else {}
                self.assertEqual(decoded(name.removeprefix("also/"), golden_bytes(name)), meant)

    def test_bytes_that_are_no_message_are_refused(self):
        self.assertGreaterEqual(len(names("refused/")), 30)
        for name in names("refused/"):
            with self.subTest(name), self.assertRaises(ValueError):
                decoded(name.removeprefix("refused/"), golden_bytes(name))

    def test_a_frame_that_comes_in_pieces_is_the_same_frame(self):
        data = golden_bytes("frame.hold_seats")
        for cut in range(len(data)):
            self.assertIsNone(binary.take_core_frame(data[:cut]))
        _, after = binary.take_core_frame(data + b"\1\2")
        self.assertEqual(after, b"\1\2")


if __name__ == "__main__":
    unittest.main()
