"""Buys the best seats of a show: holds, books, tells where to pay, and waits for the result.

python examples/sell_seats.py http://127.0.0.1:7000 1 2 ana@example.com
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from gateway import guest_token, labels_of, web_socket_url  # noqa: E402

from seatwire import Client, CommandError, ShowViewer  # noqa: E402

LOOK_EVERY_S = 10


async def settled(client: Client, viewer: ShowViewer, id: str) -> dict:
    """The booking, once it does not wait for its payment any more. A push tells; in case it is lost, it is asked for."""
    while viewer.own.bookings[id]["state"] == "pending":
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await client.until(lambda: viewer.own.bookings[id]["state"] != "pending")
        except TimeoutError:
            await client.booking(id)
    return viewer.own.bookings[id]


async def main(gateway: str, show: int, count: int, email: str) -> bool:
    async with Client(web_socket_url(gateway), guest_token(gateway)) as client:
        # A watched show has its pushes kept in order: `viewer.own` is right whatever overtakes what.
        viewer = await client.watch(show)
        hold = await client.hold_best(show, count)
        labels = await labels_of(gateway, show)
        print(f"held {', '.join(labels[seat] for seat in hold['seats'])} for {hold['remaining_ms'] // 1000} s")
        booking = await client.book(show, hold["hold"], email)
        money = f"{booking['amount']} {booking['currency']} in minor units"
        print(f"booking {booking['booking']} of {', '.join(booking['labels'])}: {booking['state']}, {money}")
        print(f"pay at {booking['checkout_url']}", flush=True)
        booking = await settled(client, viewer, booking["booking"])
        print(f"{booking['state']}: {', '.join(booking['labels'])}")
        return booking["state"] == "confirmed"


if __name__ == "__main__":
    try:
        done = asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
    except CommandError as refused:
        seats = [f"{seat.get('label', seat['seat'])} {seat['reason']}" for seat in refused.body.get("seats", [])]
        sys.exit("; ".join([str(refused), *seats]))
    sys.exit(0 if done else 1)
