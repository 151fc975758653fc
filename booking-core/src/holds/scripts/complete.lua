#!lua
-- Marks the map as whole, after every seat was applied from one read of the ledger that began after load.
-- Needs   clock, show
-- ARGV    2 the only generation
-- Returns { 'OK', generation } | { 'INCOMPLETE', seats known } | refusal
-- Writes  show
local show, refusal = read_show()
if refusal then
  return refusal
end
if show.generation ~= tonumber(ARGV[2]) then
  return { 'STALE', show.generation }
end
local known = call('HLEN', VERSION)
if known ~= show.seats then
  return { 'INCOMPLETE', known }
end
call('HSET', SHOW, 'complete', 1)
return { 'OK', show.generation }
