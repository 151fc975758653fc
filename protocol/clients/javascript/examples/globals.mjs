// What every browser has and versions of Node lack, or have without the status of a refusal.

import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;
globalThis.WebSocket = (await import("ws")).WebSocket;
