"""Watches a show in a terminal: one line for each state that the seat map gets into.

python examples/watch_show.py http://127.0.0.1:7000 1
"""

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from gateway import guest_token, web_socket_url  # noqa: E402

from seatwire import Client, ShowViewer  # noqa: E402


def line(client: Client, viewer: ShowViewer) -> str:
    live = client.is_live(viewer.show)
    state = "live" if live else f"not live ({'connected' if client.connected else 'reconnecting'})"
    counts = Counter(viewer.map.statuses)
    seats = ", ".join(f"{counts[status]} {status}" for status in ("available", "held", "booked", "blocked"))
    generation, sequence = viewer.map.position
    return f"{state} at {generation}/{sequence}, {viewer.map.sale}: {seats}"


async def main(gateway: str, show: int) -> None:
    async with Client(web_socket_url(gateway), guest_token(gateway)) as client:
        client.on_error = lambda body: print(f"{body['code']}: {body['message']}", file=sys.stderr)
        viewer = await client.watch(show)
        said = ""
        async for _ in client.changes():
            if said != (said := line(client, viewer)):
                print(said, flush=True)


if __name__ == "__main__":
    # A shell starts what runs in its background with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asyncio.run(main(sys.argv[1], int(sys.argv[2])))
    except KeyboardInterrupt:
        pass
