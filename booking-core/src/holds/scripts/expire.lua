#!lua flags=allow-oom
-- Ends due holds of one show, forgets old ones, opens its sale if that is due.
-- Needs   clock, show, settle
-- ARGV    5 at most so many
-- Returns { 'OK', generation, sequence, ended, whether there may be more } | refusal
-- Writes  status, lock, hold, held_by, hold_expiry, show
local show, refusal = read_show()
if refusal then
  return refusal
end
local ended, more = sweep(show, now(CLOCK), tonumber(ARGV[5]))
return { 'OK', show.generation, show.sequence, ended_info(ended), more and 1 or 0 }
