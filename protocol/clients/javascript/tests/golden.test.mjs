// Reads and writes every golden vector with code made from PROTOCOL.md alone: an independent second opinion on the
// bytes, beside the Rust types and the Python reader.

import assert from "node:assert/strict";
import { test } from "node:test";

import { golden, goldenBytes, goldenNames } from "./golden.mjs";
import { readFeed, readSeatFrame, takeCoreFrame, writeCoreFrame, writeFeed, writeSeatFrame } from "./reader/binary.mjs";
import * as messages from "./reader/messages.mjs";
import { read, write } from "./reader/strict.mjs";

/** The shape of a MessagePack body, by the name of its vector: `client.hold_best`, `reply.own_holds`. */
function shape(kind, rest) {
  if (kind !== "command" && kind !== "reply") return messages[kind];
  const name = Object.keys(messages.operations).find((operation) => rest.startsWith(operation));
  assert.ok(name, `${kind}.${rest} is a new operation: add it to reader/messages.mjs`);
  return messages.operations[name][kind === "command" ? 1 : 2];
}

/** The shape of a frame's body, by the frame's kind. */
function bodyShape(kind) {
  if (kind === 0xff) return messages.error;
  const [, command, reply] = Object.values(messages.operations).find(([number]) => number === (kind & 0x7f));
  return kind & 0x80 ? reply : command;
}

function decoded(name, bytes) {
  const [kind, rest] = name.split(".");
  if (kind === "seat_frame") return readSeatFrame(bytes);
  if (kind === "feed") return readFeed(bytes);
  if (kind === "frame") {
    const { frame, rest: after } = takeCoreFrame(bytes);
    assert.equal(after.length, 0);
    return { ...frame, body: bodyShape(frame.kind).read(read(frame.body)) };
  }
  return shape(kind, rest).read(read(bytes));
}

function encoded(name, json) {
  const [kind, rest] = name.split(".");
  if (kind === "seat_frame") return writeSeatFrame(json);
  if (kind === "feed") return writeFeed(json);
  if (kind === "frame") return writeCoreFrame({ ...json, body: write(bodyShape(json.kind).write(json.body)) });
  return write(shape(kind, rest).write(json));
}

const hex = (bytes) => Buffer.from(bytes).toString("hex");

test("every vector means what its JSON says, and is written with the same bytes", () => {
  const names = goldenNames();
  assert.ok(names.length >= 70, `${names.length} vectors`);
  for (const name of names) {
    assert.deepEqual(decoded(name, goldenBytes(name)), golden(name), `${name}: read`);
    assert.equal(hex(encoded(name, golden(name))), hex(goldenBytes(name)), `${name}: written`);
  }
});

test("other bytes of the same meaning are read as the same message", () => {
  const names = goldenNames("also/");
  assert.ok(names.length >= 7);
  for (const name of names) {
    const [kind, message] = name.slice(5).split(".");
    const meant = golden(`${kind}.${message}`);
    // A reason that is not known says nothing, and hurts nothing.
    const wanted = kind === "feed" ? { ...meant, reason: null } : meant;
    assert.deepEqual(decoded(name.slice(5), goldenBytes(name)), wanted, name);
  }
});

test("bytes that are no message are refused", () => {
  const names = goldenNames("refused/");
  assert.ok(names.length >= 30);
  for (const name of names) assert.throws(() => decoded(name.slice(8), goldenBytes(name)), Error, name);
});

test("a frame that comes in pieces is the same frame", () => {
  const bytes = goldenBytes("frame.hold_seats");
  for (let cut = 0; cut < bytes.length; cut += 1) assert.equal(takeCoreFrame(bytes.subarray(0, cut)), null);
  const widest = writeCoreFrame({ version: 1, kind: 1, request_id: 2n ** 64n - 1n, deadline_ms: 0, trace: 7, body: [] });
  assert.equal(takeCoreFrame(Uint8Array.from(widest)).frame.request_id, 2n ** 64n - 1n);
  const { rest } = takeCoreFrame(Uint8Array.from([...bytes, 1, 2]));
  assert.deepEqual([...rest], [1, 2]);
});
