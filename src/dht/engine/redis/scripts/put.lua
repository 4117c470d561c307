-- Stores a record, unless another one with its sequence or a higher one is stored.
-- KEYS: of the record. ARGV: the record; when it ends, in ms since 1970; bytes that may be
-- replaced whatever their sequence is.
local key, record, worthless = KEYS[1], ARGV[1], ARGV[3]
local _, left = until_time(ARGV[2])
if left <= 0 then
    return {'ended'}
end
local stored = redis.pcall('GETRANGE', key, 0, MAX_RECORD)
if is_wrong_type(stored) then
    redis.call('UNLINK', key)
    stored = ''
elseif type(stored) == 'table' then
    return stored
end
local is_ours = #stored >= MIN_RECORD and #stored <= MAX_RECORD
    and string.sub(stored, 1, 33) == string.sub(record, 1, 33)
if is_ours and stored ~= record and stored ~= worthless then
    local order = compare(string.sub(stored, 34, 41), string.sub(record, 34, 41))
    if order > 0 then
        return {'superseded', stored}
    elseif order == 0 then
        return {'conflict', stored}
    end
end
redis.call('SET', key, record, 'PX', left)
return {'stored'}
