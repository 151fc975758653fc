-- open_stream: the stream's epoch, a new one where the stream is not there (any more).
--
-- An empty stream is made at once, so that XADD can refuse to make one (NOMKSTREAM): a stream that vanishes between
-- this call and an XADD is noticed.
--
-- KEYS 1 stream, 2 its epoch
-- ARGV 1 epoch to take when there is none, 2… consumer groups that are to be there, from the beginning
-- returns the epoch
-- writes stream, epoch
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('XGROUP', 'CREATE', KEYS[1], 'none', '0', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', KEYS[1], 'none')
    redis.call('SET', KEYS[2], ARGV[1])
elseif redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('SET', KEYS[2], ARGV[1])
end
for i = 2, #ARGV do
    -- BUSYGROUP: it is there.
    redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[i], '0')
end
return redis.call('GET', KEYS[2])
