#!lua
-- What somebody may do in a time, counted for all cores together: a bucket of tokens, and names that count once each within
-- a window.
-- KEYS    1 tokens: MessagePack { tokens, when that was, { name, time … oldest first } }
-- ARGV    1 size of the bucket, 2 refill a second, 3 tokens wanted, 4 a name or '', 5 names at most, 6 milliseconds that a
--         name counts, 7 'count' to count the name and take nothing
-- Returns { 0 } when taken, or counted; else { milliseconds to wait, 1 for want of tokens or 2 because of too many names }.
--         A name that counts already is not refused, and not counted again
-- Writes  tokens, unless refused; it vanishes when nothing in it matters any more
local time = redis.call('TIME')
local t = time[1] * 1000 + math.floor(time[2] / 1000)
local size, rate, wanted = tonumber(ARGV[1]), ARGV[2] / 1000, tonumber(ARGV[3])
local name, most, window, count = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == 'count'
local stored = redis.call('GET', KEYS[1])
local tokens, names, known = size, {}, name == ''
if stored then
  local old = cmsgpack.unpack(stored)
  tokens = math.min(size, old[1] + math.max(0, t - old[2]) * rate)
  for i = 1, #old[3], 2 do
    -- A time ahead of now is from before the server's clock was set back.
    local counted = math.min(old[3][i + 1], t)
    if counted > t - window then
      names[#names + 1], names[#names + 2] = old[3][i], counted
      known = known or old[3][i] == name
    end
  end
end
if not count then
  if tokens < wanted then
    return { math.ceil((wanted - tokens) / rate), 1 }
  elseif not known and #names >= 2 * most then
    -- Names may be counted a moment after several of them were allowed, so there may be more.
    return { math.max(1, names[#names - 2 * most + 2] + window - t), 2 }
  end
  tokens = tokens - wanted
elseif not known then
  names[#names + 1], names[#names + 2] = name, t
end
local full = rate > 0 and (size - tokens) / rate or 0
local counts = #names > 0 and names[#names] + window - t or 0
redis.call('SET', KEYS[1], cmsgpack.pack({ tokens, t, names }), 'PX', math.ceil(math.max(full, counts)) + 1000)
return { 0 }
