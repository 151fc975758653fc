#!lua
-- Takes one attempt of begin_book back. With none left the hold can be used again: a committed attempt is never taken
-- back, so its hold stays paying until apply drops it.
-- Needs   clock, show
-- ARGV    2 the only generation, 5 hold id, 6 customer, 7 the attempt, 8 milliseconds left at least, 9 the latest end after
--         creation, 10 grace
-- Returns { 'OK', info, whether it is free again } | refusal
-- Writes  hold, hold_expiry
local show, refusal = read_show()
if refusal then
  return refusal
end
if show.generation ~= tonumber(ARGV[2]) then
  return { 'STALE', show.generation }
end
local id, t = ARGV[5], now(CLOCK)
local hold, none = own_hold(id, ARGV[6], t, ARGV[10])
if none then
  return none
end
local attempts = {}
for _, attempt in ipairs(hold[ATTEMPTS]) do
  if attempt ~= ARGV[7] then
    attempts[#attempts + 1] = attempt
  end
end
if #attempts == #hold[ATTEMPTS] then
  return { 'OK', hold_info(id, hold, t), 0 }
end
call('ZCARD', DUE)
hold[ATTEMPTS] = attempts
local free = #attempts == 0 and hold[PHASE] == PAYING
if free then
  hold[PHASE] = BROWSE
  hold[ENDS] = math.min(math.max(hold[FIRST_END], t + ARGV[8]), hold[CREATED] + ARGV[9])
end
call('HSET', HOLD, id, cmsgpack.pack(hold))
call('ZADD', DUE, hold[ENDS] + ARGV[10], MEMBER .. id)
return { 'OK', hold_info(id, hold, t), free and 1 or 0 }
