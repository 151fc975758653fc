#!lua
-- Starts a show anew under a higher generation: the map is unknown (shown as held) and not whole until complete. Holds
-- stay. Sent once a generation: when its outcome is unknown, a new generation is taken.
-- Needs   clock, show
-- ARGV    2 the new generation, 5 number of seats, 6 version of the layout, 7 sale state, 8 opens_at, 9 version of the sale,
--         10 rows, 11 1 when no seat may be left alone, else 0
-- Returns { 'OK', generation } | { 'STALE', generation found }
-- Writes  show, seat_version, seat_status, owned_by, rows, hold_expiry
local found = tonumber(call('HGET', SHOW, 'generation')) or 0
local generation, seats = tonumber(ARGV[2]), tonumber(ARGV[5])
if generation <= found then
  return { 'STALE', found }
end
call('ZCARD', DUE)
local t, sale, opens_at = now(CLOCK), tonumber(ARGV[7]), tonumber(ARGV[8])
if sale == 0 and opens_at > 0 and opens_at <= t then
  sale = 1
end
-- 01 for each seat; what is beyond the last seat stays 00.
local statuses, rest = string.rep('\85', math.floor(seats / 4)), seats % 4
if rest > 0 then
  statuses = statuses .. string.char(85 - 85 % 4 ^ (4 - rest))
end
call('DEL', SHOW, VERSION, OWNED_BY)
call('SET', STATUS, statuses)
call('SET', ROWS, ARGV[10])
call('HSET', SHOW, 'generation', generation, 'run_id', ARGV[1], 'complete', 0, 'sequence', 0, 'sale', sale,
  'opens_at', opens_at, 'sale_version', ARGV[9], 'seats', seats, 'layout_version', ARGV[6], 'touched_at', t, 'no_orphan', ARGV[11])
if sale == 0 and opens_at > 0 then
  call('ZADD', DUE, opens_at, MEMBER)
else
  call('ZREM', DUE, MEMBER)
end
call('PUBLISH', FEED, struct.pack('>BBI8I8BBI2B', 1, 2, generation, 0, 0, 0, 0, 0))
return { 'OK', generation }
