#!lua flags=allow-oom
-- Removes a show that is over.
-- Needs   clock, show
-- ARGV    2 the only generation
-- Returns { 'OK', generation } | refusal
-- Writes  all keys of the show; the clock stays
local show, refusal = read_show()
if refusal then
  return refusal
end
if show.generation ~= tonumber(ARGV[2]) then
  return { 'STALE', show.generation }
end
local ids = call('HKEYS', HOLD)
call('ZREM', DUE, MEMBER)
for _, id in ipairs(ids) do
  call('ZREM', DUE, MEMBER .. id)
end
call('UNLINK', SHOW, VERSION, STATUS, LOCK, HOLD, HELD_BY, OWNED_BY, ROWS)
return { 'OK', show.generation }
