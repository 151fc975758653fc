#!lua flags=no-writes
-- The whole map at its position.
-- Needs   clock, show
-- Returns { 'OK', generation, sequence, sale, milliseconds to opening, version of the layout, seats, statuses } | refusal
-- Writes  nothing
local show, refusal = read_show()
if refusal then
  return refusal
end
local t = now(CLOCK, true)
if not show.complete then
  return not_ready(show, t)
end
local opens_in = show.sale == 0 and math.max(0, show.opens_at - t) or 0
local layout = tonumber(call('HGET', SHOW, 'layout_version'))
return { 'OK', show.generation, show.sequence, show.sale, opens_in, layout, show.seats, call('GET', STATUS) }
