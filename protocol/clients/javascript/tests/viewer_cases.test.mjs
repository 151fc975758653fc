// The viewer's cases that all languages share: see protocol/tests/it/viewer_cases.rs for what a step means.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { ShowViewer } from "../viewer.js";

const FOLDER = new URL("../../../tests/viewer_cases/", import.meta.url);
const INPUTS = {
  connected: (viewer) => viewer.onConnected(),
  disconnected: (viewer) => viewer.onDisconnected(),
  retry: (viewer) => viewer.retry(),
  sent: (viewer, message) => viewer.onSent(message),
  message: (viewer, message) => viewer.onMessage(message),
};

/** What the viewer shows, in the shape in which a case expects it. */
const SEEN = {
  live: (viewer) => viewer.live,
  stale: (viewer) => viewer.stale,
  position: ({ map }) => (map.loaded ? map.position : null),
  viewers: ({ map }) => map.viewers,
  sale: ({ map }) => map.sale,
  opens_in_ms: ({ map }) => map.opensInMs,
  seats: (viewer, wanted) => Object.fromEntries(Object.keys(wanted).map((seat) => [seat, viewer.seat(Number(seat))])),
  holds: ({ own }) => [...own.holds.keys()].sort(),
  pending: ({ own }) => own.pending.map((booking) => booking.booking).sort(),
  bookings: ({ own }) => Object.fromEntries([...own.bookings.values()].map((b) => [b.booking, b.state])),
};

function run(viewer, { applied, ...step }, at) {
  const [[name, value]] = Object.entries(step);
  if (name === "frame") assert.equal(viewer.onFrame(value).kind, applied, at);
  else if (name === "asks") assert.deepEqual(viewer.takeAsks(), value, at);
  else if (name === "expect") {
    for (const [what, wanted] of Object.entries(value)) assert.deepEqual(SEEN[what](viewer, wanted), wanted, `${at}: ${what}`);
  } else INPUTS[name](viewer, value);
}

const files = readdirSync(FOLDER);
assert.ok(files.length >= 20, "the cases are there");
for (const file of files) {
  test(file.replace(".json", "").replaceAll("_", " "), () => {
    const { show, steps } = JSON.parse(readFileSync(new URL(file, FOLDER), "utf8"));
    const viewer = new ShowViewer(show);
    steps.forEach((step, index) => run(viewer, step, `step ${index}: ${JSON.stringify(step)}`));
  });
}
