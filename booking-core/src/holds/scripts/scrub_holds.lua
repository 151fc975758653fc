#!lua
-- Looks at some holds, holders or due entries for the scrubber, and repairs what this one step shows to be wrong:
--   hold     a live hold lacks a lock: locked again where no other live hold has the seat and the ledger does not say
--            otherwise, else the hold ends whole; or its holder does not know it; or its due entry is missing or far off
--   held_by  seats and holds of a customer that are not those of the live holds
--   due      entries without a hold, and a wrong entry of the sale's opening
--   owned_by nothing; the counters are only answered
-- Needs   clock, show, settle
-- ARGV    5 which, 6 cursor, 7 about so many, 8 grace
-- Returns { 'OK', generation, next cursor, seats of holds without a lock, seats of holders that were wrong, of each due
--         entry that was wrong its hold's seats, ended, counters, how many of the three were wrong } | refusal
-- Writes  all keys of the show but seat_version, rows and owned_by
local show, refusal = read_show()
if refusal then
  return refusal
end
local t = now(CLOCK)
if not show.complete then
  return not_ready(show, t)
end
local cursor, items, counters = '0', {}, {}
local bare, holders, dues, counts, ended = {}, {}, {}, { 0, 0, 0 }, {}
-- Ends may differ by what another core is configured with.
local far = math.max(ARGV[3], ARGV[8]) + 60000

local function live(id, customer)
  local record = call('HGET', HOLD, id)
  local hold = record and cmsgpack.unpack(record)
  return hold and hold[PHASE] ~= ENDED and hold[CUSTOMER] == customer and hold
end

local function note(list, kind, seats)
  counts[kind] = counts[kind] + 1
  for _, seat in ipairs(seats) do
    list[#list + 1] = seat
  end
end

-- Writes what a customer holds as its live holds say; `also` is one that the holder may not know.
local function mend_holder(customer, holder, also)
  local ids, seats, seen = {}, 0, {}
  local function add(id)
    local hold = not seen[id] and live(id, customer)
    seen[id] = true
    if hold then
      ids[#ids + 1] = id
      seats = seats + #hold[SEATS]
    end
  end
  for _, id in ipairs(holder[2]) do
    add(id)
  end
  if also then
    add(also)
  end
  if seats == holder[1] and #ids == #holder[2] then
    return false
  end
  if #ids == 0 and #holder[3] == 0 then
    call('HDEL', HELD_BY, customer)
  else
    call('HSET', HELD_BY, customer, cmsgpack.pack({ seats, ids, holder[3] }))
  end
  return true
end

-- The locks of a live hold.
local function mend_locks(id, hold)
  local locks, versions = call('HMGET', LOCK, unpack(hold[SEATS])), call('HMGET', VERSION, unpack(hold[SEATS]))
  local lock, missing, lost = id .. hold[CUSTOMER], {}, false
  for i, seat in ipairs(hold[SEATS]) do
    if locks[i] ~= lock then
      missing[#missing + 1] = seat
      local other = locks[i] and live(string.sub(locks[i], 1, 16), string.sub(locks[i], 17))
      lost = lost or other or not versions[i] or string.byte(versions[i]) ~= 48
    end
  end
  if #missing == 0 then
    return
  end
  note(bare, 1, missing)
  if lost then
    ended[#ended + 1] = { id, hold, SEATS_LOST }
    return
  end
  local changes = {}
  for _, seat in ipairs(missing) do
    if call('BITFIELD', STATUS, 'SET', 'u2', '#' .. seat, 1)[1] ~= 1 then
      changes[#changes + 1] = pack_seat(seat, 1)
    end
    call('HSET', LOCK, seat, lock)
  end
  if #changes > 0 then
    emit(show, FEED_LEDGER, changes, {})
  end
end

if ARGV[5] == 'hold' then
  cursor, items = unpack(call('HSCAN', HOLD, ARGV[6], 'COUNT', ARGV[7]))
  for i = 1, #items, 2 do
    local id, hold = items[i], cmsgpack.unpack(items[i + 1])
    local score = tonumber(call('ZSCORE', DUE, MEMBER .. id) or nil)
    if not score or score < hold[ENDS] or score > hold[ENDS] + far then
      note(dues, 3, hold[SEATS])
      call('ZADD', DUE, hold[ENDS] + (hold[PHASE] == ENDED and ARGV[3] or ARGV[8]), MEMBER .. id)
    end
    if hold[PHASE] ~= ENDED then
      mend_locks(id, hold)
      local packed, knows = call('HGET', HELD_BY, hold[CUSTOMER]), false
      local holder = packed and cmsgpack.unpack(packed) or { 0, {}, {} }
      for _, other in ipairs(holder[2]) do
        knows = knows or other == id
      end
      if not knows then
        note(holders, 2, hold[SEATS])
        mend_holder(hold[CUSTOMER], holder, id)
      end
    end
  end
  if #ended > 0 then
    settle(show, t, FEED_LEDGER, ended, {}, true)
  end
elseif ARGV[5] == 'held_by' then
  cursor, items = unpack(call('HSCAN', HELD_BY, ARGV[6], 'COUNT', ARGV[7]))
  for i = 1, #items, 2 do
    if mend_holder(items[i], cmsgpack.unpack(items[i + 1])) then
      note(holders, 2, {})
    end
  end
elseif ARGV[5] == 'due' then
  if ARGV[6] == '0' then
    local score = tonumber(call('ZSCORE', DUE, MEMBER) or nil)
    local opens = show.sale == 0 and show.opens_at > 0 and show.opens_at or nil
    if score ~= opens then
      note(dues, 3, {})
      if opens then
        call('ZADD', DUE, opens, MEMBER)
      else
        call('ZREM', DUE, MEMBER)
      end
    end
  end
  cursor, items = unpack(call('ZSCAN', DUE, ARGV[6], 'COUNT', ARGV[7]))
  for i = 1, #items, 2 do
    local id = string.sub(items[i], 1, #MEMBER) == MEMBER and string.sub(items[i], #MEMBER + 1) or ''
    if id ~= '' and call('HEXISTS', HOLD, id) == 0 then
      note(dues, 3, {})
      call('ZREM', DUE, items[i])
    end
  end
else
  cursor, counters = unpack(call('HSCAN', OWNED_BY, ARGV[6], 'COUNT', ARGV[7]))
end
return { 'OK', show.generation, cursor, bare, holders, dues, ended_info(ended), counters, counts }
