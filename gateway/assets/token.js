// The guest's token: minted by the gateway, kept in this browser, shared by its tabs so that all are one customer.

const KEY = "seatwire.token";

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

let memory = null;

async function mint(refused) {
  const current = stored() ?? memory;
  // Another tab may have got a token while this one waited for its turn.
  if (current?.token && current.token !== refused) return current.token;
  const response = await fetch("/api/guest", { method: "POST" });
  if (!response.ok) throw new Error(`no guest token: ${response.status}`);
  memory = await response.json();
  try {
    localStorage.setItem(KEY, JSON.stringify({ token: memory.token, customer: memory.customer }));
  } catch {
    // Storage may be switched off: the token then lives as long as the page.
  }
  return memory.token;
}

/** A token; `refused` is one that the gateway no longer accepts. */
export function guestToken(refused = null) {
  const current = stored() ?? memory;
  if (current?.token && current.token !== refused) return Promise.resolve(current.token);
  // One tab at a time, or two tabs opened together would be two customers.
  return navigator.locks ? navigator.locks.request(KEY, () => mint(refused)) : mint(refused);
}
