#!lua flags=allow-oom
-- Which shows of a bucket have something due, and which will soon.
-- Needs   clock
-- KEYS    1 hold_expiry, 2 clock
-- ARGV    1 look at no more than so many entries, 2 milliseconds to look ahead
-- Returns show id, milliseconds to go, show id, … ; each pair once, soonest first
-- Writes  clock
local t = now(KEYS[2])
local entries = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', t + ARGV[2], 'WITHSCORES', 'LIMIT', 0, ARGV[1])
local found, seen = {}, {}
for i = 1, #entries, 2 do
  local show = string.match(entries[i], '^%d+')
  local wait = math.max(0, entries[i + 1] - t)
  local pair = show and show .. ' ' .. wait
  if pair and not seen[pair] then
    seen[pair] = true
    found[#found + 1] = show
    found[#found + 1] = wait
  end
end
return found
