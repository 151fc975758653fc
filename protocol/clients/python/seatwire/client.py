"""A client of the gateway over one WebSocket after another.

    async with Client("ws://127.0.0.1:7000/ws", token) as client:
        viewer = await client.watch(7)                  # a ShowViewer: viewer.map, viewer.own, viewer.seat(4)
        hold = await client.hold(7, [4, 5])             # raises CommandError: TAKEN, ...
        booking = await client.book(7, hold["hold"], "ana@example.com")     # pay at booking["checkout_url"]
        await client.until(lambda: viewer.own.bookings[booking["booking"]]["state"] != "pending")

A command without an answer, or refused for a passing reason, is sent again with its idempotency key until its deadline:
it takes effect once at most. Durations are counted from the arrival of what tells them; no clock has to be right.
"""

import asyncio
import itertools
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

from .connection import Connection
from .viewer import ShowViewer

DEADLINE_S = 20.0
RETRY_S = 0.5
RETRYABLE = {"NOT_READY", "IN_PROGRESS", "RATE_LIMITED", "OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
SEAT_FRAMES = ("snapshot", "delta", "beat")


class CommandError(Exception):
    """A refusal or failure: `body` is the gateway's error with code, message, seats, limit and so on."""

    def __init__(self, body: dict):
        super().__init__(f"{body['code']}: {body.get('message', '')}")
        self.code, self.body = body["code"], body


def new_key() -> str:
    """An idempotency key: one for each intention, kept through retries."""
    return secrets.token_hex(16)


def _wait_s(error: dict) -> float:
    """How long to wait before asking again: spread, so that a crowd comes one by one."""
    return error.get("retry_after_ms", RETRY_S * 1000) / 1000 * random.uniform(1, 1.5)


class Client:
    """`token(refused)` gives a token; `refused` is one that the gateway did not accept, or None."""

    def __init__(self, url: str, token: Callable[[str | None], Awaitable[str]]):
        self._connection = Connection(url, token, self._on_welcome, self._on_message, self._on_lost)
        self._numbers = itertools.count(1)
        self._viewers: dict[int, ShowViewer] = {}
        #: Shows of which a frame came since the connection began; until then a map may be an old one.
        self._answered: set[int] = set()
        #: Commands without an answer: number -> (message, future of the answer).
        self._waiting: dict[int, tuple[dict, asyncio.Future]] = {}
        self._watch_error: dict | None = None
        self._tasks: set[asyncio.Task] = set()
        self._listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task | None = None
        #: Errors that answer no command; replace it to hear of them.
        self.on_error: Callable[[dict], None] = lambda body: None
        #: Something of the customer's own changed (PROTOCOL.md 2.3); `viewer.own` has it already.
        self.on_push: Callable[[dict], None] = lambda push: None

    async def __aenter__(self) -> "Client":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_) -> None:
        await self._connection.close()
        ending = [self._task, *self._tasks]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    @property
    def connected(self) -> bool:
        return self._connection.welcomed

    def is_live(self, show: int) -> bool:
        """Whether the show's map is known to be the present state."""
        return self.connected and show in self._answered and self._viewers[show].live

    async def watch(self, show: int) -> ShowViewer:
        """Starts to watch a show; returns when its map is there."""
        if show not in self._viewers:
            self._watch_error = None
            self._viewers[show] = ShowViewer(show)
            if self.connected:
                await self._begin(self._viewers[show])
        await self.until(lambda: self.is_live(show) or self._watch_error)
        if not self.is_live(show):
            del self._viewers[show]
            raise CommandError(self._watch_error)
        return self._viewers[show]

    async def unwatch(self, show: int) -> None:
        if self._viewers.pop(show, None):
            await self._send({"t": "unwatch", "show": show})

    async def changes(self) -> AsyncIterator[None]:
        """Yields whenever something changed. Changes that come faster than they are looked at are one."""
        event = asyncio.Event()
        self._listeners.add(event)
        try:
            while True:
                yield
                self._check()
                await event.wait()
                event.clear()
        finally:
            self._listeners.discard(event)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for something to become true."""
        async for _ in self.changes():
            if condition():
                return

    async def hold(self, show: int, seats: list[int], key: str | None = None) -> dict:
        return (await self._command("hold", show=show, key=key or new_key(), seats=seats))["hold"]

    async def hold_best(self, show: int, count: int, tier: int | None = None, key: str | None = None) -> dict:
        best = {"count": count} | ({} if tier is None else {"tier": tier})
        return (await self._command("hold", show=show, key=key or new_key(), seats=[], best=best))["hold"]

    async def extend(self, show: int, hold: str, key: str | None = None) -> dict:
        return (await self._command("extend", show=show, hold=hold, key=key or new_key()))["hold"]

    async def release(self, show: int, hold: str) -> dict:
        return (await self._command("release", show=show, hold=hold))["released"]

    async def own_holds(self, show: int) -> dict:
        return (await self._command("own_holds", show=show))["own_holds"]

    async def book(self, show: int, hold: str, email: str, key: str | None = None) -> dict:
        return (await self._command("book", show=show, hold=hold, key=key or new_key(), email=email))["booking"]

    async def booking(self, booking: str) -> dict:
        return (await self._command("booking", booking=booking))["booking"]

    async def cancel(self, booking: str, key: str | None = None) -> dict:
        return (await self._command("cancel", booking=booking, key=key or new_key()))["booking"]

    async def bookings(self, before_ms: int | None = None) -> dict:
        older = {} if before_ms is None else {"before_ms": before_ms}
        return (await self._command("bookings", **older))["bookings"]

    async def _command(self, kind: str, **fields) -> dict:
        message = {"t": kind, "id": next(self._numbers), **fields}
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    answer = await self._ask_once(message)
                    if answer["t"] == "reply":
                        return answer["ok"]
                    error = answer["error"]
                    if error["code"] not in RETRYABLE:
                        raise CommandError(error)
                    await asyncio.sleep(_wait_s(error))
        except TimeoutError:
            body = {"code": "DEADLINE_EXCEEDED", "message": "no answer in time"}
            self._tell({"t": "error", "id": message["id"], "error": body})
            raise CommandError(body) from None

    async def _ask_once(self, message: dict) -> dict:
        """Sends a command, again after each new connection, and waits for its answer."""
        self._check()
        future = asyncio.get_running_loop().create_future()
        self._waiting[message["id"]] = (message, future)
        try:
            await self._send(message)
            return await future
        finally:
            self._waiting.pop(message["id"], None)

    def _check(self) -> None:
        """Raises what ended the client for good."""
        if self._task and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def _run(self) -> None:
        retry = asyncio.create_task(self._every_second())
        try:
            await self._connection.run()
        except Exception as error:
            for _, future in self._waiting.values():
                if not future.done():
                    future.set_exception(error)
            raise
        finally:
            retry.cancel()
            asyncio.get_running_loop().call_soon(self._changed)

    async def _every_second(self) -> None:
        while True:
            await asyncio.sleep(1)
            for viewer in list(self._viewers.values()):
                viewer.retry()
                await self._ask(viewer)

    async def _send(self, message: dict) -> None:
        if await self._connection.send(message):
            for viewer in self._viewers.values():
                viewer.on_sent(message)

    async def _on_welcome(self) -> None:
        for viewer in list(self._viewers.values()):
            await self._begin(viewer)
        for message, _ in list(self._waiting.values()):
            await self._send(message)
        self._changed()

    async def _begin(self, viewer: ShowViewer) -> None:
        viewer.on_connected()
        await self._ask(viewer)

    async def _ask(self, viewer: ShowViewer) -> None:
        """Sends what a viewer wants to know. No answer is waited for: what gets lost is asked for again."""
        for ask in viewer.take_asks():
            if ask["ask"] == "watch":
                await self._send_watch(viewer.show, viewer.map.position)
            elif ask["ask"] == "own_holds":
                await self._send({"t": "own_holds", "id": next(self._numbers), "show": viewer.show})
            else:
                await self._send({"t": "booking", "id": next(self._numbers), "booking": ask["booking"]})

    async def _send_watch(self, show: int, at: tuple[int, int] | None) -> None:
        pos = {"pos": {"g": at[0], "s": at[1]}} if at else {}
        await self._send({"t": "watch", "show": show, **pos})

    async def _on_message(self, message: dict) -> None:
        if message["t"] in SEAT_FRAMES:
            viewer = self._viewers.get(message["show"])
            if viewer:
                viewer.on_frame(message)
                self._answered.add(viewer.show)
        else:
            self._tell(message)
        _, future = self._waiting.get(message.get("id"), (None, None))
        if message["t"] in ("reply", "error") and future:
            if not future.done():
                future.set_result(message)
        elif message["t"] == "error" and "id" not in message:
            self._on_refused_watch(message["error"])
            self.on_error(message["error"])
        elif message["t"] == "push":
            self.on_push(message["push"])
        for viewer in list(self._viewers.values()):
            await self._ask(viewer)
        self._changed()

    def _on_refused_watch(self, error: dict) -> None:
        """A watch that is refused is answered by an error without a number: it is asked again, or has failed."""
        if error["code"] in RETRYABLE:
            task = asyncio.create_task(self._watch_again(_wait_s(error)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._watch_error = error

    async def _watch_again(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        for viewer in list(self._viewers.values()):
            if viewer.show not in self._answered:
                await self._send_watch(viewer.show, viewer.map.position)

    def _tell(self, message: dict) -> None:
        for viewer in self._viewers.values():
            viewer.on_message(message)

    def _on_lost(self) -> None:
        self._answered.clear()
        for viewer in self._viewers.values():
            viewer.on_disconnected()
        self._changed()

    def _changed(self) -> None:
        for event in self._listeners:
            event.set()
