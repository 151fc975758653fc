// One MessagePack message, as strict as PROTOCOL.md section 1 wants it. The decoder is @msgpack/msgpack; what it lets
// through (a key twice, floats that happen to be whole, depth, keys that are no text) is found by walking the bytes.

import { decode, encode } from "@msgpack/msgpack";

const NESTING_MAX = 16;
const ITEMS_MAX = 65536;
const BYTES_MAX = 4 << 20;
const LIMITS = {
  maxStrLength: BYTES_MAX,
  maxBinLength: BYTES_MAX,
  maxArrayLength: ITEMS_MAX,
  maxMapLength: ITEMS_MAX,
  maxExtLength: 0,
};

export const write = encode;

export function read(bytes) {
  const end = walk(bytes, 0, 1);
  if (end !== bytes.length) throw new Error("bytes after the message");
  return decode(bytes, LIMITS);
}

/** Checks the value that begins at `at`; answers where it ends. */
function walk(bytes, at, depth) {
  if (at >= bytes.length) throw new Error("cut short");
  if (depth > NESTING_MAX) throw new Error("nested too deep");
  const byte = bytes[at];
  const length = (size) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUIntBE(at + 1, size);
  if (byte <= 0x7f || byte === 0xc0 || byte === 0xc2 || byte === 0xc3 || byte >= 0xe0) return at + 1;
  if (byte <= 0x8f) return walkMap(bytes, at + 1, byte & 15, depth);
  if (byte <= 0x9f) return walkList(bytes, at + 1, byte & 15, depth);
  if (byte <= 0xbf) return at + 1 + (byte & 31);
  if (byte === 0xc4 || byte === 0xd9) return at + 2 + length(1);
  if (byte === 0xc5 || byte === 0xda) return at + 3 + length(2);
  if (byte === 0xc6 || byte === 0xdb) return at + 5 + length(4);
  if (byte >= 0xcc && byte <= 0xcf) return at + 1 + 2 ** (byte - 0xcc);
  if (byte >= 0xd0 && byte <= 0xd3) return at + 1 + 2 ** (byte - 0xd0);
  if (byte === 0xdc) return walkList(bytes, at + 3, length(2), depth);
  if (byte === 0xdd) return walkList(bytes, at + 5, length(4), depth);
  if (byte === 0xde) return walkMap(bytes, at + 3, length(2), depth);
  if (byte === 0xdf) return walkMap(bytes, at + 5, length(4), depth);
  throw new Error(`0x${byte.toString(16)} is a float, an extension or nothing`);
}

function walkList(bytes, at, count, depth) {
  for (let i = 0; i < count; i += 1) at = walk(bytes, at, depth + 1);
  return at;
}

function walkMap(bytes, at, count, depth) {
  const keys = new Set();
  for (let i = 0; i < count; i += 1) {
    const end = walk(bytes, at, depth + 1);
    const key = decode(bytes.subarray(at, end));
    if (typeof key !== "string" || keys.has(key)) throw new Error(`a key twice, or no text: ${key}`);
    keys.add(key);
    at = walk(bytes, end, depth + 1);
  }
  return at;
}
