-- Some of a shard's members, each with its record or an empty string.
-- KEYS: of the shard. ARGV: the cursor; how many; what the keys of records begin with.
-- Returns the next cursor, '0' at the end, and the members.
local page = redis.pcall('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
if is_wrong_type(page) then
    return {'0', {}}
elseif page.err then
    return page
end
local now = until_time(0)
local found = {}
for at = 1, #page[2], 2 do
    local member, ends_at = page[2][at], tonumber(page[2][at + 1])
    if #member == 64 and ends_at and ends_at > now then
        local record = redis.pcall('GETRANGE', ARGV[3] .. member, 0, MAX_RECORD)
        found[#found + 1] = member
        found[#found + 1] = type(record) == 'string' and record or ''
    end
end
return {page[1], found}
