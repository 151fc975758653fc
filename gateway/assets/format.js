// Numbers, money, times and lists as people read them.

/** Minor units as money. */
export function money(amount, currency) {
  const options = { style: "currency", currency, trailingZeroDisplay: "stripIfInteger" };
  const format = new Intl.NumberFormat("en", options);
  return format.format(amount / 10 ** new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits);
}

/** Milliseconds as m:ss, or h:mm:ss; rounded up, so that 0:00 means over. */
export function clock(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const pad = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
}

/** What a countdown shows: a clock, or "2 d 3 h" when it is long. */
export function wait(ms) {
  const hours = Math.floor(ms / 3600000);
  if (hours < 24) return clock(ms);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A duration within a sentence, rounded up: "42 seconds", "4 minutes". */
export function span(ms) {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  if (seconds < 100) return plural(seconds, "second");
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? plural(minutes, "minute") : plural(Math.ceil(minutes / 60), "hour");
}

export function day(ms) {
  return new Date(ms).toLocaleDateString("en", { weekday: "long", day: "numeric", month: "long" });
}

/** A key that sorts and groups by local day. */
export function dayKey(ms) {
  const date = new Date(ms);
  const pad = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

export function time(ms) {
  return new Date(ms).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false });
}

export function dayAndTime(ms) {
  return `${day(ms)}, ${time(ms)}`;
}

/** "A1, A2 and A3". */
export function list(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

export function plural(n, one, many = `${one}s`) {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}
