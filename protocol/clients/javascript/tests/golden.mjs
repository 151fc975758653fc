// The golden vectors of the protocol, as the Rust side tests them.

import { readdirSync, readFileSync } from "node:fs";

const FOLDER = new URL("../../../tests/golden/v1/", import.meta.url);

/** What a vector means. */
export function golden(name) {
  return JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), "utf8"));
}

/** Its bytes; names in the folders are `also/…` and `refused/…`. */
export function goldenBytes(name) {
  const text = readFileSync(new URL(`${name}.hex`, FOLDER), "utf8").replaceAll(/\s/g, "");
  return Uint8Array.from(Buffer.from(text, "hex"));
}

/** Names of the vectors of a folder ("", "also/", "refused/"). */
export function goldenNames(folder = "") {
  const files = readdirSync(new URL(folder, FOLDER)).filter((file) => file.endsWith(".hex"));
  return files.map((file) => folder + file.slice(0, -4)).sort();
}
