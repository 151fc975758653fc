#!lua flags=no-writes
-- Some of a show's live holds, for operators.
-- Needs   clock, show
-- ARGV    5 cursor, 6 about so many
-- Returns { 'OK', next cursor, { { customer, info }, … } } | refusal
-- Writes  nothing
local show, refusal = read_show()
if refusal then
  return refusal
end
local t, out = now(CLOCK, true), {}
local cursor, items = unpack(call('HSCAN', HOLD, ARGV[5], 'COUNT', ARGV[6]))
for i = 1, #items, 2 do
  local hold = cmsgpack.unpack(items[i + 1])
  if hold[PHASE] ~= ENDED then
    out[#out + 1] = { hold[CUSTOMER], hold_info(items[i], hold, t) }
  end
end
return { 'OK', cursor, out }
