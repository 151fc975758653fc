#!lua flags=allow-oom
-- Brings news of the ledger into the map. The higher version wins, seat by seat, so order and repetition do not matter.
-- A booking's own hold is dropped silently; any other hold on a seat that is no longer available ends whole. Own is what
-- was begun for this booking, or saves its late payment, or loses a seat to this news: an id alone is not enough, because
-- the same key makes the same id again once the first hold is forgotten.
-- Needs   clock, show, settle
-- ARGV    2 the only generation, 5 'load' from the loader, 6 seats: u32 seat, u64 version, u8 status, u8 length of the
--         customer, customer, 7 '' or sale: u8 state, u64 opens_at, u64 version, u8 whether no seat may be left alone,
--         8 'operator' for an operator's act, 9 the booking's id or '', 10.. pairs of a booking's own hold id and its
--         customer
-- Returns { 'OK', generation, sequence, ended } | refusal
-- Writes  all keys of the show but rows
local show, refusal = read_show()
if refusal then
  return refusal
end
if show.generation ~= tonumber(ARGV[2]) then
  return { 'STALE', show.generation }
end
local t = now(CLOCK)

local entries, names, at = {}, {}, 1
while at <= #ARGV[6] do
  local seat, version, status, customer
  seat, version, status, customer, at = struct.unpack('>I4I8BBc0', ARGV[6], at)
  if seat >= show.seats or status > 3 then
    return { 'BAD_SEAT', seat }
  end
  entries[#entries + 1] = { seat, version, status, customer }
  names[#names + 1] = seat
end

local versions, locks = sliced('HMGET', VERSION, names, 1000), sliced('HMGET', LOCK, names, 1000)
local news, is_news = {}, {}
for i, entry in ipairs(entries) do
  local known = versions[i] and tonumber(string.match(versions[i], '^%d(%d+):')) or -1
  if entry[2] > known then
    news[#news + 1] = { entry, locks[i] }
    is_news[entry[1]] = true
  end
end

-- What was begun for the booking ends even when the versions are old news.
local function is_own(hold)
  if hold[PHASE] ~= BROWSE and (hold[BOOKING] == '' or hold[BOOKING] == ARGV[9]) then
    return true
  end
  for _, seat in ipairs(hold[SEATS]) do
    if is_news[seat] then
      return true
    end
  end
  return false
end

local ended, leaving = {}, {}
for i = 10, #ARGV, 2 do
  local packed = call('HGET', HOLD, ARGV[i])
  local hold = packed and cmsgpack.unpack(packed)
  if hold and hold[PHASE] ~= ENDED and hold[CUSTOMER] == ARGV[i + 1] and not leaving[ARGV[i]] and is_own(hold) then
    leaving[ARGV[i]] = true
    ended[#ended + 1] = { ARGV[i], hold, BOOKED }
  end
end

local lost = {}
for i, pair in ipairs(news) do
  local entry, lock = pair[1], pair[2]
  news[i] = entry
  local other = lock and string.sub(lock, 1, 16)
  if other and entry[3] ~= 0 and not leaving[other] then
    local packed = call('HGET', HOLD, other)
    if packed then
      leaving[other] = true
      lost[#lost + 1] = { other, cmsgpack.unpack(packed), SEATS_LOST }
      ended[#ended + 1] = lost[#lost]
    end
  end
end

-- News of the sale: looked at now, written below.
local sale_news, state, opens_at, version, no_orphan = false, nil, nil, nil, nil
if ARGV[7] ~= '' then
  state, opens_at, version, no_orphan = struct.unpack('>BI8I8B', ARGV[7])
  if version > tonumber(call('HGET', SHOW, 'sale_version')) then
    call('ZCARD', DUE)
    if state == 0 and opens_at > 0 and opens_at <= t then
      state = 1
    end
    sale_news = state ~= show.sale or (state == 0 and opens_at ~= show.opens_at)
    show.sale, show.opens_at = state, opens_at
  else
    state = nil
  end
end

-- The owners of lost holds are told the position of this batch, so there has to be one.
local loud = sale_news or #lost > 0
if #news + #ended > 0 or loud then
  local reason = #news + #ended == 0 and FEED_SALE or ARGV[8] == 'operator' and FEED_OPERATOR or FEED_LEDGER
  settle(show, t, reason, ended, news, loud)
end
if state then
  call('HSET', SHOW, 'sale', state, 'opens_at', opens_at, 'sale_version', version, 'no_orphan', no_orphan)
  if state == 0 and opens_at > 0 then
    call('ZADD', DUE, opens_at, MEMBER)
  else
    call('ZREM', DUE, MEMBER)
  end
end
if ARGV[5] == 'load' then
  call('HSET', SHOW, 'touched_at', t)
end
return { 'OK', show.generation, show.sequence, ended_info(lost) }
