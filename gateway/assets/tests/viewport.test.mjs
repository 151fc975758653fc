// Fingers, mouse and wheel on a drawing of 200 × 100 units, on an element of 400 × 300 pixels.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Viewport } from "../viewport.js";

const BOX = { left: 0, top: 0, right: 200, bottom: 100 };
let element;
let view;
let clicks;

/** An element that only keeps its listeners; it stands at 10, 20 of the window. */
function fakeElement() {
  const listeners = {};
  return {
    style: {},
    addEventListener: (type, listener) => (listeners[type] = listener),
    getBoundingClientRect: () => ({ left: 10, top: 20 }),
    fire: (type, event) => listeners[type]({ preventDefault() {}, ...event }),
  };
}

/** A pointer at a place of the element. */
const pointer = (type, id, x, y, more = {}) => element.fire(`pointer${type}`, { pointerId: id, clientX: x + 10, clientY: y + 20, button: 0, pointerType: "touch", ...more });

const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-6, `${a} is not ${b}`);

beforeEach(() => {
  element = fakeElement();
  clicks = [];
  view = new Viewport(element, BOX, { changed() {}, clicked: (...at) => clicks.push(at), scaleMax: 6, fitMax: 4.4, calmWheel: true });
  view.resize(400, 300);
});

test("the whole drawing is in sight at first, in the middle, and stays so when the element changes its size", () => {
  assert.deepEqual([view.scale, view.left, view.top, view.isWhole], [2, 0, -25, true]);
  view.resize(300, 300);
  assert.deepEqual([view.scale, view.isWhole], [1.5, true]);
  view.resize(3000, 3000);
  assert.equal(view.scale, 4.4, "a small house does not grow without end");
  view.resize(400, 300);
  assert.equal(element.style.touchAction, "pan-y", "one finger scrolls the page");
});

/** Two fingers go to other places, a little at a time, as fingers do. */
function glide(from, to) {
  for (let step = 1; step <= 20; step += 1) {
    for (const id of [0, 1]) {
      const at = [0, 1].map((axis) => from[id][axis] + ((to[id][axis] - from[id][axis]) * step) / 20);
      pointer("move", id, ...at);
    }
  }
}

test("fingers that part keep what is between them between them", () => {
  view.centre(100, 50, 3);
  pointer("down", 0, 150, 150);
  pointer("down", 1, 250, 150);
  const before = view.toDrawing(200, 150);
  glide([[150, 150], [250, 150]], [[120, 155], [280, 155]]);
  near(view.scale, 3 * (160 / 100));
  const after = view.toDrawing(200, 155);
  near(after.x, before.x);
  near(after.y, before.y);
  assert.equal(element.style.touchAction, "none", "one finger moves the drawing");
  // One is lifted: the other goes on without a jump.
  pointer("up", 1, 280, 155);
  const { left, top } = view;
  pointer("move", 0, 128, 155);
  near(view.left, left - 8 / view.scale);
  near(view.top, top);
  pointer("up", 0, 128, 155);
  assert.deepEqual(clicks, []);
});

test("two fingers that go together move the drawing", () => {
  view.centre(100, 50, 4);
  const { left, top } = view;
  pointer("down", 0, 100, 100);
  pointer("down", 1, 200, 100);
  glide([[100, 100], [200, 100]], [[140, 90], [240, 90]]);
  near(view.scale, 4);
  near(view.left, left - 10);
  near(view.top, top + 2.5);
});

test("a tap is a click where it was, and a drag is none", () => {
  pointer("down", 1, 200, 150);
  pointer("move", 1, 202, 151);
  pointer("up", 1, 202, 151);
  assert.deepEqual(clicks, [[101, 50.5, true]]);
  pointer("down", 1, 200, 150);
  pointer("move", 1, 220, 150);
  pointer("up", 1, 220, 150);
  pointer("down", 1, 200, 150);
  pointer("cancel", 1, 200, 150);
  pointer("down", 1, 200, 150, { pointerType: "mouse", button: 2 });
  pointer("up", 1, 200, 150, { pointerType: "mouse", button: 2 });
  assert.equal(clicks.length, 1);
  pointer("down", 1, 200, 150, { pointerType: "mouse" });
  pointer("up", 1, 200, 150, { pointerType: "mouse" });
  assert.deepEqual(clicks[1], [100, 50, false]);
});

test("nothing leads out of the drawing, or nearer than may be", () => {
  view.centre(-500, 1000, 99);
  assert.deepEqual([view.scale, view.left, view.top], [6, 0, 50]);
  view.zoom(0.001);
  assert.deepEqual([view.scale, view.isWhole], [2, true]);
});

test("the wheel is the page's, but for a pinch on a touchpad", () => {
  element.fire("wheel", { clientX: 10, clientY: 20, deltaY: -100, deltaMode: 0, ctrlKey: false });
  assert.equal(view.scale, 2);
  element.fire("wheel", { clientX: 10, clientY: 20, deltaY: -100, deltaMode: 0, ctrlKey: true });
  assert.ok(view.scale > 2);
  assert.ok(view.shows(0, 0, 10, 10) && !view.shows(190, 0, 200, 10));
});
