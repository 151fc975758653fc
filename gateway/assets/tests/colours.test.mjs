// Contrast of the style sheets' colours by day and at night: words 4.5 : 1, what tells one seat from another 3 : 1
// (WCAG 2.2, 1.4.3 and 1.4.11). Axe does not look at words in a picture.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const sheets = ["app.css", "seat_map.css"].map((name) => readFileSync(new URL(`../${name}`, import.meta.url), "utf8"));

/** The colours of the `:root` blocks: by day, or as they are at night. */
function colours(night) {
  const found = {};
  for (const sheet of sheets) {
    const dark = sheet.match(/prefers-color-scheme: dark\) \{\s*:root \{([^}]*)\}/)[1];
    const light = sheet.match(/:root \{([^}]*)\}/)[1];
    for (const [, name, value] of `${light}${night ? dark : ""}`.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)) found[name] = value;
  }
  return found;
}

function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const TIERS = [0, 1, 2, 3, 4, 5];
const WORDS = [
  ...["ground", "surface"].flatMap((on) => [["text", on], ["muted", on], ["accent", on]]),
  ...["good", "bad", "warn"].map((name) => [name, `${name}-fill`]),
  ...["good-fill", "bad-fill", "info-fill", "map-ground"].map((on) => ["text", on]),
  ["accent-text", "accent"],
  ["accent-text", "accent-hover"],
  ["good", "surface"],
  ["bad", "surface"],
  ["muted", "map-ground"],
  ...TIERS.map((tier) => ["seat-ink", `tier-${tier}-fill`]),
  ["#ffffff", "chosen"],
  ["#ffffff", "mine"],
];
const SHAPES = [
  ...TIERS.map((tier) => [`tier-${tier}`, "map-ground"]),
  ["held", "held-fill"],
  ["held", "map-ground"],
  ["chosen", "map-ground"],
  ["mine", "map-ground"],
  ["asking", "asking-fill"],
  ["accent", "map-ground"],
];

for (const night of [false, true]) {
  test(`words and shapes stand out ${night ? "at night" : "by day"}`, () => {
    const all = { ...colours(night), "#ffffff": "#ffffff" };
    const weak = [];
    for (const [pairs, least] of [[WORDS, 4.5], [SHAPES, 3]]) {
      for (const [name, on] of pairs) {
        assert.ok(all[name] && all[on], `${name} on ${on}: no such colour`);
        const ratio = contrast(all[name], all[on]);
        if (ratio < least) weak.push(`${name} on ${on}: ${ratio.toFixed(2)}, not ${least}`);
      }
    }
    assert.deepEqual(weak, []);
  });
}
