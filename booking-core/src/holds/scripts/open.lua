#!lua flags=allow-oom
-- Opens the sale of a show, only if it is still before opening and due by the bucket's clock.
-- Needs   clock, show
-- Returns { 'OK', generation, sequence, whether it opened } | refusal
-- Writes  show, hold_expiry
local show, refusal = read_show()
if refusal then
  return refusal
end
call('ZCARD', DUE)
local opened = open_if_due(show, now(CLOCK))
return { 'OK', show.generation, show.sequence, opened and 1 or 0 }
