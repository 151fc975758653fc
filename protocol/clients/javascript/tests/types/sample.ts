// Compiled, never run: the declarations fit the way in which the client is used.

import { Client, CommandError, ShowViewer, newKey, type Booking } from "../../client.js";

export async function buy(url: string, token: string, show: number): Promise<Booking | null> {
  const client = new Client({ url, token: async (refused) => (refused === token ? Promise.reject(new Error("refused")) : token) });
  const viewer: ShowViewer = client.watch(show);
  const stop = client.on("own", ({ changes }) => {
    for (const change of changes) if (change.kind === "hold_ended") console.log(change.hold.seats, change.reason);
  });
  client.on("state", ({ state, retryInMs }) => console.log(state === "live" ? viewer.map.viewers : retryInMs));
  client.connect();
  try {
    const hold = await client.holdBest(show, { count: 2, tier: 1 }, newKey());
    return await client.book(show, hold.hold, "ana@example.com");
  } catch (error) {
    if (error instanceof CommandError && error.code === "TAKEN") return null;
    throw error;
  } finally {
    stop();
    client.close();
  }
}

// @ts-expect-error a token is needed
new Client({ url: "ws://localhost/ws" });
// @ts-expect-error there is no such event
new Client({ url: "", token: async () => "" }).on("nothing", () => {});
