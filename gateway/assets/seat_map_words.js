// The words on the map of a large house: the stage, the rows, the sections.

/** From here on rows have their names. */
const ROW_NAMES_FROM_SCALE = 0.9;
const SECTION_NAMES_ABOVE_FROM_SCALE = 0.8;

/** Sets a context up for words. */
function write(context, colour, size) {
  context.fillStyle = colour;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = `600 ${size}px system-ui, sans-serif`;
}

/** Stage or screen, above the plan; only if a box shows it. */
export function drawFocus(context, plan, painter, left, top, right, bottom) {
  const middle = (plan.box.left + plan.box.right) / 2;
  const above = plan.box.top - 70;
  if (right < middle - 160 || left > middle + 160 || bottom < above || top > above + 44) return;
  context.fillStyle = painter.quiet;
  context.beginPath();
  context.roundRect(middle - 160, above, 320, 44, 8);
  context.fill();
  write(context, painter.ink, 34);
  context.fillText(plan.focus === "stage" ? "STAGE" : "SCREEN", middle, above + 23);
}

/** The names of the rows that begin in a box. */
export function drawRowNames(context, plan, painter, scale, left, top, right, bottom) {
  if (scale < ROW_NAMES_FROM_SCALE) return;
  write(context, painter.ink, 6);
  for (const row of plan.rows) {
    const x = plan.x[row.first] - 7;
    if (x > left - 20 && x < right + 20 && row.y > top - 20 && row.y < bottom + 20) context.fillText(row.name, x, row.y + 5);
  }
}

/** The names of the sections in a box: from afar on the section, near by above it. */
export function drawSectionNames(context, plan, painter, scale, left, top, right, bottom) {
  const far = scale < SECTION_NAMES_ABOVE_FROM_SCALE;
  const size = far ? Math.min(90, 13 / scale) : 12;
  write(context, painter.ink, size);
  context.strokeStyle = painter.ground;
  context.lineJoin = "round";
  context.lineWidth = size / 3;
  for (const { name, box } of plan.sections) {
    const x = (box.left + box.right) / 2;
    const y = far ? (box.top + box.bottom) / 2 : box.top - 9;
    if (x < left - 2 * size || x > right + 2 * size || y < top - size || y > bottom + size) continue;
    context.strokeText(name, x, y);
    context.fillText(name, x, y);
  }
}
