// What `client.js` offers. Fields of messages are named as on the wire; see PROTOCOL.md.

export type ShowId = number;
/** Index of a seat; its label is in the layout. */
export type Seat = number;
/** 32 lower-case hex digits; proof of a hold: keep it secret. */
export type HoldId = string;
/** 32 lower-case hex digits. */
export type BookingId = string;

export interface Position {
  g: number;
  s: number;
}

export interface Hold {
  hold: HoldId;
  show: ShowId;
  seats: Seat[];
  phase: "browse" | "paying" | "ended" | (string & {});
  /** From the arrival of the message. */
  remaining_ms: number;
  extensions_left: number;
  position: Position;
  booking?: BookingId;
}

export interface Booking {
  booking: BookingId;
  show: ShowId;
  seats: Seat[];
  labels: string[];
  state: "pending" | "confirmed" | "expired" | "cancelled" | (string & {});
  version: number;
  /** Minor units of the currency. */
  amount: number;
  currency: string;
  remaining_ms: number;
  order?: string;
  checkout_url?: string;
  refunds?: { state: string; amount: number }[];
  created_at_ms: number;
}

/** A refusal or failure as the gateway tells it. */
export interface ErrorBody {
  code: string;
  message: string;
  field?: string;
  seats?: { seat: Seat; reason: string; label?: string }[];
  retry_after_ms?: number;
  opens_in_ms?: number;
  limit?: number;
  trace_id?: string;
}

export type Push =
  | { p: "hold"; hold: Hold }
  | { p: "hold_ended"; show: ShowId; hold: HoldId; seats: Seat[]; reason: string; position: Position }
  | { p: "booking"; booking: Booking }
  | { p: "reread" };

/** What changed of the customer's own. */
export type Change =
  | { kind: "hold"; hold: Hold }
  | { kind: "hold_ended"; hold: Hold; reason: string }
  | { kind: "booking"; booking: Booking; before: string | null };

export interface SeatMap {
  readonly show: ShowId;
  /** g is 0 before the first snapshot. */
  readonly position: Position;
  readonly sale: "before" | "open" | "closed" | null;
  /** From the arrival of the last snapshot. */
  readonly opensInMs: number;
  readonly layoutVersion: number;
  /** Approximate; 0 is unknown. */
  readonly viewers: number;
  /** One code a seat: 0 available, 1 held, 2 booked, 3 blocked. */
  readonly statuses: Uint8Array;
  readonly loaded: boolean;
  readonly followed: boolean;
}

export interface OwnThings {
  readonly holds: ReadonlyMap<HoldId, Hold>;
  readonly bookings: ReadonlyMap<BookingId, Booking>;
  readonly pending: Booking[];
  /** Whether a live hold or a pending booking has the seat. */
  has(seat: Seat): boolean;
  /** Every own seat: held, waiting for payment, or booked as far as was heard. */
  seats(): Set<Seat>;
  /** A command's answer said GONE or NOT_OWNER: the hold is over. */
  onGone(hold: HoldId): Change | null;
}

export type FrameResult = {
  kind: "applied" | "ignored" | "gap" | "needs_snapshot";
  /** The whole map was replaced. */
  whole: boolean;
  /** The sale state changed. */
  sale: boolean;
  newGeneration: boolean;
};

export type Ask = { ask: "watch"; pos: Position | null } | { ask: "own_holds" } | { ask: "booking"; booking: BookingId };

/** The state machine of one show, without a socket: `Client` drives it, and so may anybody with a socket of their own. */
export class ShowViewer {
  constructor(show: ShowId);
  readonly show: ShowId;
  readonly map: SeatMap;
  readonly own: OwnThings;
  readonly live: boolean;
  readonly stale: boolean;
  seat(seat: Seat): "own" | "asked" | "available" | "held" | "booked" | "blocked" | null;
  onConnected(): void;
  onDisconnected(): void;
  takeAsks(): Ask[];
  reread(): void;
  retry(): void;
  onFrame(frame: object): FrameResult;
  onSent(message: object): void;
  onMessage(message: object): Change[];
}

export class CommandError extends Error {
  constructor(body: ErrorBody);
  readonly code: string;
  readonly body: ErrorBody;
}

export interface Events {
  state: { state: ConnectionState; retryInMs: number };
  map: { show: ShowId; kind: FrameResult["kind"] | "stale" | "right"; whole?: boolean; sale?: boolean; newGeneration?: boolean };
  own: { show: ShowId; changes: Change[] };
  quiet: boolean;
  push: Push;
  welcome: { customer: string; server_time_ms: number; token_expires_in_ms: number; beat_ms: number };
  error: ErrorBody;
  refused: { code: number; reason: string };
}

export type ConnectionState = "connecting" | "live" | "reconnecting" | "closed";

export interface ClientOptions {
  /** `wss://…/ws` */
  url: string;
  /** A token; `refused` is one that the gateway did not accept. */
  token(refused: string | null): Promise<string>;
  /** Whether the token travels in the request, as it must outside of browsers; the default finds out. */
  tokenInRequest?: boolean;
  now?(): number;
  /** Where there is no global one: the class of the package `ws`, for example. */
  WebSocket?: unknown;
}

export class Client {
  constructor(options: ClientOptions);
  readonly customer: string | null;
  readonly state: ConnectionState;
  readonly quiet: boolean;
  on<T extends keyof Events>(type: T, listener: (event: Events[T]) => void): () => void;
  connect(): void;
  reconnectNow(): void;
  checkNow(): void;
  close(): void;
  watch(show: ShowId): ShowViewer;
  unwatch(show: ShowId): void;
  isLive(show: ShowId): boolean;
  hide(hidden: boolean): void;
  reread(show: ShowId): void;
  hold(show: ShowId, seats: Seat[], key?: string): Promise<Hold>;
  holdBest(show: ShowId, best: { count: number; tier?: number }, key?: string): Promise<Hold>;
  extend(show: ShowId, hold: HoldId, key?: string): Promise<Hold>;
  release(show: ShowId, hold: HoldId): Promise<{ hold: HoldId; position: Position }>;
  ownHolds(show: ShowId): Promise<{ show: ShowId; holds: Hold[]; pending: Booking[] }>;
  book(show: ShowId, hold: HoldId, email: string, key?: string): Promise<Booking>;
  booking(booking: BookingId): Promise<Booking>;
  cancel(booking: BookingId, key?: string): Promise<Booking>;
  bookings(beforeMs?: number): Promise<{ bookings: Booking[]; more: boolean }>;
}

/** A fresh idempotency key. */
export function newKey(): string;
