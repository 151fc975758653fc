#!lua
-- Starts to turn a hold into a booking: phase paying, with an attempt that end_book can take back.
-- Needs   clock, show
-- ARGV    5 hold id, 6 customer, 7 digest of the key, 8 id for a new booking, 9 this attempt, 10 milliseconds that the
--         hold must last at least, 11 the latest end after creation, 12 grace
-- Returns { 'OK', info, generation } | refusal; the info has the booking id in use
-- Writes  hold, hold_expiry
local show, refusal = read_show()
if refusal then
  return refusal
end
local t = now(CLOCK)
if not show.complete then
  return not_ready(show, t)
end
local id = ARGV[5]
local hold, none = own_hold(id, ARGV[6], t, ARGV[12])
if none then
  return none
end
call('ZCARD', DUE)
if hold[PHASE] == PAYING then
  if hold[BOOK_KEY] ~= ARGV[7] then
    return { 'IN_PAYMENT' }
  end
  for _, attempt in ipairs(hold[ATTEMPTS]) do
    if attempt == ARGV[9] then
      return { 'OK', hold_info(id, hold, t), show.generation }
    end
  end
else
  if hold[FIRST_END] == 0 then
    hold[FIRST_END] = hold[ENDS]
  end
  if hold[BOOK_KEY] ~= ARGV[7] then
    hold[BOOK_KEY], hold[BOOKING] = ARGV[7], ARGV[8]
  end
  hold[PHASE] = PAYING
  hold[ENDS] = math.max(hold[ENDS], math.min(t + ARGV[10], hold[CREATED] + ARGV[11]))
end
hold[ATTEMPTS][#hold[ATTEMPTS] + 1] = ARGV[9]
call('HSET', HOLD, id, cmsgpack.pack(hold))
call('ZADD', DUE, hold[ENDS] + ARGV[12], MEMBER .. id)
return { 'OK', hold_info(id, hold, t), show.generation }
