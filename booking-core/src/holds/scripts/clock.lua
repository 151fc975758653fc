-- Part of every script: the bucket's logical clock, in milliseconds.
--
-- It follows the server's clock, but never goes back: when the server's clock is set back, the logical one runs on at
-- the normal rate, ahead by a stored amount, so that no hold is stretched. When the server's clock then jumps forward,
-- the amount is paid back first. Stored as 'raw' or 'raw ahead'; untouched by load and unload.
local call = redis.call

local function now(key, read_only)
  local time = call('TIME')
  local raw = time[1] * 1000 + math.floor(time[2] / 1000)
  local stored = call('GET', key) or raw
  local last, ahead = tonumber(stored), 0
  if not last then
    last, ahead = string.match(stored, '^(%d+) (%d+)$')
    last, ahead = tonumber(last), tonumber(ahead)
  end
  local passed = raw - last
  if passed < 0 then
    ahead = ahead - passed
  elseif ahead > 0 and passed > 5000 then
    ahead = math.max(0, ahead - passed + 5000)
  end
  if not read_only and (passed ~= 0 or stored == raw) then
    call('SET', key, ahead == 0 and raw or string.format('%.0f %.0f', raw, ahead))
  end
  return raw + ahead
end
