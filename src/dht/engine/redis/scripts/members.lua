-- The members of a shard, each with its record or an empty string: all, or if there are too many
-- then some that follow each other in the server's hash table. That is by hashes of their ids, so
-- the same start gives the same members while others come and go.
-- KEYS: of the shard. ARGV: the start, below 2^48; how many; what the keys of records begin with.
-- Returns whether it is all, and the members.
local shard, start, max = KEYS[1], ARGV[1], tonumber(ARGV[2])
local now = until_time(0)
local live = '(' .. now
local count = redis.pcall('ZCOUNT', shard, live, '+inf')
if is_wrong_type(count) then
    return {'all', {}}
elseif type(count) == 'table' then
    return count
end

-- The ids that follow each other from the start on, and then from the beginning.
local function some()
    local ids, seen, cursor, passes = {}, 0, start, 0
    repeat
        local page = redis.call('ZSCAN', shard, cursor, 'COUNT', max)
        cursor = page[1]
        for at = 1, #page[2], 2 do
            seen = seen + 1
            local ends_at = tonumber(page[2][at + 1])
            if ends_at and ends_at > now then
                ids[#ids + 1] = page[2][at]
            end
        end
        if cursor == '0' then
            passes = passes + 1
        end
        -- Some have ended: they are not looked at without end.
    until #ids >= max or seen >= 8 * max or passes == 2
    return ids
end

local is_all = count <= max
local ids = is_all and redis.call('ZRANGEBYSCORE', shard, live, '+inf') or some()
-- The server may return more, such as all of a shard that it keeps in one piece.
local first = #ids > max and tonumber(start) % #ids or 0
local found = {}
for at = first, first + math.min(max, #ids) - 1 do
    local id = ids[at % #ids + 1]
    if #id == 64 then
        local record = redis.pcall('GETRANGE', ARGV[3] .. id, 0, MAX_RECORD)
        found[#found + 1] = id
        found[#found + 1] = type(record) == 'string' and record or ''
    end
end
return {is_all and 'all' or 'some', found}
