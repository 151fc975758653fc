-- Part of every script of a show: its keys, the guards, the record of a hold, the feed.
--
-- KEYS  1 show, 2 seat_version, 3 seat_status, 4 seat_lock, 5 hold, 6 held_by, 7 owned_by, 8 hold_expiry, 9 clock,
--       10 rows, 11 the feed's channel. All have the bucket's hash tag.
-- ARGV  1 run id of the server as read on this connection, 2 the generation: the lowest that the caller may act under,
--       or, where a script says so, the only one; 3 milliseconds that an ended hold is kept, 4 milliseconds that a lapse
--       counts.
--
-- seat_version: seat -> ledger status (0 available, 1 claimed, 2 booked, 3 blocked), version, ':', customer.
-- seat_lock: seat -> hold id (16 bytes), customer. hold_expiry: 'show:hold id' by the end that is honoured, for an ended
-- hold by the time to forget it, and 'show:' by the opening of the sale. held_by: customer -> { seats held, hold ids,
-- lapses as { time, seat … } oldest first }. rows: a bit a seat, whether the next index is its neighbour (one row, no aisle
-- between); then the runs of neighbours, best first: u32 first, u32 count, u16 pieces, of each piece u32 count, u32 tier.
local SHOW, VERSION, STATUS, LOCK, HOLD, HELD_BY, OWNED_BY, DUE, CLOCK, ROWS, FEED = unpack(KEYS)
local MEMBER = string.match(SHOW, '%d+$') .. ':'

-- A hold: a MessagePack array of these fields.
local CUSTOMER, SEATS, PHASE, CREATED, ENDS, BODY, EXTENDED, GENERATION, SEQUENCE = 1, 2, 3, 4, 5, 6, 7, 8, 9
local BOOKING, BOOK_KEY, ATTEMPTS, FIRST_END, REASON = 10, 11, 12, 13, 14
-- Phases.
local BROWSE, PAYING, ENDED = 1, 2, 3
-- Why a hold ended.
local EXPIRED, RELEASED, BOOKED, SEATS_LOST, OPERATOR = 1, 2, 3, 4, 5
-- Reasons of a batch.
local FEED_HELD, FEED_RELEASED, FEED_EXPIRED, FEED_LEDGER, FEED_SALE, FEED_OPERATOR = 1, 2, 3, 4, 5, 6

-- The show, or nil and the refusal: not loaded or of a dead timeline; or behind the caller's generation.
local function read_show()
  local v =
    call('HMGET', SHOW, 'generation', 'run_id', 'complete', 'sequence', 'sale', 'opens_at', 'seats', 'no_orphan')
  local generation = tonumber(v[1])
  if not generation or v[2] ~= ARGV[1] then
    return nil, { 'NOT_LOADED', generation or 0 }
  elseif generation < tonumber(ARGV[2]) then
    return nil, { 'BEHIND', generation }
  end
  return {
    generation = generation,
    complete = v[3] == '1',
    sequence = tonumber(v[4]),
    sale = tonumber(v[5]),
    opens_at = tonumber(v[6]),
    seats = tonumber(v[7]),
    no_orphan = v[8] == '1',
  }
end

-- The answer while the map is not whole: with the time since the loader's last sign.
local function not_ready(show, t)
  return { 'NOT_READY', show.generation, math.max(0, t - call('HGET', SHOW, 'touched_at')) }
end

-- What the owner is told of a hold.
local function hold_info(id, hold, t)
  local remaining = hold[PHASE] == ENDED and 0 or math.max(0, hold[ENDS] - t)
  return { id, hold[PHASE], remaining, #hold[EXTENDED], hold[GENERATION], hold[SEQUENCE], hold[BOOKING], hold[SEATS] }
end

-- The live hold of this customer, or nil and the refusal.
local function own_hold(id, customer, t, grace)
  local packed = call('HGET', HOLD, id)
  local hold = packed and cmsgpack.unpack(packed)
  if not hold or hold[CUSTOMER] ~= customer then
    return nil, { 'NOT_OWNER' }
  end
  if hold[PHASE] == ENDED or hold[ENDS] + grace <= t then
    return nil, { 'GONE', hold[PHASE], hold[REASON], hold[GENERATION], hold[SEQUENCE] }
  end
  return hold
end

-- Takes the next sequence and publishes one batch. `changes` are seats packed with their status. While the map is not
-- whole nobody has a position in this generation, so nothing is published.
local function emit(show, reason, changes, holds)
  if not show.complete then
    return
  end
  show.sequence = show.sequence + 1
  call('HSET', SHOW, 'sequence', show.sequence)
  local count = math.min(#holds, 255)
  local head = struct.pack('>BBI8I8BBI2', 1, 1, show.generation, show.sequence, show.sale, reason, #changes)
  call('PUBLISH', FEED, head .. table.concat(changes) .. string.char(count) .. table.concat(holds, '', 1, count))
end

local function pack_seat(seat, status)
  return struct.pack('>I4', seat * 4 + status)
end

-- Opens the sale if it is still before opening and due.
local function open_if_due(show, t)
  if show.sale ~= 0 or show.opens_at == 0 or show.opens_at > t then
    return false
  end
  show.sale = 1
  call('HSET', SHOW, 'sale', 1)
  call('ZREM', DUE, MEMBER)
  emit(show, FEED_SALE, {}, {})
  return true
end
