"""What the customer has at one show, right although replies and pushes may overtake each other (PROTOCOL.md 2.3).

A hold taken at position p is ended only by an end at q >= p, and such an end may come before the reply that grants the
hold. Bookings carry a version: the highest wins.
"""

ENDS_MAX = 64
ACTIVE = ("pending", "confirmed")


def _at(position: dict) -> tuple[int, int]:
    return position["g"], position["s"]


def _overlap(one: dict, other: dict) -> bool:
    return not set(one["seats"]).isdisjoint(other["seats"])


class OwnThings:
    def __init__(self, show: int):
        self.show = show
        #: Live holds by id.
        self.holds: dict[str, dict] = {}
        #: Bookings heard of by id, in any state; the full list is a command.
        self.bookings: dict[str, dict] = {}
        #: The last position at which a hold was told to be over; the oldest are forgotten.
        self._ends: dict[str, tuple[int, int]] = {}
        #: For each own_holds command in flight, the holds known when it was sent: only they can be missing in its answer.
        self._asked: dict[int, set[str]] = {}

    def on_hold(self, hold: dict) -> None:
        if hold["show"] != self.show:
            return
        if hold["phase"] == "ended":
            self.on_ended(hold["hold"], hold["position"])
            return
        at = _at(hold["position"])
        over = self._ends.get(hold["hold"], (-1, 0)) >= at
        # An older look at a hold that has become a booking.
        booked = hold.get("booking") in self.bookings
        known = self.holds.get(hold["hold"])
        if not over and not booked and (known is None or _at(known["position"]) <= at):
            self.holds[hold["hold"]] = hold

    def on_ended(self, hold: str, position: dict) -> None:
        end = max(_at(position), self._ends.pop(hold, (-1, 0)))
        self._ends[hold] = end
        if len(self._ends) > ENDS_MAX:
            del self._ends[next(iter(self._ends))]
        known = self.holds.get(hold)
        if known and end >= _at(known["position"]):
            del self.holds[hold]

    def on_booking(self, booking: dict) -> None:
        known = self.bookings.get(booking["booking"])
        if booking["show"] != self.show or (known and known["version"] > booking["version"]):
            return
        # The booking stands for the hold that it was made from, whichever message comes first.
        if booking["state"] in ACTIVE:
            self.holds = {id: hold for id, hold in self.holds.items() if not _overlap(hold, booking)}
        self.bookings[booking["booking"]] = booking

    def on_asked(self, number: int) -> None:
        self._asked[number] = set(self.holds)

    def on_failed(self, number: int) -> bool:
        """Whether it was an own_holds command that failed."""
        return self._asked.pop(number, None) is not None

    def on_disconnected(self) -> None:
        self._asked.clear()

    def on_own_holds(self, number: int, holds: list[dict], pending: list[dict]) -> list[str]:
        """The answer to own_holds; returns the bookings of which somebody has to ask what became of them."""
        listed = {hold["hold"] for hold in holds}
        for lost in self._asked.pop(number, set()) - listed:
            self.holds.pop(lost, None)
        for hold in holds:
            self.on_hold(hold)
        for booking in pending:
            self.on_booking(booking)
        told = {booking["booking"] for booking in pending}
        return [booking["booking"] for booking in self.pending if booking["booking"] not in told]

    def contradicts(self, seat_map) -> bool:
        """Whether the map shows that a live hold must be over, and nobody was asked yet."""
        if self._asked:
            return False
        return any(
            seat_map.position >= _at(hold["position"])
            and any(seat_map.statuses[seat : seat + 1] == ["available"] for seat in hold["seats"])
            for hold in self.holds.values()
        )

    @property
    def pending(self) -> list[dict]:
        """Bookings that wait for payment."""
        return [booking for booking in self.bookings.values() if booking["state"] == "pending"]

    def has(self, seat: int) -> bool:
        """Whether a live hold or a pending booking has the seat."""
        return any(seat in own["seats"] for own in [*self.holds.values(), *self.pending])
