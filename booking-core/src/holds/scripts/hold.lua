#!lua
-- Holds seats, all or none; the same hold id answers the same hold in its current state. What is refused is judged in this
-- order: known key, sale, no such seat (of a choice by best: none left), cool-down of a seat, cap of holds, cap of seats,
-- taken, orphan.
-- Needs   clock, show, settle, best, orphan
-- ARGV    5 hold id, 6 customer, 7 digest of the body, 8 milliseconds, 9 grace, 10 cap of seats, 11 cap of holds,
--         12 lapses of one seat, among those that count, that start its cool-down for this customer, 13 its length after
--         the last of them, 14 'payer' for a hold that saves a late payment (phase paying, no caps, no cool-down, may
--         strand seats, ends own browse holds on the seats), 15 and 16 how many adjacent seats of which tier (-1: any) to
--         choose, 0: none, 17.. seats ascending
-- Returns { 'OK', info, ended } | { refusal, detail, ended, seats that cool down } where ended are holds that it swept
-- Writes  all keys of the show but version and rows
local id, customer = ARGV[5], ARGV[6]
local payer = ARGV[14] == 'payer'
local show, refusal = read_show()
if refusal then
  return refusal
end
local t = now(CLOCK)
if not show.complete then
  return not_ready(show, t)
end
local swept, more = sweep(show, t, 64)

local packed = call('HGET', HOLD, id)
if packed then
  local hold = cmsgpack.unpack(packed)
  if hold[CUSTOMER] ~= customer or hold[BODY] ~= ARGV[7] then
    return { 'KEY_REUSED', 0, ended_info(swept) }
  end
  if not payer then
    return { 'OK', hold_info(id, hold, t), ended_info(swept) }
  end
  if hold[PHASE] ~= ENDED then
    hold[ENDS] = t + ARGV[8]
    call('HSET', HOLD, id, cmsgpack.pack(hold))
    call('ZADD', DUE, hold[ENDS] + ARGV[9], MEMBER .. id)
    return { 'OK', hold_info(id, hold, t), ended_info(swept) }
  end
end

open_if_due(show, t)
if show.sale == 0 then
  return { 'NOT_ON_SALE', show.opens_at == 0 and -1 or show.opens_at - t, ended_info(swept) }
elseif show.sale == 2 then
  return { 'SALE_CLOSED', 0, ended_info(swept) }
end

local holder = call('HGET', HELD_BY, customer)
holder = holder and cmsgpack.unpack(holder) or { 0, {}, {} }
-- Seats that this customer let lapse too often, and the milliseconds that he waits for them.
local cooling = {}
if not payer and #holder[3] >= tonumber(ARGV[12]) then
  local lapses = {}
  for _, lapse in ipairs(holder[3]) do
    local wait = lapse[1] + ARGV[13] - t
    for i = 2, lapse[1] > t - ARGV[4] and #lapse or 0 do
      local seat = lapse[i]
      lapses[seat] = (lapses[seat] or 0) + 1
      if wait > 0 and lapses[seat] >= tonumber(ARGV[12]) then
        cooling[seat] = wait
      end
    end
  end
end

local seats, unknown = {}, {}
if ARGV[15] ~= '0' then
  local count, tier = tonumber(ARGV[15]), tonumber(ARGV[16])
  seats = best_seats(show, count, tier, cooling)
  -- What is due has to be counted as left.
  for _ = 1, 8 do
    if seats or not more then
      break
    end
    local others
    others, more = sweep(show, t, 64)
    for _, e in ipairs(others) do
      swept[#swept + 1] = e
    end
    seats = best_seats(show, count, tier, cooling)
  end
  if not seats then
    seats = next(cooling) and best_seats(show, count, tier, {})
    if not seats then
      return { 'NONE_LEFT', 0, ended_info(swept) }
    end
  end
else
  for i = 17, #ARGV do
    local seat = tonumber(ARGV[i])
    seats[#seats + 1] = seat
    if seat >= show.seats then
      unknown[#unknown + 1] = { seat, 4 }
    end
  end
end
if #unknown > 0 then
  return { 'NO_SUCH_SEAT', unknown, ended_info(swept) }
end

if not payer then
  local owned = call('HMGET', OWNED_BY, 'p' .. customer, 'b' .. customer)
  if next(cooling) then
    local wait, cool = 0, {}
    for _, seat in ipairs(seats) do
      if cooling[seat] then
        wait, cool[#cool + 1] = math.max(wait, cooling[seat]), { seat, 6 }
      end
    end
    if #cool > 0 then
      return { 'COOL_DOWN', wait, ended_info(swept), cool }
    end
  end
  if #holder[2] >= tonumber(ARGV[11]) then
    return { 'HOLDS_LIMIT', 0, ended_info(swept) }
  elseif holder[1] + #seats + (owned[1] or 0) + (owned[2] or 0) > tonumber(ARGV[10]) then
    return { 'SEATS_LIMIT', 0, ended_info(swept) }
  end
end

-- Every seat in conflict. A hold in the way that is due, or the payer's own, makes room.
local versions, locks = call('HMGET', VERSION, unpack(seats)), call('HMGET', LOCK, unpack(seats))
local taken, lapsed, replaced, looked = {}, {}, {}, {}
for i, seat in ipairs(seats) do
  local status = versions[i] and string.byte(versions[i]) - 48 or 1
  local lock = locks[i]
  if status ~= 0 then
    taken[#taken + 1] = { seat, status }
  elseif lock then
    local other = string.sub(lock, 1, 16)
    if looked[other] == nil then
      local record = call('HGET', HOLD, other)
      record = record and cmsgpack.unpack(record)
      local score = call('ZSCORE', DUE, MEMBER .. other)
      looked[other] = false
      if record and (not score or tonumber(score) <= t) then
        lapsed[#lapsed + 1] = { other, record, EXPIRED }
        looked[other] = true
      elseif payer and record and record[PHASE] == BROWSE and record[CUSTOMER] == customer then
        replaced[#replaced + 1] = { other, record, SEATS_LOST }
        looked[other] = true
      end
    end
    if not looked[other] then
      taken[#taken + 1] = { seat, 1 }
    end
  end
end
if #lapsed > 0 then
  settle(show, t, FEED_EXPIRED, lapsed, {}, true)
  for _, e in ipairs(lapsed) do
    swept[#swept + 1] = e
  end
end
if #taken > 0 then
  return { 'TAKEN', taken, ended_info(swept) }
end
-- A choice by best has judged already: it strands a seat only where no other window is left.
if show.no_orphan and not payer and ARGV[15] == '0' then
  local stranded = orphans(seats)
  if stranded then
    return { 'ORPHAN', stranded, ended_info(swept) }
  end
end
if #replaced > 0 then
  settle(show, t, FEED_RELEASED, replaced, {}, true)
  for _, e in ipairs(replaced) do
    swept[#swept + 1] = e
  end
end
if #lapsed + #replaced > 0 then
  holder = call('HGET', HELD_BY, customer)
  holder = holder and cmsgpack.unpack(holder) or { 0, {}, {} }
end

local bits, locked, changes = {}, {}, {}
for i, seat in ipairs(seats) do
  local at = #bits
  bits[at + 1], bits[at + 2], bits[at + 3], bits[at + 4] = 'SET', 'u2', '#' .. seat, 1
  locked[2 * i - 1], locked[2 * i] = seat, id .. customer
  changes[i] = pack_seat(seat, 1)
end
local hold = {
  customer, seats, payer and PAYING or BROWSE, t, t + ARGV[8], ARGV[7], {}, show.generation, show.sequence + 1,
  '', '', {}, 0, 0,
}
holder[1] = holder[1] + #seats
holder[2][#holder[2] + 1] = id
-- The first write is on the only key not read above: if its type is wrong, nothing has been written.
call('BITFIELD', STATUS, unpack(bits))
call('HSET', LOCK, unpack(locked))
call('HSET', HOLD, id, cmsgpack.pack(hold))
call('HSET', HELD_BY, customer, cmsgpack.pack(holder))
call('ZADD', DUE, hold[ENDS] + ARGV[9], MEMBER .. id)
emit(show, FEED_HELD, changes, { id })
return { 'OK', hold_info(id, hold, t), ended_info(swept) }
