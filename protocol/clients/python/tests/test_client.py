"""The client against a gateway that the test plays, on a real socket: what it does when connections break."""

import asyncio
import json
import unittest

import msgpack
from seatwire import Client, CommandError, Refused
from test_golden import GOLDEN, golden, golden_bytes
from websockets.asyncio.server import serve

SNAPSHOT = golden_bytes("seat_frame.snapshot")
BEAT = golden_bytes("seat_frame.beat")
HOLD = golden_bytes("server.reply_hold")


class Gateway:
    """Welcomes each connection, then lets the test's function speak; `sent` has what the client said."""

    def __init__(self, *scripts):
        self.scripts, self.sent, self.tokens = list(scripts), [], []

    async def __aenter__(self):
        self.server = await serve(self.connected, "127.0.0.1", 0, subprotocols=["seatwire.v1.msgpack"], compression=None)
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/ws"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def connected(self, socket):
        self.tokens.append(socket.request.headers["Authorization"])
        await socket.send(golden_bytes("server.welcome"))
        await self.scripts.pop(0)(self, socket)

    async def hears(self, socket, kind):
        """The next message of the kind."""
        while True:
            message = msgpack.unpackb(await socket.recv())
            self.sent.append(message)
            if message["t"] == kind:
                return message


def answer(data, number):
    return msgpack.packb(msgpack.unpackb(data) | {"id": number})


async def token(_refused):
    return "token-1"


async def stay(gateway, socket):
    await socket.wait_closed()


class Breaks(unittest.IsolatedAsyncioTestCase):
    async def test_after_a_break_it_resumes_and_repeats_with_the_same_key(self):
        async def first(gateway, socket):
            await gateway.hears(socket, "watch")
            await socket.send(SNAPSHOT)
            await gateway.hears(socket, "hold")
            socket.transport.abort()

        async def second(gateway, socket):
            watch = await gateway.hears(socket, "watch")
            self.assertEqual(watch["pos"], {"g": 3, "s": 41})
            self.assertFalse(client.is_live(7), "an old map is not live before the gateway says so")
            hold = await gateway.hears(socket, "hold")
            await socket.send(answer(HOLD, hold["id"]))
            await stay(gateway, socket)

        async with Gateway(first, second) as gateway, Client(gateway.url, token) as client:
            viewer = await client.watch(7)
            hold = await client.hold(7, [0, 1])
            self.assertEqual(hold["hold"], golden("server.reply_hold")["ok"]["hold"]["hold"])
            self.assertEqual(list(viewer.own.holds), [hold["hold"]])
            asked = [message for message in gateway.sent if message["t"] == "hold"]
            self.assertEqual(len(asked), 2)
            self.assertEqual(asked[0], asked[1])

    async def test_a_passing_refusal_is_tried_again_and_a_real_one_is_told(self):
        async def script(gateway, socket):
            first = await gateway.hears(socket, "hold")
            busy = {"code": "NOT_READY", "message": "loading", "retry_after_ms": 5}
            await socket.send(msgpack.packb({"t": "error", "id": first["id"], "error": busy}))
            again = await gateway.hears(socket, "hold")
            self.assertEqual(again, first)
            await socket.send(answer(golden_bytes("server.error_taken"), again["id"]))
            await stay(gateway, socket)

        async with Gateway(script) as gateway, Client(gateway.url, token) as client:
            with self.assertRaises(CommandError) as caught:
                await client.hold(7, [4, 5])
            self.assertEqual(caught.exception.body, golden("server.error_taken")["error"])

    async def test_a_refused_token_is_replaced_and_a_final_close_ends_the_client(self):
        refused = []

        async def tokens(old):
            refused.append(old)
            return f"token-{len(refused)}"

        async def unauthenticated(gateway, socket):
            await socket.close(4401)

        async def enough(gateway, socket):
            await gateway.hears(socket, "hold")
            await socket.close(1008)

        async with Gateway(unauthenticated, enough) as gateway, Client(gateway.url, tokens) as client:
            with self.assertRaises(Refused):
                await client.hold(7, [4, 5])
            self.assertEqual(refused, [None, "token-1"])
            self.assertEqual(gateway.tokens, ["Bearer token-1", "Bearer token-2"])
            with self.assertRaises(Refused):
                await client.hold(7, [4, 5])

    async def test_a_watch_that_is_refused_is_asked_again_or_told(self):
        async def script(gateway, socket):
            await gateway.hears(socket, "watch")
            busy = {"code": "OVERLOADED", "message": "later", "retry_after_ms": 5}
            await socket.send(msgpack.packb({"t": "error", "error": busy}))
            await gateway.hears(socket, "watch")
            missing = {"code": "NO_SUCH_SHOW", "message": "there is no show 99", "field": "show"}
            await socket.send(msgpack.packb({"t": "error", "error": missing}))
            await stay(gateway, socket)

        async with Gateway(script) as gateway, Client(gateway.url, token) as client:
            with self.assertRaises(CommandError) as caught:
                await client.watch(99)
            self.assertEqual(caught.exception.code, "NO_SUCH_SHOW")

    async def test_every_golden_message_of_a_client_is_what_it_sends(self):
        calls = {
            "hold": lambda c, m: c.hold(m["show"], m["seats"], m["key"]),
            "hold_best": lambda c, m: c.hold_best(m["show"], m["best"]["count"], m["best"]["tier"], m["key"]),
            "extend": lambda c, m: c.extend(m["show"], m["hold"], m["key"]),
            "release": lambda c, m: c.release(m["show"], m["hold"]),
            "own_holds": lambda c, m: c.own_holds(m["show"]),
            "book": lambda c, m: c.book(m["show"], m["hold"], m["email"], m["key"]),
            "booking": lambda c, m: c.booking(m["booking"]),
            "cancel": lambda c, m: c.cancel(m["booking"], m["key"]),
            "bookings": lambda c, m: c.bookings(),
            "bookings_page": lambda c, m: c.bookings(m["before_ms"]),
        }

        async def script(gateway, socket):
            async for data in socket:
                message = msgpack.unpackb(data)
                gateway.sent.append(message)
                await socket.send(answer(golden_bytes("server.error_internal"), message["id"]))

        known = {file.name.split(".")[1] for file in GOLDEN.glob("client.*.json")}
        self.assertEqual(known - calls.keys(), {"auth", "watch", "watch_resume", "unwatch", "hide"})
        async with Gateway(script) as gateway, Client(gateway.url, token) as client:
            for name, call in calls.items():
                meant = golden(f"client.{name}")
                with self.assertRaises(CommandError):
                    await call(client, meant)
                self.assertEqual(gateway.sent[-1] | {"id": 0}, meant | {"id": 0}, json.dumps(meant))


if __name__ == "__main__":
    unittest.main()
