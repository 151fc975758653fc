// A large house as tiles: pictures of 128 × 128 pixels that are painted once and kept, so that a move of the map copies
// pictures instead of painting thousands of seats. Missing tiles are painted a few at a time, never more than a part of
// a frame; a changed seat is painted again on the tiles that show it.

const TILE = 128;
/** More than are ever in sight at once; the oldest go first. */
const TILES_MAX = 320;

/** @typedef {import("./seat_painter.js").Place} Place */

export class SeatTiles {
  /** @type {Map<number, { canvas: HTMLCanvasElement, context: CanvasRenderingContext2D, place: Place }>} */
  #tiles = new Map();
  /** @type {number[]} */
  #seats = [];

  /** `backdrop(context, left, top, right, bottom)` paints what lies under the seats of a box. */
  constructor(grid, painter, codes, backdrop) {
    this.grid = grid;
    this.painter = painter;
    this.codes = codes;
    this.backdrop = backdrop;
    /** Pixels of a plan unit on the tiles, and of the screen. */
    this.unit = 0;
    this.scale = 0;
  }

  /** Begins anew at another size. */
  resize(unit, scale) {
    this.unit = unit;
    this.scale = scale;
    this.clear();
  }

  /** Forgets every picture. */
  clear() {
    this.#tiles.clear();
  }

  #key(column, row) {
    return (row + 4096) * 8192 + column + 4096;
  }

  /** Calls `visit(column, row)` for each tile that shows a part of `width` × `height` pixels at a place. */
  #inSight({ left, top, unit }, width, height, visit) {
    const size = TILE / this.unit;
    const lastColumn = Math.floor((left + width / unit) / size);
    const lastRow = Math.floor((top + height / unit) / size);
    for (let row = Math.floor(top / size); row <= lastRow; row += 1) {
      for (let column = Math.floor(left / size); column <= lastColumn; column += 1) visit(column, row);
    }
  }

  /** Whether every tile in sight is at hand. @param {Place} place */
  covers(place, width, height) {
    let all = this.unit > 0;
    this.#inSight(place, width, height, (column, row) => {
      all &&= this.#tiles.has(this.#key(column, row));
    });
    return all;
  }

  /** Copies the tiles at hand onto a canvas, stretched if it shows the plan at another size. @param {Place} place */
  copy(context, place) {
    if (this.unit === 0) return;
    const { width, height } = context.canvas;
    context.setTransform(1, 0, 0, 1, 0, 0);
    this.#inSight(place, width, height, (column, row) => this.#copyOne(context, place, column, row));
  }

  #copyOne(context, place, column, row) {
    const tile = this.#tiles.get(this.#key(column, row));
    if (!tile) return;
    const x = (tile.place.left - place.left) * place.unit;
    const y = (tile.place.top - place.top) * place.unit;
    const size = (TILE * place.unit) / this.unit;
    // Tiles of the same size stand on whole pixels: they are copied as they are.
    if (place.unit === this.unit) context.drawImage(tile.canvas, Math.round(x), Math.round(y));
    else context.drawImage(tile.canvas, x, y, size, size);
  }

  /**
   * Paints missing tiles in sight and copies them onto the canvas until `deadline` (by `performance.now()`), at least
   * one; answers whether none is missing any more.
   * @param {Place} place
   */
  fill(context, place, deadline) {
    const { width, height } = context.canvas;
    let complete = true;
    let painted = false;
    this.#inSight(place, width, height, (column, row) => {
      if (this.#tiles.has(this.#key(column, row))) return;
      if (painted && performance.now() >= deadline) {
        complete = false;
        return;
      }
      this.#paint(column, row);
      painted = true;
      context.setTransform(1, 0, 0, 1, 0, 0);
      this.#copyOne(context, place, column, row);
    });
    return complete;
  }

  #paint(column, row) {
    const { unit, scale } = this;
    const key = this.#key(column, row);
    const left = (column * TILE) / unit;
    const top = (row * TILE) / unit;
    const place = { left, top, unit, scale };
    const { canvas, context } = this.#blank();
    const right = left + TILE / unit;
    const bottom = top + TILE / unit;
    context.setTransform(unit, 0, 0, unit, -left * unit, -top * unit);
    this.backdrop(context, left, top, right, bottom);
    this.grid.within(left, top, right, bottom, (seat) => this.#seats.push(seat));
    this.painter.paintAll(context, this.#seats, this.codes, place);
    this.#seats.length = 0;
    this.#tiles.set(key, { canvas, context, place });
  }

  /** A canvas in the colour of the ground, taken from the oldest tile when there are enough. */
  #blank() {
    let canvas;
    if (this.#tiles.size >= TILES_MAX) {
      const [oldest, tile] = this.#tiles.entries().next().value;
      this.#tiles.delete(oldest);
      canvas = tile.canvas;
    } else {
      canvas = document.createElement("canvas");
      canvas.width = canvas.height = TILE;
    }
    const context = canvas.getContext("2d", { alpha: false });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = this.painter.ground;
    context.fillRect(0, 0, TILE, TILE);
    return { canvas, context };
  }

  /** Paints a changed seat on every tile that shows a part of it. */
  repaint(seat) {
    if (this.unit === 0) return;
    const size = TILE / this.unit;
    const { x, y } = this.painter.plan;
    const lastColumn = Math.floor((x[seat] + 10) / size);
    const lastRow = Math.floor((y[seat] + 10) / size);
    for (let row = Math.floor(y[seat] / size); row <= lastRow; row += 1) {
      for (let column = Math.floor(x[seat] / size); column <= lastColumn; column += 1) {
        const tile = this.#tiles.get(this.#key(column, row));
        if (!tile) continue;
        this.painter.wipe(tile.context, seat, tile.place);
        this.painter.paint(tile.context, seat, this.codes[seat], tile.place);
      }
    }
  }
}
