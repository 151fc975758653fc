// Where a drawing stands on a canvas: pan by drag, zoom by wheel, pinch or keys. Knows nothing of seats.

const CLICK_MOVE_PX = 6;
/** Kept free at the right of the whole drawing, for the zoom buttons. */
const TOOLS_PX = 56;

export class Viewport {
  #pointers = new Map();
  #moved = 0;
  #pinch = 0;

  /** `box` is the drawing's extent in its own unit. `changed()` after each move, `clicked(x, y)` in drawing units. */
  constructor(canvas, box, { changed, clicked, hovered }) {
    this.canvas = canvas;
    this.box = box;
    this.changed = changed;
    this.clicked = clicked;
    this.hovered = hovered;
    this.scale = 1;
    this.left = box.left;
    this.top = box.top;
    this.width = 1;
    this.height = 1;
    canvas.addEventListener("wheel", (e) => this.#wheel(e), { passive: false });
    canvas.addEventListener("pointerdown", (e) => this.#down(e));
    canvas.addEventListener("pointermove", (e) => this.#move(e));
    canvas.addEventListener("pointerup", (e) => this.#up(e, true));
    canvas.addEventListener("pointercancel", (e) => this.#up(e, false));
    canvas.addEventListener("pointerleave", () => this.hovered(null, null));
  }

  get scaleMin() {
    const { left, top, right, bottom } = this.box;
    return Math.min((this.width - TOOLS_PX) / (right - left), this.height / (bottom - top));
  }

  get scaleMax() {
    return 4.5;
  }

  /** Takes the canvas' new size; keeps the whole drawing in sight, or else the middle where it was. */
  resize(width, height) {
    const whole = this.width === 1 || this.scale <= this.scaleMin;
    const middle = this.toDrawing(this.width / 2, this.height / 2);
    this.width = width;
    this.height = height;
    if (whole) this.fit();
    else this.centre(middle.x, middle.y, this.scale);
  }

  /** The whole drawing. */
  fit() {
    const { left, top, right, bottom } = this.box;
    this.centre((left + right) / 2 + TOOLS_PX / 2 / this.scaleMin, (top + bottom) / 2, this.scaleMin);
  }

  centre(x, y, scale) {
    this.scale = Math.min(this.scaleMax, Math.max(this.scaleMin, scale));
    this.left = x - this.width / 2 / this.scale;
    this.top = y - this.height / 2 / this.scale;
    this.#clamp();
    this.changed();
  }

  /** Zooms and keeps the point (px, py) of the canvas in place. */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const { x, y } = this.toDrawing(px, py);
    this.scale = Math.min(this.scaleMax, Math.max(this.scaleMin, this.scale * factor));
    this.left = x - px / this.scale;
    this.top = y - py / this.scale;
    this.#clamp();
    this.changed();
  }

  toDrawing(px, py) {
    return { x: this.left + px / this.scale, y: this.top + py / this.scale };
  }

  #clamp() {
    const { left, top, right, bottom } = this.box;
    this.left = clampSpan(this.left, this.width / this.scale, left, right + TOOLS_PX / this.scale);
    this.top = clampSpan(this.top, this.height / this.scale, top, bottom);
  }

  #point(event) {
    const rect = this.canvas.getBoundingClientRect();
    return { x: event.clientX - rect.left, y: event.clientY - rect.top };
  }

  #wheel(event) {
    event.preventDefault();
    const { x, y } = this.#point(event);
    const lines = event.deltaMode === 1 ? 24 : 1;
    this.zoom(Math.exp(-event.deltaY * lines * 0.0016), x, y);
  }

  #down(event) {
    this.canvas.setPointerCapture?.(event.pointerId);
    if (this.#pointers.size === 0) this.#moved = 0;
    this.#pointers.set(event.pointerId, this.#point(event));
    this.#pinch = this.#spread();
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    const now = this.#point(event);
    if (!before) {
      const { x, y } = this.toDrawing(now.x, now.y);
      this.hovered(x, y);
      return;
    }
    this.#pointers.set(event.pointerId, now);
    this.#moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (this.#pointers.size === 1) {
      if (this.#moved < CLICK_MOVE_PX) return;
      this.left -= (now.x - before.x) / this.scale;
      this.top -= (now.y - before.y) / this.scale;
      this.#clamp();
      this.changed();
    } else if (this.#pointers.size === 2) {
      const [a, b] = [...this.#pointers.values()];
      const spread = this.#spread();
      if (this.#pinch > 0 && spread > 0) this.zoom(spread / this.#pinch, (a.x + b.x) / 2, (a.y + b.y) / 2);
      this.#pinch = spread;
      this.#moved += CLICK_MOVE_PX;
    }
  }

  #spread() {
    const [a, b] = [...this.#pointers.values()];
    return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
  }

  #up(event, click) {
    if (!this.#pointers.delete(event.pointerId)) return;
    this.#pinch = this.#spread();
    if (!click || this.#pointers.size > 0 || this.#moved >= CLICK_MOVE_PX) return;
    const point = this.#point(event);
    const { x, y } = this.toDrawing(point.x, point.y);
    this.clicked(x, y);
  }
}

/** Keeps a span of `size` within [low, high], or in the middle when it is larger. */
function clampSpan(start, size, low, high) {
  if (size >= high - low) return (low + high) / 2 - size / 2;
  return Math.min(high - size, Math.max(low, start));
}
