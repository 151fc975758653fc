#!lua
-- A token bucket shared by all cores.
-- KEYS    1 tokens
-- ARGV    1 size, 2 refill a second, 3 tokens wanted
-- Returns 0 when taken, else the milliseconds to wait
-- Writes  tokens; they vanish once the bucket would be full
local time = redis.call('TIME')
local t = time[1] * 1000 + math.floor(time[2] / 1000)
local size, rate, wanted = tonumber(ARGV[1]), ARGV[2] / 1000, tonumber(ARGV[3])
local stored = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(stored[1]) or size, tonumber(stored[2]) or t
tokens = math.min(size, tokens + math.max(0, t - at) * rate)
if tokens < wanted then
  return math.ceil((wanted - tokens) / rate)
end
tokens = tokens - wanted
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', t)
redis.call('PEXPIRE', KEYS[1], math.ceil((size - tokens) / rate) + 1000)
return 0
