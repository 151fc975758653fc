-- Part of the scripts that end holds: one step that ends holds and takes in news of the ledger, in one batch.

-- Redis limits the arguments of one call through unpack; long lists go in slices.
local function sliced(command, key, list, width)
  local out = {}
  for first = 1, #list, width do
    local part = call(command, key, unpack(list, first, math.min(first + width - 1, #list)))
    if type(part) == 'table' then
      for i = 1, #part do
        out[#out + 1] = part[i]
      end
    end
  end
  return out
end

-- Counts the seats that customers have claimed ('p' for pending) and booked ('b') from a seat_version entry.
local function count_owner(deltas, status, customer, by)
  if customer ~= '' and (status == 1 or status == 2) then
    local field = (status == 1 and 'p' or 'b') .. customer
    deltas[field] = (deltas[field] or 0) + by
  end
end

-- What each customer holds, read once.
local function read_holder(holders, customer)
  if not holders[customer] then
    local packed = call('HGET', HELD_BY, customer)
    holders[customer] = packed and cmsgpack.unpack(packed) or { 0, {}, {} }
  end
  return holders[customer]
end

local function drop_from_holder(holder, hold, id, reason, t)
  local ids, lapses = {}, {}
  for _, other in ipairs(holder[2]) do
    if other ~= id then
      ids[#ids + 1] = other
    end
  end
  for i, lapse in ipairs(holder[3]) do
    if lapse[1] > t - ARGV[4] and i > #holder[3] - 15 then
      lapses[#lapses + 1] = lapse
    end
  end
  if reason == EXPIRED and hold[PHASE] == BROWSE then
    lapses[#lapses + 1] = { t, unpack(hold[SEATS]) }
  end
  holder[1], holder[2], holder[3] = holder[1] - #hold[SEATS], ids, lapses
end

-- Ends the holds of `ended` ({ id, hold, reason }) and writes `news` ({ seat, version, status, customer }), which are
-- newer than what is stored. Publishes the seats whose effective status changed; `loud` publishes all seats touched, and
-- even nothing. All keys are read before the first write.
local function settle(show, t, feed_reason, ended, news, loud)
  local seats, seen, leaving, holders, deltas = {}, {}, {}, {}, {}
  for _, e in ipairs(ended) do
    leaving[e[1]] = true
    read_holder(holders, e[2][CUSTOMER])
    for _, seat in ipairs(e[2][SEATS]) do
      if not seen[seat] then
        seen[seat] = true
        seats[#seats + 1] = seat
      end
    end
  end
  for _, n in ipairs(news) do
    if not seen[n[1]] then
      seats[#seats + 1] = n[1]
    end
    seen[n[1]] = n
  end
  local locks = sliced('HMGET', LOCK, seats, 1000)
  local versions = sliced('HMGET', VERSION, seats, 1000)
  call('ZCARD', DUE)
  call('HLEN', OWNED_BY)

  -- Effective statuses: the ledger's, overlaid by the locks that stay; unknown shows as held.
  local fields, unlock, statuses = {}, {}, {}
  for i, seat in ipairs(seats) do
    local n, version, lock = seen[seat], versions[i], locks[i]
    local status = version and string.byte(version) - 48 or 1
    if n ~= true then
      if version then
        count_owner(deltas, status, string.match(version, ':(.*)$'), -1)
      end
      status = n[3]
      count_owner(deltas, status, n[4], 1)
    end
    if lock and leaving[string.sub(lock, 1, 16)] then
      unlock[#unlock + 1] = seat
      lock = false
    end
    if status == 0 and lock then
      status = 1
    end
    statuses[i] = status
    local at = #fields
    fields[at + 1], fields[at + 2], fields[at + 3], fields[at + 4] = 'SET', 'u2', '#' .. seat, status
  end

  -- First write, and the only key not read above.
  local before, changes = sliced('BITFIELD', STATUS, fields, 4000), {}
  for i, seat in ipairs(seats) do
    if loud or before[i] ~= statuses[i] then
      changes[#changes + 1] = pack_seat(seat, statuses[i])
    end
  end
  sliced('HDEL', LOCK, unlock, 1000)
  local stored = {}
  for _, n in ipairs(news) do
    stored[#stored + 1] = n[1]
    stored[#stored + 1] = string.format('%d%.0f:%s', n[3], n[2], n[4])
  end
  sliced('HSET', VERSION, stored, 2000)
  for field, by in pairs(deltas) do
    if by ~= 0 and call('HINCRBY', OWNED_BY, field, by) <= 0 then
      call('HDEL', OWNED_BY, field)
    end
  end
  if loud or #changes > 0 then
    local ids = {}
    for i, e in ipairs(ended) do
      ids[i] = e[1]
    end
    emit(show, feed_reason, changes, ids)
  end
  for _, e in ipairs(ended) do
    local id, hold, reason = e[1], e[2], e[3]
    drop_from_holder(holders[hold[CUSTOMER]], hold, id, reason, t)
    e[4] = t - hold[ENDS]
    hold[PHASE], hold[REASON], hold[ENDS] = ENDED, reason, t
    hold[GENERATION], hold[SEQUENCE] = show.generation, show.sequence
    call('HSET', HOLD, id, cmsgpack.pack(hold))
    call('ZADD', DUE, t + ARGV[3], MEMBER .. id)
  end
  for customer, holder in pairs(holders) do
    if #holder[2] == 0 and #holder[3] == 0 then
      call('HDEL', HELD_BY, customer)
    else
      call('HSET', HELD_BY, customer, cmsgpack.pack(holder))
    end
  end
end

-- For the caller, who tells the owners: { customer, hold id, reason, milliseconds past its end,
-- generation and sequence of the batch, seats } of each.
local function ended_info(ended)
  local out = {}
  for i, e in ipairs(ended) do
    local hold = e[2]
    out[i] = { hold[CUSTOMER], e[1], e[3], e[4], hold[GENERATION], hold[SEQUENCE], hold[SEATS] }
  end
  return out
end

-- Forgets a hold that ended long ago, and its owner's lapses that no longer count.
local function forget(id, hold, t)
  local packed = call('HGET', HELD_BY, hold[CUSTOMER])
  call('HDEL', HOLD, id)
  call('ZREM', DUE, MEMBER .. id)
  local holder = packed and cmsgpack.unpack(packed)
  local last = holder and holder[3][#holder[3]]
  if holder and #holder[2] == 0 and (not last or last[1] <= t - ARGV[4]) then
    call('HDEL', HELD_BY, hold[CUSTOMER])
  end
end

-- Looks at up to `limit` due entries of the bucket: ends due holds of this show, forgets old ones, opens the sale. Answers
-- the ended ones and whether it may be worth to look again.
local function sweep(show, t, limit)
  local members = call('ZRANGEBYSCORE', DUE, '-inf', t, 'LIMIT', 0, limit)
  local ended, own = {}, false
  for _, member in ipairs(members) do
    if string.sub(member, 1, #MEMBER) == MEMBER then
      own = true
      local id = string.sub(member, #MEMBER + 1)
      local packed = call('HGET', HOLD, id)
      local hold = packed and cmsgpack.unpack(packed)
      if not hold then
        if not open_if_due(show, t) then
          call('ZREM', DUE, member)
        end
      elseif hold[PHASE] == ENDED then
        forget(id, hold, t)
      else
        ended[#ended + 1] = { id, hold, EXPIRED }
      end
    end
  end
  if #ended > 0 then
    settle(show, t, FEED_EXPIRED, ended, {}, true)
  end
  return ended, own and #members == limit
end
