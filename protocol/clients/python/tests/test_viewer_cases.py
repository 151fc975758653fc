"""The viewer's cases that all languages share: see protocol/tests/it/viewer_cases.rs for what a step means."""

import json
import unittest
from pathlib import Path

from seatwire import ShowViewer

CASES = Path(__file__).resolve().parents[3] / "tests" / "viewer_cases"

INPUTS = {
    "connected": lambda viewer, _: viewer.on_connected(),
    "disconnected": lambda viewer, _: viewer.on_disconnected(),
    "retry": lambda viewer, _: viewer.retry(),
    "sent": lambda viewer, message: viewer.on_sent(message),
    "message": lambda viewer, message: viewer.on_message(message),
}

#: What the viewer shows, in the shape in which a case expects it.
SEEN = {
    "live": lambda viewer, _: viewer.live,
    "stale": lambda viewer, _: viewer.stale,
    "position": lambda viewer, _: viewer.map.position and dict(zip("gs", viewer.map.position)),
    "viewers": lambda viewer, _: viewer.map.viewers,
    "sale": lambda viewer, _: viewer.map.sale,
    "opens_in_ms": lambda viewer, _: viewer.map.opens_in_ms,
    "seats": lambda viewer, wanted: {seat: viewer.seat(int(seat)) for seat in wanted},
    "holds": lambda viewer, _: sorted(viewer.own.holds),
    "pending": lambda viewer, _: sorted(booking["booking"] for booking in viewer.own.pending),
    "bookings": lambda viewer, _: {id: booking["state"] for id, booking in viewer.own.bookings.items()},
}


class ViewerCases(unittest.TestCase):
    def test_every_case_ends_as_expected(self):
        files = sorted(CASES.glob("*.json"))
        self.assertGreaterEqual(len(files), 20)
        for file in files:
            case = json.loads(file.read_text())
            viewer = ShowViewer(case["show"])
            for number, step in enumerate(case["steps"]):
                with self.subTest(case=file.stem, step=number, of=step):
                    self.run_step(viewer, dict(step))

    def run_step(self, viewer, step):
        applied = step.pop("applied", None)
        [(name, value)] = step.items()
        if name == "frame":
            self.assertEqual(viewer.on_frame(value), applied)
        elif name == "asks":
            self.assertEqual(viewer.take_asks(), value)
        elif name == "expect":
            for what, wanted in value.items():
                self.assertEqual(SEEN[what](viewer, wanted), wanted, what)
        else:
            INPUTS[name](viewer, value)


if __name__ == "__main__":
    unittest.main()
