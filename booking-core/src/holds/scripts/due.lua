#!lua flags=allow-oom
-- Which shows of a bucket have something due.
-- Needs   clock
-- KEYS    1 hold_expiry, 2 clock
-- ARGV    1 look at no more than so many entries
-- Returns show ids
-- Writes  clock
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now(KEYS[2]), 'LIMIT', 0, ARGV[1])
local shows, seen = {}, {}
for _, member in ipairs(members) do
  local show = string.match(member, '^%d+')
  if show and not seen[show] then
    seen[show] = true
    shows[#shows + 1] = show
  end
end
return shows
