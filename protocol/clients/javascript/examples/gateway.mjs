// What the examples ask of a gateway over plain HTTP.

async function json(url, options) {
  const response = await fetch(url, options);
  const body = await response.json();
  if (!response.ok) throw new Error(`${body.code}: ${body.message}`);
  return body;
}

/** How `Client` gets its token: a guest's, kept until it is refused. */
export function guestToken(gateway) {
  let token = null;
  return async (refused) => {
    if (token === null || token === refused) token = (await json(`${gateway}/api/guest`, { method: "POST" })).token;
    return token;
  };
}

export function webSocketUrl(gateway) {
  return `${gateway.replace(/^http/, "ws")}/ws`;
}

/** Labels of seats, from the layout. */
export async function labelsOf(gateway, show) {
  const layout = await json(`${gateway}/api/shows/${show}/layout`);
  const labels = [];
  for (const section of layout.sections) {
    for (const row of section.rows) row.numbers.forEach((number, k) => (labels[row.first + k] = `${row.prefix}${number}`));
  }
  return labels;
}
