#!lua flags=no-writes
-- Whether a show is loaded and whole.
-- Needs   clock, show
-- Returns { 'OK', generation, sequence } | refusal
-- Writes  nothing
local show, refusal = read_show()
if refusal then
  return refusal
end
if not show.complete then
  return not_ready(show, now(CLOCK, true))
end
return { 'OK', show.generation, show.sequence }
