// Watches a show in a terminal: one line for each state that the seat map gets into.
//
//   node examples/watch_show.mjs http://127.0.0.1:7000 1

import "./globals.mjs";
import { Client } from "../client.js";
import { guestToken, webSocketUrl } from "./gateway.mjs";

const [gateway, show] = [process.argv[2], Number(process.argv[3])];
const client = new Client({ url: webSocketUrl(gateway), token: guestToken(gateway) });
const { map } = client.watch(show);
let said = "";

function say() {
  if (!map.loaded) return;
  const counts = [0, 0, 0, 0];
  for (const status of map.statuses) counts[status] += 1;
  const [available, held, booked, blocked] = counts;
  const state = client.isLive(show) ? "live" : `not live (${client.state === "live" ? "connected" : client.state})`;
  const line = `${state} at ${map.position.g}/${map.position.s}, ${map.sale}: ${available} available, ${held} held, ${booked} booked, ${blocked} blocked`;
  if (line !== said) console.log(line);
  said = line;
}

for (const event of ["map", "state", "quiet"]) client.on(event, say);
client.on("error", (error) => console.error(`${error.code}: ${error.message}`));
client.on("refused", ({ code }) => {
  console.error(`closed for good: ${code}`);
  process.exitCode = 1;
});
process.on("SIGINT", () => client.close());
process.on("SIGTERM", () => client.close());
client.connect();
