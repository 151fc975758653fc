#!lua
-- Gives a hold more time; the same key extends once. Viewers see nothing, so no sequence is taken.
-- Needs   clock, show
-- ARGV    5 hold id, 6 customer, 7 digest of the key, 8 milliseconds to add, 9 grace, 10 cap of extensions, 11 lifetime
-- Returns { 'OK', info } | refusal
-- Writes  hold, hold_expiry
local show, refusal = read_show()
if refusal then
  return refusal
end
local id, t = ARGV[5], now(CLOCK)
local hold, none = own_hold(id, ARGV[6], t, ARGV[9])
if none then
  return none
end
for _, key in ipairs(hold[EXTENDED]) do
  if key == ARGV[7] then
    return { 'OK', hold_info(id, hold, t) }
  end
end
local ends = math.min(hold[ENDS] + ARGV[8], hold[CREATED] + ARGV[11])
if hold[PHASE] == PAYING then
  return { 'IN_PAYMENT' }
elseif #hold[EXTENDED] >= tonumber(ARGV[10]) then
  return { 'EXTENSIONS_LIMIT' }
elseif ends <= hold[ENDS] then
  return { 'LIFETIME_LIMIT' }
end
call('ZCARD', DUE)
hold[ENDS] = ends
hold[EXTENDED][#hold[EXTENDED] + 1] = ARGV[7]
call('HSET', HOLD, id, cmsgpack.pack(hold))
call('ZADD', DUE, ends + ARGV[9], MEMBER .. id)
return { 'OK', hold_info(id, hold, t) }
