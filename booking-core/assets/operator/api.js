// Calls to the admin routes. The token lives in this tab only; it is never part of an address.

const TOKEN = "seatwire-admin-token";
const NAME = "seatwire-operator-name";

export class Refused extends Error {
  constructor(status, body) {
    super(body?.message || `the server answered ${status}`);
    this.status = status;
    this.code = body?.code ?? "UNAVAILABLE";
    this.field = body?.field;
  }
}

export const session = {
  get token() {
    return sessionStorage.getItem(TOKEN);
  },
  get name() {
    return sessionStorage.getItem(NAME) ?? "";
  },
  start(token, name) {
    sessionStorage.setItem(TOKEN, token);
    sessionStorage.setItem(NAME, name);
  },
  end() {
    sessionStorage.removeItem(TOKEN);
  },
};

async function call(method, path, { body, note, token = session.token, name = session.name } = {}) {
  const headers = { authorization: `Bearer ${token}`, "seatwire-operator": encodeURIComponent(name) };
  if (note) headers["seatwire-note"] = encodeURIComponent(note);
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(`/admin/${path}`, { method, headers, body: body && JSON.stringify(body), cache: "no-store", credentials: "omit" });
  } catch {
    throw new Refused(0, { message: "The core can't be reached." });
  }
  let answer = null;
  try {
    answer = await response.json();
  } catch {
    // Not JSON: the status says enough.
  }
  if (response.ok && answer) return answer;
  if (response.status === 401) dispatchEvent(new Event("unauthenticated"));
  throw new Refused(response.status, answer);
}

export const read = (path) => call("GET", path);
export const act = (path, body = {}, note = "") => call("POST", path, { body, note });
/** Whether a token is right, before it is kept. */
export const tryToken = (token, name) => call("GET", "backlog", { token, name });
