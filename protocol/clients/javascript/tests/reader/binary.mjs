// What is not MessagePack: packed seat frames (PROTOCOL.md 2.1), feed messages (4), frames of the core's port (3).

const LETTERS = "ahbx";
const SALES = ["before", "open", "closed"];
const REASONS = [null, "held", "released", "expired", "ledger", "sale", "operator"];
const SEATS_MAX = 65536;

/** Reads from the front; throws when the bytes end too soon. */
class Cursor {
  constructor(bytes) {
    this.bytes = Buffer.from(bytes);
    this.at = 0;
  }

  take(count) {
    if (this.at + count > this.bytes.length) throw new Error("cut short");
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  fixed(size) {
    const taken = this.take(size);
    return size === 8 ? whole(taken.readBigUInt64BE()) : taken.readUIntBE(0, size);
  }

  /** 64 bits that only have to come back as they are. */
  opaque() {
    const value = this.take(8).readBigUInt64BE();
    return value < 2n ** 53n ? Number(value) : value;
  }

  varint() {
    let value = 0n;
    for (let i = 0; i < 8; i += 1) {
      const [byte] = this.take(1);
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte >= 0x80) continue;
      if (byte === 0 && i > 0) throw new Error("an integer that is longer than needed");
      return whole(value);
    }
    throw new Error("an integer of more than eight bytes");
  }

  sale() {
    return SALES[this.fixed(1)] ?? refuse("no such sale state");
  }

  end(value) {
    return this.at === this.bytes.length ? value : refuse("bytes after the message");
  }
}

function refuse(why) {
  throw new Error(why);
}

function whole(value) {
  return value < 2n ** 53n ? Number(value) : refuse("2^53 or more");
}

function varint(value) {
  const out = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 0x80n) return [...out, Number(rest)];
    out.push(Number(rest & 0x7fn) | 0x80);
  }
}

function fixed(value, size) {
  const out = Buffer.alloc(size);
  if (size === 8) out.writeBigUInt64BE(BigInt(value));
  else out.writeUIntBE(value, 0, size);
  return [...out];
}

export function readSeatFrame(bytes) {
  const from = new Cursor(bytes);
  const kind = from.fixed(1);
  const show = from.varint();
  if (show === 0) refuse("shows begin with 1");
  const g = from.varint();
  if (kind === 1) {
    const head = { t: "snapshot", show, g, s: from.varint(), sale: from.sale(), opens_in_ms: from.varint(), layout: from.varint(), viewers: from.varint() };
    const count = from.varint();
    if (count > SEATS_MAX) refuse("too many seats");
    const packed = from.take(Math.ceil(count / 4));
    const letters = Array.from({ length: packed.length * 4 }, (_, seat) => LETTERS[(packed[seat >> 2] >> (6 - 2 * (seat & 3))) & 3]);
    if (letters.slice(count).some((letter) => letter !== LETTERS[0])) refuse("bits behind the last seat");
    return from.end({ ...head, seats: letters.slice(0, count).join("") });
  }
  if (kind === 2) {
    const head = { t: "delta", show, g, from: from.varint(), to: from.varint(), sale: from.sale(), viewers: from.varint() };
    if (head.to <= head.from) refuse("to is not above from");
    const count = from.varint();
    const seats = [];
    let next = 0;
    for (let i = 0; i < count; i += 1) {
      const entry = from.varint();
      const seat = next + Math.floor(entry / 4);
      if (seat >= SEATS_MAX) refuse("no such seat");
      seats.push([seat, LETTERS[entry % 4]]);
      next = seat + 1;
    }
    return from.end({ ...head, seats });
  }
  if (kind === 3) {
    return from.end({ t: "beat", show, g, s: from.varint(), sale: from.sale(), viewers: from.varint(), server_time_ms: from.varint() });
  }
  return refuse("no such kind");
}

export function writeSeatFrame(f) {
  const sale = SALES.indexOf(f.sale);
  if (f.t === "snapshot") {
    const packed = new Array(Math.ceil(f.seats.length / 4)).fill(0);
    [...f.seats].forEach((letter, seat) => (packed[seat >> 2] |= LETTERS.indexOf(letter) << (6 - 2 * (seat & 3))));
    return [1, ...[f.show, f.g, f.s].flatMap(varint), sale, ...[f.opens_in_ms, f.layout, f.viewers, f.seats.length].flatMap(varint), ...packed];
  }
  if (f.t === "beat") return [3, ...[f.show, f.g, f.s].flatMap(varint), sale, ...[f.viewers, f.server_time_ms].flatMap(varint)];
  let next = 0;
  const entries = f.seats.map(([seat, letter]) => {
    const gap = seat - next;
    next = seat + 1;
    return gap * 4 + LETTERS.indexOf(letter);
  });
  return [2, ...[f.show, f.g, f.from, f.to].flatMap(varint), sale, ...[f.viewers, f.seats.length, ...entries].flatMap(varint)];
}

export function readFeed(bytes) {
  const from = new Cursor(bytes);
  if (from.fixed(1) !== 1) refuse("another version");
  const kind = from.fixed(1);
  const [g, s, sale, reason, n] = [from.fixed(8), from.fixed(8), from.sale(), from.fixed(1), from.fixed(2)];
  const seats = Array.from({ length: n }, () => from.fixed(4)).map((entry) => [entry >>> 2, LETTERS[entry & 3]]);
  const holds = Array.from({ length: from.fixed(1) }, () => from.take(16).toString("hex"));
  if (kind === 1) return from.end({ kind: "batch", g, s, sale, reason: REASONS[reason] ?? null, seats, holds });
  return kind === 2 ? from.end({ kind: "reset", g }) : refuse("no such kind");
}

export function writeFeed({ kind, g, s = 0, sale = "before", reason = null, seats = [], holds = [] }) {
  const entries = seats.flatMap(([seat, letter]) => fixed(seat * 4 + LETTERS.indexOf(letter), 4));
  return [
    1, kind === "batch" ? 1 : 2, ...fixed(g, 8), ...fixed(s, 8), SALES.indexOf(sale), REASONS.indexOf(reason),
    ...fixed(seats.length, 2), ...entries, holds.length, ...holds.flatMap((hold) => [...Buffer.from(hold, "hex")]),
  ];
}

/** One frame off the front of a stream: the frame and the bytes after it, or null when more bytes are needed. */
export function takeCoreFrame(bytes) {
  if (bytes.length < 4) return null;
  const from = new Cursor(bytes);
  const length = from.fixed(4);
  if (length < 24 || length > 4 << 20) refuse("an impossible length");
  if (bytes.length < 4 + length) return null;
  const [version, kind] = [from.fixed(1), from.fixed(1), from.fixed(2)];
  const [request_id, deadline_ms, trace] = [from.opaque(), from.fixed(4), from.opaque()];
  const body = Uint8Array.from(from.take(length - 24));
  return { frame: { version, kind, request_id, deadline_ms, trace, body }, rest: bytes.subarray(from.at) };
}

export function writeCoreFrame({ version, kind, request_id, deadline_ms, trace, body }) {
  const head = [version, kind, 0, 0, ...fixed(request_id, 8), ...fixed(deadline_ms, 4), ...fixed(trace, 8)];
  return [...fixed(head.length + body.length, 4), ...head, ...body];
}
