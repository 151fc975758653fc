#!lua flags=no-writes
-- What customers have at one show.
-- Needs   clock, show
-- ARGV    5 grace, 6.. customers
-- Returns { 'OK', { seats in pending bookings, info … } of each customer in order } | refusal
-- Writes  nothing
local show, refusal = read_show()
if refusal then
  return refusal
end
local t = now(CLOCK, true)
if not show.complete then
  return not_ready(show, t)
end
local out = {}
for i = 6, #ARGV do
  local customer = ARGV[i]
  local holder = call('HGET', HELD_BY, customer)
  local one = { tonumber(call('HGET', OWNED_BY, 'p' .. customer)) or 0 }
  for _, id in ipairs(holder and cmsgpack.unpack(holder)[2] or {}) do
    local hold = own_hold(id, customer, t, ARGV[5])
    if hold then
      one[#one + 1] = hold_info(id, hold, t)
    end
  end
  out[i - 5] = one
end
return { 'OK', out }
