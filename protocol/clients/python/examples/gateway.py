"""What the examples ask of a gateway over plain HTTP."""

import asyncio
import json
import urllib.request


def _json(url: str, method: str) -> dict:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
        return json.load(answer)


def guest_token(gateway: str):
    """How `Client` gets its token: a guest's, kept until it is refused."""
    kept = None

    async def token(refused: str | None) -> str:
        nonlocal kept
        if kept is None or kept == refused:
            kept = (await asyncio.to_thread(_json, f"{gateway}/api/guest", "POST"))["token"]
        return kept

    return token


def web_socket_url(gateway: str) -> str:
    return gateway.replace("http", "ws", 1) + "/ws"


async def labels_of(gateway: str, show: int) -> dict[int, str]:
    """Labels of seats, from the layout."""
    layout = await asyncio.to_thread(_json, f"{gateway}/api/shows/{show}/layout", "GET")
    rows = [row for section in layout["sections"] for row in section["rows"]]
    return {row["first"] + k: f"{row['prefix']}{number}" for row in rows for k, number in enumerate(row["numbers"])}
