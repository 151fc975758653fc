// Small building blocks for the shapes of messages. A shape has `read(value)`, from what MessagePack gives to what JSON
// says, and `write(json)`, the other way round with the fields in the order of the JSON. Both throw when it does not fit.

const INTEGER_MAX = 2 ** 53 - 1;

function fail(what, value) {
  throw new Error(`expected ${what}, found ${JSON.stringify(value)}`);
}

/** The same on both sides, if it passes the check. */
function plain(what, check) {
  const same = (value) => (check(value) ? value : fail(what, value));
  return { read: same, write: same };
}

export const integer = (min = 0, max = INTEGER_MAX) =>
  plain(`an integer ${min} … ${max}`, (value) => Number.isInteger(value) && value >= min && value <= max);
export const signed = integer(-INTEGER_MAX);
export const bool = plain("true or false", (value) => typeof value === "boolean");
export const text = (pattern = /^/) => plain(`text like ${pattern}`, (value) => typeof value === "string" && pattern.test(value));

/** 16 bytes: `bin` in MessagePack, where hex text is read too; hex text in JSON. */
export const id = {
  read(value) {
    if (value instanceof Uint8Array && value.length === 16) return Buffer.from(value).toString("hex");
    return typeof value === "string" && /^[0-9a-f]{32}$/.test(value) ? value : fail("16 bytes", value);
  },
  write: (json) => Uint8Array.from(Buffer.from(json, "hex")),
};

/** Bytes; a list of numbers in a golden JSON file. */
export const bytes = {
  read: (value) => (value instanceof Uint8Array ? [...value] : fail("bytes", value)),
  write: (json) => Uint8Array.from(json),
};

export const list = (of) => ({
  read: (value) => (Array.isArray(value) ? value.map(of.read) : fail("a list", value)),
  write: (json) => json.map(of.write),
});

export const orNil = (of) => ({
  read: (value) => (value === null ? null : of.read(value)),
  write: (json) => (json === null ? null : of.write(json)),
});

/** A map of named fields; a name ending in `?` may be absent or nil. Fields that are not known are left out. */
export function record(fields) {
  const of = new Map(Object.entries(fields).map(([name, shape]) => [name.replace("?", ""), { shape, may: name.endsWith("?") }]));
  return {
    read(value) {
      if (value === null || typeof value !== "object" || Array.isArray(value)) fail("a map", value);
      const found = {};
      for (const [name, { shape, may }] of of) {
        if (value[name] !== undefined && !(may && value[name] === null)) found[name] = shape.read(value[name]);
        else if (!may) fail(`the field ${name}`, value);
      }
      return found;
    },
    write: (json) => Object.fromEntries(Object.entries(json).map(([name, value]) => [name, of.get(name).shape.write(value)])),
  };
}

/** Records told apart by the field `tag`. */
export function tagged(tag, records) {
  const of = Object.fromEntries(
    Object.entries(records).map(([name, fields]) => [name, record({ [tag]: text(), ...fields })]),
  );
  const find = (value) => of[value?.[tag]] ?? fail(`a known ${tag}`, value);
  return { read: (value) => find(value).read(value), write: (json) => find(json).write(json) };
}

/** A map with one field, which says what it is. */
export function one(records) {
  const find = (value) => {
    const [name, ...more] = Object.keys(value ?? {});
    return more.length === 0 && records[name] ? name : fail(`one of ${Object.keys(records)}`, value);
  };
  return {
    read: (value) => ({ [find(value)]: records[find(value)].read(value[find(value)]) }),
    write: (json) => ({ [find(json)]: records[find(json)].write(json[find(json)]) }),
  };
}
