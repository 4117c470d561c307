-- Adds a member to a shard, or refreshes it.
-- KEYS: of the shard, of the member's record. ARGV: the member; the sequence of its record; when
-- the record ends, in ms since 1970; how many members the shard may have, or 0.
local shard, member, max = KEYS[1], ARGV[1], tonumber(ARGV[4])
local now, left = until_time(ARGV[3])
if left <= 0 then
    return {'ended'}
end
if is_superseded(KEYS[2], ARGV[2]) then
    return {'superseded'}
end
-- A few of those that ended, so that no join takes long.
local ended = redis.pcall('ZRANGEBYSCORE', shard, '-inf', now, 'LIMIT', 0, 64)
if is_wrong_type(ended) then
    redis.call('UNLINK', shard)
elseif ended.err then
    return ended
elseif #ended > 0 then
    redis.call('ZREM', shard, unpack(ended))
end
if max > 0 and not redis.call('ZSCORE', shard, member)
    and redis.call('ZCOUNT', shard, '(' .. now, '+inf') >= max then
    return {'full'}
end
redis.call('ZADD', shard, now + left, member)
if redis.call('PTTL', shard) < left then
    redis.call('PEXPIRE', shard, left)
end
return {'stored'}
