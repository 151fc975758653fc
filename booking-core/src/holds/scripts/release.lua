#!lua flags=allow-oom
-- Ends a hold before its time.
-- Needs   clock, show, settle
-- ARGV    5 hold id, 6 customer ('' for an operator), 7 grace, 8 'payer' to end a hold that was to save a late payment
-- Returns { 'OK', generation, sequence, ended } | refusal; once more after a release: OK with the same position
-- Writes  status, lock, hold, held_by, hold_expiry, show
local show, refusal = read_show()
if refusal then
  return refusal
end
local id, customer, t = ARGV[5], ARGV[6], now(CLOCK)
if customer == '' then
  local packed = call('HGET', HOLD, id)
  customer = packed and cmsgpack.unpack(packed)[CUSTOMER]
end
local hold, none = own_hold(id, customer, t, ARGV[7])
if none then
  if none[3] == RELEASED then
    return { 'OK', none[4], none[5], {} }
  end
  return none
end
local operator = ARGV[6] == ''
if hold[PHASE] == PAYING and not operator and not (ARGV[8] == 'payer' and hold[BOOK_KEY] == '') then
  return { 'IN_PAYMENT' }
end
local ended = { { id, hold, operator and OPERATOR or RELEASED } }
settle(show, t, operator and FEED_OPERATOR or FEED_RELEASED, ended, {}, true)
return { 'OK', show.generation, show.sequence, ended_info(ended) }
