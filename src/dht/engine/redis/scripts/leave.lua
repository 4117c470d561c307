-- Removes a member from a shard.
-- KEYS: of the shard, of the member's record. ARGV: the member; the sequence of its tombstone.
if is_superseded(KEYS[2], ARGV[2]) then
    return {'superseded'}
end
local removed = redis.pcall('ZREM', KEYS[1], ARGV[1])
if type(removed) == 'table' and not is_wrong_type(removed) then
    return removed
end
return {'stored'}
