"""One WebSocket after another: connects with the token, notices silence, waits with jitter, connects again."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from . import wire

SUBPROTOCOL = "seatwire.v1.msgpack"
MESSAGE_MAX = 8 << 20
#: Close codes after which the same client may not return by itself: it would be refused again.
FINAL_CLOSE = {1000, 1002, 1003, 1007, 1008, 1009}
UNAUTHENTICATED_CLOSE, RESTART_CLOSE = 4401, 1012
#: Until the welcome tells the gateway's own.
BEAT_S = 25.0
FIRST_WAIT_S, WAIT_MAX_S = 0.3, 15.0


class Refused(Exception):
    """The gateway does not want this client; trying again would change nothing."""


class Connection:
    def __init__(
        self,
        url: str,
        token: Callable[[str | None], Awaitable[str]],
        on_welcome: Callable[[], Awaitable[None]],
        on_message: Callable[[dict], Awaitable[None]],
        on_lost: Callable[[], None],
    ):
        self._url, self._token = url, token
        self._on_welcome, self._on_message, self._on_lost = on_welcome, on_message, on_lost
        self._socket: ClientConnection | None = None
        self._last_token: str | None = None
        self._refused_token: str | None = None
        self._attempt = 0
        self._at_least_s = 0.0
        #: The gateway has accepted the token of this connection.
        self.welcomed = False

    async def run(self) -> None:
        """Stays connected until cancelled, or until the gateway refuses for good."""
        while True:
            try:
                await self._one()
            except ConnectionClosed as closed:
                self._judge(closed)
            except InvalidStatus as answer:
                if answer.response.status_code == 401:
                    self._refused_token = self._last_token
            except (OSError, TimeoutError, InvalidHandshake):
                pass
            finally:
                self._socket, self.welcomed = None, False
                self._on_lost()
            # Full jitter, so that thousands that lost the same gateway do not return in one moment.
            ceiling = min(WAIT_MAX_S, FIRST_WAIT_S * 2 ** min(self._attempt, 20))
            self._attempt += 1
            await asyncio.sleep(self._at_least_s + FIRST_WAIT_S / 2 + random.random() * ceiling)
            self._at_least_s = 0.0

    async def send(self, message: dict) -> bool:
        """Writes a message if the gateway has accepted this client; says whether it did."""
        if not self.welcomed:
            return False
        try:
            await self._socket.send(wire.write(message))
        except ConnectionClosed:
            return False
        return True

    async def close(self) -> None:
        """Says goodbye; `run` ends by that, or is cancelled."""
        if self.welcomed:
            await self._socket.close()

    async def _one(self) -> None:
        """One connection, from the handshake to its end, which is always an exception."""
        self._last_token = await self._token(self._refused_token)
        self._refused_token = None
        headers = {"Authorization": f"Bearer {self._last_token}"}
        options = {"compression": None, "max_size": MESSAGE_MAX, "ping_interval": None, "close_timeout": 2}
        opening = connect(self._url, subprotocols=[SUBPROTOCOL], additional_headers=headers, **options)
        async with opening as self._socket:
            beat_s = BEAT_S
            while True:
                # Two beats of silence: the connection is dead, whatever the operating system thinks.
                data = await asyncio.wait_for(self._socket.recv(decode=False), 2 * beat_s)
                try:
                    message = wire.read(data)
                except wire.WireError:
                    # A frame of a later version: what it told is missing now, and the next beat shows that.
                    continue
                if message.get("t") == "welcome":
                    beat_s = message["beat_ms"] / 1000
                    self.welcomed, self._attempt = True, 0
                    await self._on_welcome()
                else:
                    await self._on_message(message)

    def _judge(self, closed: ConnectionClosed) -> None:
        code = closed.rcvd.code if closed.rcvd else 1006
        if code in FINAL_CLOSE:
            raise Refused(f"closed for good: {code}") from closed
        if code == UNAUTHENTICATED_CLOSE:
            self._refused_token = self._last_token
        if code == RESTART_CLOSE and closed.rcvd.reason.isdigit():
            self._at_least_s = int(closed.rcvd.reason) / 1000
