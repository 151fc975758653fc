#!lua flags=no-writes
-- What the map knows of the ledger, for the scrubber.
-- Needs   clock, show
-- Returns { 'OK', generation, version of the sale, { seat, entry, … } } | refusal
-- Writes  nothing
local show, refusal = read_show()
if refusal then
  return refusal
end
if not show.complete then
  return not_ready(show, now(CLOCK, true))
end
local sale_version = tonumber(call('HGET', SHOW, 'sale_version'))
return { 'OK', show.generation, sale_version, call('HGETALL', VERSION) }
