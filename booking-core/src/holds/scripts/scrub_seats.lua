#!lua
-- Looks at some seats for the scrubber and repairs what this one step shows to be wrong: a lock that no live hold of its
-- customer stands behind goes, and a packed status that is not the ledger's overlaid by the lock is written anew.
-- Needs   clock, show, settle
-- ARGV    5 first seat, a multiple of 4, 6 how many
-- Returns { 'OK', generation, { sale, opens_at, version of the sale, of the layout, seats, 1 when no seat may be left
--         alone }, entries of seat_version, seats whose status was wrong, seats whose lock was wrong, rows with the
--         first seats } | refusal
-- Writes  seat_status, seat_lock, show
local show, refusal = read_show()
if refusal then
  return refusal
end
if not show.complete then
  return not_ready(show, now(CLOCK, true))
end
local first = tonumber(ARGV[5])
local names, holds = {}, {}
for seat = first, math.min(first + ARGV[6], show.seats) - 1 do
  names[#names + 1] = seat
end
local versions, locks = sliced('HMGET', VERSION, names, 1000), sliced('HMGET', LOCK, names, 1000)
local packed = call('GETRANGE', STATUS, first / 4, first / 4 + math.ceil(#names / 4) - 1)
local known = call('HMGET', SHOW, 'sale_version', 'layout_version')
local rows = first == 0 and call('GET', ROWS) or ''

-- Whether the hold in a lock is live, its customer's, and on this seat.
local function stands(seat, lock)
  local id = string.sub(lock, 1, 16)
  if holds[id] == nil then
    local record = call('HGET', HOLD, id)
    holds[id] = record and cmsgpack.unpack(record) or false
  end
  local hold = holds[id]
  if not hold or hold[PHASE] == ENDED or hold[CUSTOMER] ~= string.sub(lock, 17) then
    return false
  end
  for _, other in ipairs(hold[SEATS]) do
    if other == seat then
      return true
    end
  end
  return false
end

local wrong, stray, fields, changes = {}, {}, {}, {}
for i, seat in ipairs(names) do
  local byte = string.byte(packed, math.floor((seat - first) / 4) + 1) or 0
  local before = math.floor(byte / 4 ^ (3 - seat % 4)) % 4
  local ledger, lock = versions[i] and string.byte(versions[i]) - 48 or 1, locks[i]
  if before ~= (ledger == 0 and lock and 1 or ledger) then
    wrong[#wrong + 1] = seat
  end
  if lock and not stands(seat, lock) then
    stray[#stray + 1] = seat
    lock = false
  end
  local status = ledger == 0 and lock and 1 or ledger
  if status ~= before then
    local at = #fields
    fields[at + 1], fields[at + 2], fields[at + 3], fields[at + 4] = 'SET', 'u2', '#' .. seat, status
    changes[#changes + 1] = pack_seat(seat, status)
  end
end
sliced('BITFIELD', STATUS, fields, 4000)
sliced('HDEL', LOCK, stray, 1000)
if #changes > 0 then
  emit(show, FEED_LEDGER, changes, {})
end
local head = { show.sale, show.opens_at, tonumber(known[1]), tonumber(known[2]), show.seats, show.no_orphan and 1 or 0 }
return { 'OK', show.generation, head, versions, wrong, stray, rows }
