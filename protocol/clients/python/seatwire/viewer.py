"""What a client knows of one show, without a socket or a clock: the seat map, own holds and bookings, and what to ask
the gateway for (PROTOCOL.md, sections 2.1 and 2.3). `Client` drives it.
"""

from .own import OwnThings

STATUSES = {"a": "available", "h": "held", "b": "booked", "x": "blocked"}


class SeatMap:
    """Follows snapshots and deltas from any gateway; never shows a state that never was."""

    def __init__(self, show: int):
        self.show = show
        #: (generation, sequence); None before the first snapshot.
        self.position: tuple[int, int] | None = None
        #: One of "available", "held", "booked", "blocked" a seat.
        self.statuses: list[str] = []
        self.sale: str | None = None
        #: From the arrival of the last snapshot.
        self.opens_in_ms = 0
        self.layout_version = 0
        self.viewers = 0
        #: A frame told of changes that this map does not have.
        self.behind = False

    def apply(self, frame: dict) -> str:
        """The delta rule: "applied", "ignored", "gap" or "needs_snapshot". A frame is applied whole or not at all."""
        if frame["show"] != self.show:
            return "ignored"
        became = {"snapshot": self._snapshot, "delta": self._delta, "beat": self._beat}[frame["t"]](frame)
        if became != "ignored":
            self.behind = became != "applied"
        return became

    def _snapshot(self, frame: dict) -> str:
        if self.position and frame["g"] < self.position[0]:
            return "ignored"
        self.position = (frame["g"], frame["s"])
        self.statuses = [_status(letter) for letter in frame["seats"]]
        self.opens_in_ms, self.layout_version = frame.get("opens_in_ms", 0), frame["layout"]
        self._told(frame)
        return "applied"

    def _delta(self, frame: dict) -> str:
        if not self.position or frame["g"] > self.position[0]:
            return "needs_snapshot"
        generation, sequence = self.position
        if frame["g"] < generation or frame["to"] <= sequence:
            return "ignored"
        if sequence < frame["from"]:
            return "gap"
        if any(seat >= len(self.statuses) for seat, _ in frame["seats"]):
            return "needs_snapshot"
        for seat, letter in frame["seats"]:
            self.statuses[seat] = _status(letter)
        self.position = (generation, frame["to"])
        self._told(frame)
        return "applied"

    def _beat(self, frame: dict) -> str:
        at = (frame["g"], frame["s"])
        if at > (self.position or (0, 0)):
            return "gap" if self.position and self.position[0] == at[0] else "needs_snapshot"
        if self.position:
            self.viewers = frame.get("viewers", 0)
        return "ignored"

    def _told(self, frame: dict) -> None:
        self.sale, self.viewers = frame["sale"], frame.get("viewers", 0)
        if self.sale != "before":
            self.opens_in_ms = 0


def _status(letter: str) -> str:
    # A status that this version does not know must never look free.
    return STATUSES.get(letter, "blocked")


class ShowViewer:
    """Tell it what arrived and what was sent; it says what to show and what to ask."""

    def __init__(self, show: int):
        self.show, self.map, self.own = show, SeatMap(show), OwnThings(show)
        self.connected = self.stale = False
        #: A frame of the show has come over this connection.
        self._heard = False
        self._want_watch = self._want_own = self._retry_own = False
        self._want_bookings: list[str] = []
        self._asked: dict[int, list[int]] = {}

    @property
    def live(self) -> bool:
        """Whether the map may be shown as the present state."""
        followed = self.map.position is not None and not self.map.behind
        return self.connected and self._heard and not self.stale and followed

    def seat(self, seat: int) -> str | None:
        """A seat as this customer should see it: "own", "asked", or its status; None without a map or such a seat."""
        if seat >= len(self.map.statuses):
            return None
        if self.own.has(seat):
            return "own"
        # A seat that was asked for is judged only by the reply: its delta may be here first.
        if any(seat in seats for seats in self._asked.values()):
            return "asked"
        return self.map.statuses[seat]

    def on_connected(self) -> None:
        self.connected, self._heard, self.stale = True, False, False
        self._want_watch = self._want_own = True

    def on_disconnected(self) -> None:
        """Outcomes of commands in flight are unknown: repeat them with the same key."""
        self.connected = self._want_watch = self._want_own = self._retry_own = False
        self._want_bookings = []
        self._asked.clear()
        self.own.on_disconnected()

    def take_asks(self) -> list[dict]:
        """What to send now, each thing once: watch from `pos`, own_holds, or a booking."""
        asks = []
        if self._want_watch:
            at = self.map.position
            asks.append({"ask": "watch", "pos": at and {"g": at[0], "s": at[1]}})
        if self._want_own:
            asks.append({"ask": "own_holds"})
        asks += [{"ask": "booking", "booking": booking} for booking in self._want_bookings]
        self._want_watch = self._want_own = False
        self._want_bookings = []
        return asks

    def reread(self) -> None:
        """Own holds and bookings may have changed unseen."""
        self._want_own = self.connected

    def retry(self) -> None:
        """To be called about once a second: own holds that could not be told are asked for again."""
        if self._retry_own:
            self.reread()
        self._retry_own = False

    def on_frame(self, frame: dict) -> str:
        before = self.map.position
        became = self.map.apply(frame)
        self._heard = self._heard or frame.get("show") == self.show
        if became in ("gap", "needs_snapshot"):
            self._want_watch = self.connected
        elif became == "applied":
            # Holds may have been lost with an old generation; and the push that tells of an end may be lost.
            if (before and before[0] != self.map.position[0]) or self.own.contradicts(self.map):
                self.reread()
        return became

    def on_sent(self, message: dict) -> None:
        if message.get("show") != self.show:
            return
        if message["t"] == "hold":
            self._asked[message["id"]] = message.get("seats", [])
        elif message["t"] == "own_holds":
            self.own.on_asked(message["id"])

    def on_message(self, message: dict) -> None:
        """Anything that is no seat frame; what does not concern this show changes nothing."""
        kind, number = message.get("t"), message.get("id")
        if kind == "reply":
            self._asked.pop(number, None)
            self._on_reply(number, message["ok"])
        elif kind == "error" and number is not None:
            self._asked.pop(number, None)
            self._retry_own |= self.own.on_failed(number)
        elif kind == "push":
            self._on_push(message["push"])
        elif kind == "stale" and message["show"] == self.show:
            if self.stale and not message["stale"]:
                self.reread()
            self.stale = message["stale"]

    def _on_reply(self, number: int, ok: dict) -> None:
        if "hold" in ok:
            self.own.on_hold(ok["hold"])
        elif "released" in ok:
            self.own.on_ended(ok["released"]["hold"], ok["released"]["position"])
        elif "booking" in ok:
            self.own.on_booking(ok["booking"])
        elif "bookings" in ok:
            for booking in ok["bookings"]["bookings"]:
                self.own.on_booking(booking)
        elif "own_holds" in ok and ok["own_holds"]["show"] == self.show:
            self._want_bookings = self.own.on_own_holds(number, ok["own_holds"]["holds"], ok["own_holds"]["pending"])

    def _on_push(self, push: dict) -> None:
        if push["p"] == "hold":
            self.own.on_hold(push["hold"])
        elif push["p"] == "hold_ended" and push["show"] == self.show:
            self.own.on_ended(push["hold"], push["position"])
        elif push["p"] == "booking":
            self.own.on_booking(push["booking"])
        elif push["p"] == "reread":
            self.reread()
