#!lua
-- What a hold costs Redis, without its rules: reads the show and three seats, locks the seats, publishes one batch.
-- KEYS    1 show, 2 packed statuses, 3 locks, 4 hold, 5 held by, 6 due-set, 7 channel
-- ARGV    1 hold id, 2 customer, 3 end, 4.. seats
-- Returns the sequence
-- Writes  KEYS 1 to 6
local call = redis.call
call('HMGET', KEYS[1], 'generation', 'run_id', 'complete', 'sale')
local locked, bits, fields = {}, {}, {}
for i = 4, #ARGV do
  locked[#locked + 1] = ARGV[i]
  bits[#bits + 1], bits[#bits + 2], bits[#bits + 3], bits[#bits + 4] = 'SET', 'u2', '#' .. ARGV[i], 1
  fields[#fields + 1], fields[#fields + 2] = ARGV[i], ARGV[1] .. ARGV[2]
end
call('HMGET', KEYS[3], unpack(locked))
call('BITFIELD', KEYS[2], unpack(bits))
call('HSET', KEYS[3], unpack(fields))
call('HSET', KEYS[4], ARGV[1], cmsgpack.pack({ ARGV[2], locked, ARGV[3] }))
call('HSET', KEYS[5], ARGV[2], cmsgpack.pack({ #locked, { ARGV[1] } }))
call('ZADD', KEYS[6], ARGV[3], ARGV[1])
local sequence = call('HINCRBY', KEYS[1], 'sequence', 1)
call('PUBLISH', KEYS[7], struct.pack('>I8I2', sequence, #locked))
return sequence
