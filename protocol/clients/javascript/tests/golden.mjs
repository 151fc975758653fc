// The golden vectors of the protocol, as the Rust side tests them.

import { readFileSync } from "node:fs";

const FOLDER = new URL("../../../protocol/tests/golden/v1/", import.meta.url);

export function golden(name) {
  return JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), "utf8"));
}
