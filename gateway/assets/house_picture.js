// One small picture of the whole house, kept up to date: for the minimap, and to show while sharp tiles are missing.

const WIDTH_MAX = 1200;
/** Seats are blocks of colour here, whatever the screen shows. */
const SCALE = 0.5;

export class HousePicture {
  #next = 0;

  constructor(plan, painter, codes, backdrop, box) {
    this.plan = plan;
    this.painter = painter;
    this.codes = codes;
    this.backdrop = backdrop;
    this.box = box;
    const unit = Math.min(1, WIDTH_MAX / (box.right - box.left));
    this.place = { left: box.left, top: box.top, unit, scale: SCALE };
    this.canvas = document.createElement("canvas");
    this.canvas.width = Math.ceil((box.right - box.left) * unit);
    this.canvas.height = Math.ceil((box.bottom - box.top) * unit);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.seats = plan.sections.map(({ rows: [first, end] }) => plan.rows.slice(first, end).flatMap((row) => Array.from({ length: row.count }, (_, k) => row.first + k)));
  }

  get complete() {
    return this.#next > this.seats.length;
  }

  /** Begins anew. */
  clear() {
    this.#next = 0;
  }

  /** Paints section after section until `deadline` (by `performance.now()`), at least one. */
  fill(deadline) {
    do {
      if (this.#next === 0) this.#ground();
      else this.painter.paintAll(this.context, this.seats[this.#next - 1], this.codes, this.place);
      this.#next += 1;
    } while (!this.complete && performance.now() < deadline);
  }

  #ground() {
    const { left, top, right, bottom } = this.box;
    const { unit } = this.place;
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.fillStyle = this.painter.ground;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.context.setTransform(unit, 0, 0, unit, -left * unit, -top * unit);
    this.backdrop(this.context, left, top, right, bottom);
  }

  /** Paints a changed seat. */
  repaint(seat) {
    // Its section is still to come.
    if (this.#next <= this.plan.rows[this.plan.rowOf[seat]]?.section + 1) return;
    this.painter.paint(this.context, seat, this.codes[seat], this.place);
  }

  /** Copies the part in sight, stretched. @param {import("./seat_painter.js").Place} place */
  copy(context, place) {
    const ratio = place.unit / this.place.unit;
    context.setTransform(ratio, 0, 0, ratio, (this.place.left - place.left) * place.unit, (this.place.top - place.top) * place.unit);
    context.drawImage(this.canvas, 0, 0);
  }
}
