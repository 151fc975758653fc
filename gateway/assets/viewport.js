// Where a drawing stands on its canvas or SVG: pan by drag, zoom by pinch, wheel or keys. Knows nothing of seats.

const CLICK_MOVE_PX = 6;

export class Viewport {
  /** Where each pointer is that is down. @type {Map<number, { x: number, y: number }>} */
  #pointers = new Map();
  #moved = 0;

  /**
   * `box` is the drawing's extent in its own unit. `changed()` is called after each move, `clicked(x, y, byTouch)` and
   * `hovered(x, y)` in drawing units. `scaleMax` is the nearest, `fitMax` how near the whole drawing comes on a large screen.
   * `roomPx` is kept free at the right of it, for buttons. With `calmWheel` the wheel scrolls the page unless Ctrl is
   * pressed, as it is for a pinch on a touchpad.
   */
  constructor(element, box, { changed, clicked, hovered = () => {}, scaleMax, fitMax = scaleMax, roomPx = 0, calmWheel = false }) {
    this.element = element;
    this.box = box;
    this.changed = changed;
    this.clicked = clicked;
    this.hovered = hovered;
    this.scaleMax = scaleMax;
    this.fitMax = fitMax;
    this.roomPx = roomPx;
    this.calmWheel = calmWheel;
    this.scale = 1;
    this.left = box.left;
    this.top = box.top;
    /** Of the element, in pixels; 0 until `resize`. */
    this.width = 0;
    this.height = 0;
    element.addEventListener("wheel", (e) => this.#wheel(e), { passive: false });
    element.addEventListener("pointerdown", (e) => this.#down(e));
    element.addEventListener("pointermove", (e) => this.#move(e));
    element.addEventListener("pointerup", (e) => this.#up(e, true));
    element.addEventListener("pointercancel", (e) => this.#up(e, false));
    element.addEventListener("pointerleave", () => this.hovered(null, null));
    // Two fingers are a pinch of the drawing, whatever else the browser makes of them.
    element.addEventListener("touchstart", (e) => e.touches.length > 1 && e.preventDefault(), { passive: false });
  }

  /** At which the whole drawing is in sight. */
  get scaleMin() {
    const { left, top, right, bottom } = this.box;
    return Math.min(this.fitMax, (this.width - this.roomPx) / (right - left), this.height / (bottom - top));
  }

  /** Whether the whole drawing is in sight. */
  get isWhole() {
    return this.scale <= this.scaleMin * 1.001;
  }

  /** Takes the element's new size; keeps the whole drawing in sight, or else the middle where it was. */
  resize(width, height) {
    const whole = this.width === 0 || this.isWhole;
    const middle = this.toDrawing(this.width / 2, this.height / 2);
    this.width = width;
    this.height = height;
    if (whole) this.fit();
    else this.centre(middle.x, middle.y, this.scale);
  }

  /** The whole drawing. */
  fit() {
    const { left, top, right, bottom } = this.box;
    this.centre((left + right) / 2 + this.roomPx / 2 / this.scaleMin, (top + bottom) / 2, this.scaleMin);
  }

  centre(x, y, scale) {
    this.#place(x, y, this.width / 2, this.height / 2, scale);
  }

  /** Zooms and keeps the point (px, py) of the element in place. */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const { x, y } = this.toDrawing(px, py);
    this.#place(x, y, px, py, this.scale * factor);
  }

  /** Whether a box of the drawing is in sight. */
  shows(left, top, right, bottom) {
    const { x, y } = this.toDrawing(this.width, this.height);
    return left >= this.left && top >= this.top && right <= x && bottom <= y;
  }

  toDrawing(px, py) {
    return { x: this.left + px / this.scale, y: this.top + py / this.scale };
  }

  /** Puts the point (x, y) of the drawing at (px, py) of the element, as far as the drawing's edges allow. */
  #place(x, y, px, py, scale) {
    const { left, top, right, bottom } = this.box;
    this.scale = Math.min(this.scaleMax, Math.max(this.scaleMin, scale));
    this.left = clampSpan(x - px / this.scale, this.width / this.scale, left, right + this.roomPx / this.scale);
    this.top = clampSpan(y - py / this.scale, this.height / this.scale, top, bottom);
    // One finger scrolls the page while there is nothing to pan.
    this.element.style.touchAction = this.isWhole ? "pan-y" : "none";
    this.changed();
  }

  #point(event) {
    const rect = this.element.getBoundingClientRect();
    return { x: event.clientX - rect.left, y: event.clientY - rect.top };
  }

  #wheel(event) {
    if (this.calmWheel && !event.ctrlKey) return;
    event.preventDefault();
    const { x, y } = this.#point(event);
    const lines = event.deltaMode === 1 ? 24 : 1;
    this.zoom(Math.exp(-event.deltaY * lines * 0.0016), x, y);
  }

  #down(event) {
    if (event.button !== 0) return;
    this.element.setPointerCapture?.(event.pointerId);
    if (this.#pointers.size === 0) this.#moved = 0;
    // No click comes of two fingers.
    else this.#moved += CLICK_MOVE_PX;
    this.#pointers.set(event.pointerId, this.#point(event));
  }

  #move(event) {
    const now = this.#point(event);
    if (!this.#pointers.has(event.pointerId)) {
      const { x, y } = this.toDrawing(now.x, now.y);
      this.hovered(x, y);
      return;
    }
    const before = this.#grip();
    this.#pointers.set(event.pointerId, now);
    const after = this.#grip();
    this.#moved += Math.hypot(after.x - before.x, after.y - before.y);
    if (this.#moved < CLICK_MOVE_PX) return;
    const { x, y } = this.toDrawing(before.x, before.y);
    this.#place(x, y, after.x, after.y, this.scale * (before.spread > 0 ? after.spread / before.spread : 1));
  }

  /** The middle of what holds the drawing, and how far apart two fingers are; 0 for one. */
  #grip() {
    const [a, b = a] = this.#pointers.values();
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  #up(event, click) {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (!click || this.#pointers.size > 0 || this.#moved >= CLICK_MOVE_PX) return;
    const point = this.#point(event);
    const { x, y } = this.toDrawing(point.x, point.y);
    this.clicked(x, y, event.pointerType === "touch");
  }
}

/** Keeps a span of `size` within [low, high], or in the middle when it is larger. */
function clampSpan(start, size, low, high) {
  if (size >= high - low) return (low + high) / 2 - size / 2;
  return Math.min(high - size, Math.max(low, start));
}
